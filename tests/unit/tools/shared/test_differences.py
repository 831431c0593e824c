from __future__ import annotations

from pathlib import PurePath

import msgspec
import pytest

from jobx.kv.entities.applying import Action, Change
from jobx.model import Handler, Job, Workflow
from jobx.tools.shared import differences

JOB = Job(workflow_name="w", job_name="j", description="", initial_step_name="s")
HANDLER = Handler(
    workflow_name="w", handler_name="h", description="", handler_type="mapper", source_code="a\nb\n"
)
FLOW = Workflow(workflow_name="w", description="d")


@pytest.mark.parametrize(
    ("action", "is_simulated", "text"),
    [
        ("added", False, "added job j"),
        ("updated", True, "would update job j"),
        ("removed", True, "would remove job j"),
        ("kept", False, "kept job j: nothing declares it; --prune removes it"),
    ],
)
def test_change_is_a_line(action: Action, is_simulated: bool, text: str) -> None:
    assert differences.line(Change("job", "j", action), None, is_simulated=is_simulated) == text


def test_line_of_a_handler_names_its_file() -> None:
    change = Change("handler", "h", "added", None, HANDLER)
    file = PurePath("handlers/h.py")
    assert differences.line(change, file, is_simulated=False) == "added handler h (handlers/h.py)"


def test_difference_of_a_source_is_that_of_its_lines() -> None:
    after = msgspec.structs.replace(HANDLER, source_code="a\nc\n", description="x")
    found = differences.difference(Change("handler", "h", "updated", HANDLER, after), None)
    assert found == ["--- stored", "+++ source", "@@ -1,2 +1,2 @@", " a", "-b", "+c"]


def test_difference_of_a_job_is_in_the_words_of_the_file() -> None:
    after = msgspec.structs.replace(JOB, initial_step_name="t")
    found = differences.difference(Change("job", "j", "updated", JOB, after), None)
    assert found[3:] == ["-step: s", "+step: t"]


def test_values_of_options_are_hidden() -> None:
    before = msgspec.structs.replace(JOB, result_options={"a": "secret", "b": 1})
    after = msgspec.structs.replace(JOB, result_options={"a": "hidden", "b": 1})
    found = differences.difference(Change("job", "j", "updated", before, after), None)
    assert found[-3:] == ["-  a: … (as stored)", "+  a: … (new)", "   b: …"]


def test_long_difference_is_cut() -> None:
    before = msgspec.structs.replace(HANDLER, source_code="x\n" * 300)
    found = differences.difference(Change("handler", "h", "updated", before, HANDLER), None)
    assert (len(found), found[-1]) == (differences.MAX_LINES + 1, "… 105 more lines")


def test_large_sources_are_not_compared_by_line() -> None:
    before = msgspec.structs.replace(HANDLER, source_code="x\n" * differences.MAX_COMPARED)
    found = differences.difference(Change("handler", "h", "updated", before, HANDLER), None)
    assert found == ["source differs: 131,072 characters become 4"]


@pytest.mark.parametrize(
    ("before", "after", "is_shown"),
    [
        (FLOW, msgspec.structs.replace(FLOW, handlers_state="x"), False),
        (FLOW, msgspec.structs.replace(FLOW, description="x"), True),
        (None, FLOW, True),
    ],
)
def test_workflow_is_shown_if_its_own_words_change(
    before: Workflow | None, after: Workflow, is_shown: bool
) -> None:
    assert differences.is_shown(Change("workflow", "w", "updated", before, after)) == is_shown
