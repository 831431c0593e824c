from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobx import meanings
from tests.unit.handlers.authoring.test_mr_check import GOOD, put
from tests.unit.tools.conftest import Jobx

OLD = GOOD + "half = 7 / 2\n"
LINE = "sum.py:15: `/` of two whole numbers gave a whole number. Write: `//`; or `from __future__"


def test_check_tells_what_handlers_of_mr_need(jobx: Jobx, tmp_path: Path) -> None:
    put(tmp_path, "sum.py", OLD)
    result = jobx("handler", "check", "--from-mr", str(tmp_path))
    assert (result.exit_code, result.stdout.startswith(LINE)) == (meanings.INVALID, True)
    assert result.stdout.endswith("1 to change\n")


def test_check_of_what_needs_nothing_succeeds(jobx: Jobx, tmp_path: Path) -> None:
    put(tmp_path, "sum.py", GOOD)
    result = jobx("handler", "check", str(tmp_path), "--from-mr")
    assert (result.exit_code, result.stdout) == (meanings.OK, "nothing to change\n")


def test_check_answers_with_json(jobx: Jobx, tmp_path: Path) -> None:
    put(tmp_path, "sum.py", OLD)
    result = jobx("handler", "check", "--from-mr", str(tmp_path), "--json")
    (found,) = json.loads(result.stdout)["findings"]
    assert (found["file"], found["line"], found["rule"]) == ("sum.py", 15, "division")
    assert result.exit_code == meanings.INVALID


def test_check_without_a_subject_says_which_there_is(jobx: Jobx, tmp_path: Path) -> None:
    result = jobx("handler", "check", str(tmp_path))
    assert (result.exit_code, "--from-mr" in result.stderr) == (meanings.USAGE, True)


@pytest.mark.parametrize("simulate", [["--simulate"], []])
def test_sync_warns_in_the_words_of_check(jobx: Jobx, tmp_path: Path, simulate: list[str]) -> None:
    jobx("workflow", "create", "w", "d")
    put(tmp_path / "code", "sum.py", OLD)
    result = jobx("handler", "sync", "w", str(tmp_path / "code"), *simulate)
    assert (result.exit_code, result.stderr.startswith(f"jobx: {LINE}")) == (meanings.OK, True)
    shown = jobx("handler", "sync", "w", str(tmp_path / "code"), "--json", *simulate)
    assert [one["rule"] for one in json.loads(shown.stdout)["warnings"]] == ["division"]


def test_capability_none_is_any_node(jobx: Jobx) -> None:
    jobx("workflow", "create", "w", "d")
    words = ("handler", "create", "w", "h", "d", "python", "reducer", "--capability", "none")
    assert jobx(*words, stdin="yield 1, 2").exit_code == meanings.OK
    shown = json.loads(jobx("handler", "get", "w", "h", "--json").stdout)
    assert shown["required_capability"] == "general"
