from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jobx import meanings
from jobx.errors import StoreUnavailable
from jobx.handlers.authoring import declaration
from jobx.kv.requests import request_entity
from jobx.tools.shared import applying
from tests.unit.tools.conftest import Jobx

MAPPER = '"""\nMaps.\n**\nhandler_type: mapper\n"""\nyield MrConfigureToReturn()\nyield 1, 1\n'
REDUCER = (
    '"""\nAdds.\n**\nhandler_type: reducer\n"""\ndef handler(key, values):\n    yield key, 1\n'
)
TEXT = """\
workflow: w
steps:
  s: {mapper: m, reducer: r}
jobs:
  j: {step: s, result_writer: http, result_options: {url: "http://secret@host"}}
"""
SAME = "workflow w is up to date\n"


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    """A folder with a workflow ``w``: a mapper, a reducer, a step and a job."""
    folder = tmp_path / "flow"
    (folder / "handlers").mkdir(parents=True)
    (folder / "workflow.yaml").write_text(TEXT)
    (folder / "handlers" / "m.py").write_text(MAPPER)
    (folder / "handlers" / "r.py").write_text(REDUCER)
    return folder


def change(path: Path, before: str, after: str) -> None:
    path.write_text(path.read_text().replace(before, after))


def test_apply_says_what_it_did_and_then_that_nothing_is_to_do(jobx: Jobx, flow: Path) -> None:
    assert jobx("apply", str(flow)).stdout.splitlines() == [
        "added workflow w",
        "added handler m (handlers/m.py)",
        "added handler r (handlers/r.py)",
        "added step s",
        "added job j",
    ]
    again = jobx("apply", str(flow))
    assert (again.exit_code, again.stdout) == (meanings.OK, SAME)


def test_dry_run_changes_nothing_and_its_exit_code_says_what_is_to_do(
    jobx: Jobx, flow: Path, folder: Path
) -> None:
    result = jobx("apply", str(flow), "--dry-run")
    assert (result.exit_code, "would add job j" in result.stdout) == (applying.TO_DO, True)
    assert not folder.exists()
    jobx("apply", str(flow))
    same = jobx("apply", str(flow), "--dry-run")
    assert (same.exit_code, same.stdout) == (meanings.OK, SAME)


def test_what_changed_is_shown_as_a_difference_without_secrets(jobx: Jobx, flow: Path) -> None:
    jobx("apply", str(flow))
    change(flow / "handlers" / "m.py", "yield 1, 1", "yield 1, 2")
    change(flow / "workflow.yaml", "secret", "other")
    result = jobx("apply", str(flow))
    assert "updated handler m (handlers/m.py)" in result.stdout
    assert "  -yield 1, 1\n  +yield 1, 2" in result.stdout
    assert "updated job j" in result.stdout
    assert "secret" not in result.stdout
    assert "url: … (new)" in result.stdout
    assert "workflow w" not in result.stdout


def test_answer_is_json_when_asked(jobx: Jobx, flow: Path) -> None:
    answer = json.loads(jobx("apply", str(flow), "--json").stdout)
    assert (answer["workflow"], answer["simulated"]) == ("w", False)
    assert answer["changes"][1] == {
        "kind": "handler",
        "name": "m",
        "action": "added",
        "file": "handlers/m.py",
        "difference": [],
    }


def test_only_prune_removes_what_nothing_declares(jobx: Jobx, flow: Path) -> None:
    jobx("apply", str(flow))
    (flow / "workflow.yaml").write_text("workflow: w\n")
    (flow / "handlers" / "m.py").unlink()
    kept = jobx("apply", str(flow), "--dry-run")
    assert kept.exit_code == meanings.OK
    assert "would keep job j: nothing declares it; --prune removes it" in kept.stdout
    assert "removed step s" in jobx("apply", str(flow), "--prune").stdout
    assert jobx("handler", "get", "w", "m").exit_code == meanings.NOT_FOUND
    assert jobx("apply", str(flow)).stdout == SAME


def test_open_requests_of_what_is_removed_are_named(
    jobx: Jobx, flow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobx("apply", str(flow))
    (flow / "workflow.yaml").write_text("workflow: w\n")
    monkeypatch.setattr(request_entity, "open_in", lambda *_: ["r1", "r2"])
    result = jobx("apply", str(flow), "--prune", "--dry-run")
    assert "open requests use what they began with to their end: r1, r2" in result.stdout


def test_workflow_may_get_another_name(jobx: Jobx, flow: Path) -> None:
    jobx("apply", str(flow / "workflow.yaml"), "--name", "other")
    assert jobx("job", "get", "other", "j").exit_code == meanings.OK


def test_everything_that_is_wrong_is_a_line_and_changes_nothing(
    jobx: Jobx, flow: Path, folder: Path
) -> None:
    change(flow / "workflow.yaml", "step: s", "step: t, stp: s")
    change(flow / "handlers" / "m.py", "yield 1, 1", "yield (")
    change(flow / "workflow.yaml", "http,", "nope,")
    result = jobx("apply", str(flow))
    assert result.exit_code == meanings.INVALID
    lines = result.stderr.splitlines()
    assert [line.partition(": ")[2][:22] for line in lines] == [
        "workflow.yaml, line 5:",
        "handlers/m.py: handler",
        "workflow.yaml, line 5:",
        "workflow.yaml, line 5:",
    ]
    assert not folder.exists()


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        ("http,", "nope,", "line 5: job j: result writer: the writers are"),
        ("{url:", "{to:", "line 5: job j: options of result writer http: its options are url"),
    ],
)
def test_wrong_writer_is_refused_by_line(
    jobx: Jobx, flow: Path, before: str, after: str, line: str
) -> None:
    change(flow / "workflow.yaml", before, after)
    assert line in jobx("apply", str(flow)).stderr


def test_handler_whose_example_does_not_hold_is_refused_by_file(jobx: Jobx, flow: Path) -> None:
    example = "mapper\nexamples:\n- {arguments: {}, expected: [[1, 2]]}\n"
    change(flow / "handlers" / "m.py", "mapper\n", example)
    result = jobx("apply", str(flow))
    assert result.exit_code == meanings.INVALID
    assert result.stderr.startswith("jobx: handlers/m.py: example 1 of handler m: it must give")


@pytest.mark.parametrize(
    "lines", [[], ["added workflow w", "added handler m (handlers/m.py)"]], ids=["none", "some"]
)
def test_what_was_done_before_an_error_is_said(
    lines: list[str], jobx: Jobx, flow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = applying.apply_workflow

    def end_early(*args: Any, tell: Any = None, **how: Any) -> Any:
        changes = real(*args, **{**how, "simulate": True})
        if tell is not None:
            tell(changes[: len(lines)])
            raise StoreUnavailable("gone")
        return changes

    monkeypatch.setattr(applying, "apply_workflow", end_early)
    result = jobx("apply", str(flow))
    assert result.exit_code == meanings.UNAVAILABLE
    assert result.stdout.splitlines() == lines
    assert f"{len(lines)} of 5 changes were made; to go on, apply it again" in result.stderr


def test_schema_is_written_without_a_folder(jobx: Jobx) -> None:
    plain = json.loads(json.dumps(declaration.schema()))
    assert json.loads(jobx("apply", "--schema").stdout) == plain


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["apply"], meanings.USAGE, "name the folder with workflow.yaml"),
        (["apply", "/dev/null/x"], meanings.NOT_FOUND, "jobx init /dev/null/x writes one"),
    ],
)
def test_folder_that_is_missing_is_named(
    jobx: Jobx, words: list[str], code: int, line: str
) -> None:
    result = jobx(*words)
    assert (result.exit_code, line in result.stderr) == (code, True)


def test_apply_warns_of_what_a_handler_of_mr_does_otherwise(jobx: Jobx, flow: Path) -> None:
    of_mr = "handler_type: mapper\nargument_spec:\n- {name: arguments, type: list}\n"
    change(flow / "handlers" / "m.py", "handler_type: mapper\n", of_mr)
    change(flow / "handlers" / "m.py", "yield 1, 1", "yield 1, 3 / 2")
    result = jobx("apply", str(flow))
    assert result.exit_code == meanings.OK
    assert result.stderr.startswith("jobx: handlers/m.py:9: `/` of two whole numbers gave")
