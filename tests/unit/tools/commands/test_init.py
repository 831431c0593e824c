from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobx import meanings
from jobx.handlers.authoring import workflow_folder
from tests.unit.tools.conftest import Jobx


def test_init_writes_a_workflow_that_can_be_applied(jobx: Jobx, tmp_path: Path) -> None:
    target = tmp_path / "word.count"
    lines = jobx("init", str(target)).stdout.splitlines()
    assert [line.removeprefix(f"wrote {target}/") for line in lines[:4]] == [
        "workflow.yaml",
        "handlers/count_words.py",
        "handlers/add_up.py",
        "test_word_count.py",
    ]
    assert f"jobx apply {target}" in lines[4]
    assert "added job count" in jobx("apply", str(target)).stdout
    assert jobx("job", "get", "word.count", "count").exit_code == meanings.OK


@pytest.mark.parametrize("name", ["2024", "1.5", "1e5", "true", "null", "w"])
def test_init_writes_a_name_that_stays_text(name: str, jobx: Jobx, tmp_path: Path) -> None:
    jobx("init", str(tmp_path / name))
    assert workflow_folder.read(tmp_path / name).checked.workflow.workflow_name == name


@pytest.mark.parametrize("language", ["executable", "javascript", "shell"])
def test_init_writes_handlers_of_another_language(
    language: str, jobx: Jobx, tmp_path: Path
) -> None:
    answer = jobx("init", str(tmp_path / "w"), "--language", language, "--json")
    files = json.loads(answer.stdout)["files"]
    assert [Path(file).stem for file in files[1:3]] == ["count_words", "add_up"]


def test_init_overwrites_nothing(jobx: Jobx, tmp_path: Path) -> None:
    (tmp_path / "handlers").mkdir()
    (tmp_path / "handlers" / "add_up.py").write_text("mine")
    result = jobx("init", str(tmp_path), "--name", "w")
    assert (result.exit_code, "add_up.py exists already" in result.stderr) == (meanings.TAKEN, True)
    assert [path.name for path in tmp_path.iterdir()] == ["handlers"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["init", "/"], "makes no name of a workflow, give one with --name"),
        (["init", "x", "--name", "A"], "a name is 1 to 63"),
        (["init", "/dev/null/x"], "/dev/null/x"),
        (["init", "x", "--language", "cobol"], "'cobol'"),
        (["init", "x" * 300, "--name", "x"], "File name too long"),
    ],
)
def test_what_cannot_be_started_is_told(jobx: Jobx, words: list[str], line: str) -> None:
    result = jobx(*words)
    assert (result.exit_code, line in result.stderr) == (meanings.INVALID, True)
