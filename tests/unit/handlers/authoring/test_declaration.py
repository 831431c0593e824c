from __future__ import annotations

import json
from pathlib import Path

import pytest

import jobx
from jobx.errors import InvalidInput, TooLarge
from jobx.handlers.authoring import declaration
from jobx.handlers.authoring.declaration import Declaration, Origin
from jobx.handlers.authoring.declaration_reading import MAX_FAULTS, Reading
from jobx.model import Job, Step, Workflow

TEXT = """\
workflow: flow
description: Counts.
steps:
  first: {mapper: split, combiner: null, reducer: total}
jobs:
  count:
    description: Count.
    step: first
    result_writer: file
    result_options: {folder: out, deep: [1, null]}
handlers:
  split:
    file: handlers/split.py
    handler_type: mapper
    retry: {attempts: 3}
"""


def faults(text: str) -> list[str]:
    reading = Reading(text)
    reading.declaration()
    return list(map(str, reading.faults))


def test_text_declares_entities() -> None:
    declared = Reading(TEXT).declaration()
    assert declared is not None
    assert declared.workflow == Workflow(workflow_name="flow", description="Counts.")
    assert declared.steps["first"] == Step(
        workflow_name="flow",
        step_name="first",
        description="",
        map_handler_name="split",
        reduce_handler_name="total",
    )
    assert declared.jobs["count"].result_options == {"folder": "out", "deep": [1, None]}
    assert declared.origins["split"].file == "handlers/split.py"
    assert declared.origins["split"].fields["retry"].attempts == 3


def test_workflow_may_have_another_name_than_in_the_text() -> None:
    declared = Reading(TEXT, "other").declaration()
    assert declared is not None
    assert (declared.workflow.workflow_name, declared.jobs["count"].workflow_name) == (
        "other",
        "other",
    )


def test_what_is_written_declares_the_same() -> None:
    declared = Reading(TEXT).declaration()
    assert declared is not None
    text = declaration.write(declared)
    again = Reading(text).declaration()
    assert again is not None
    assert (again.workflow, again.jobs, again.steps) == (
        declared.workflow,
        declared.jobs,
        declared.steps,
    )


def test_what_is_the_default_is_not_written() -> None:
    job = Job(workflow_name="w", job_name="j", description="", initial_step_name="s")
    workflow = Workflow(workflow_name="w", description="", handlers_state="computed")
    declared = Declaration(workflow, {"j": job}, {}, {"h": Origin("handlers/h.py", None, {})})
    assert declaration.write(declared) == (
        "workflow: w\njobs:\n  j:\n    step: s\nhandlers:\n  h:\n    file: handlers/h.py\n"
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "workflow.yaml: must be a map (got None)"),
        ("[]", "workflow.yaml, line 1: must be a map (got [])"),
        ("a: [", "workflow.yaml: cannot be read as YAML: "),
        ("description: x", "workflow.yaml, line 1: the key workflow is missing"),
        ("workflow: A b", "workflow.yaml, line 1: workflow: a name is 1 to 63 of a-z"),
        ("workflow: a..b", "has no '..'"),
        ("workflow: 7", "line 1: workflow: Expected `str`, got `int` (got 7)"),
        ("workflow: w\njob: {}", "line 2: job: unknown key; did you mean jobs?"),
        ("workflow: w\nretention: 1", "unknown key; known are workflow, description, steps, jobs"),
        ("workflow: w\njobs: [a]", "line 2: jobs: must be a map (got ['a'])"),
        ("workflow: w\njobs:\n  J: {step: s}", "line 3: job J: a name is 1 to 63"),
        ("workflow: w\njobs:\n  1: {step: s}", "line 3: job 1: a key must be text: put it into"),
        ("workflow: w\njobs:\n  j: s", "line 3: job j: must be a map (got 's')"),
        ("workflow: w\njobs:\n  j: {}", "line 3: job j: the key step is missing"),
        (
            "workflow: w\njobs:\n  j:\n    stp: s\n    step: s",
            "line 4: job j, stp: unknown key; did you mean step?",
        ),
        (
            "workflow: w\njobs:\n  j:\n    step: s\n    writer_choice: maybe",
            "line 5: job j, writer_choice: Expected `bool`, got `str` (got 'maybe')",
        ),
        (
            "workflow: w\njobs:\n  j:\n    step: s\n    result_options: {a: 1e999}",
            "line 3: job j: has a value that JSON lacks",
        ),
        ("workflow: w\nsteps:\n  s: {mapper: m}", "the key reducer is missing"),
        ("workflow: w\nsteps:\n  s: {mapper: '', reducer: r}", "step s, mapper: a name is"),
        (
            "workflow: w\nhandlers:\n  h: {file: f, handler_type: cook}",
            "line 3: handler h, handler_type: Invalid enum value 'cook'",
        ),
        (
            "workflow: w\nhandlers:\n  h: {file: f, handler_type: mapper, retry: {attempts: 0}}",
            "handler h, retry.attempts: Expected `int` >= 1",
        ),
        ("workflow: w\nhandlers:\n  h: {handler_type: mapper}", "the key file is missing"),
        ("workflow: w\nworkflow: v", "'workflow' is repeated (line 2)"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, fault: str) -> None:
    found = faults(text)
    assert found
    assert fault in found[0]


def test_all_that_is_wrong_is_told_at_once() -> None:
    assert len(faults("workflow: w\nstep: 1\njobs:\n  j: {}\nsteps:\n  s: 1\n  t: {x: 1}")) == 5


def test_of_very_much_that_is_wrong_a_part_is_told() -> None:
    jobs = "".join(f"  j{number}: {{}}\n" for number in range(1000))
    assert len(faults(f"workflow: w\njobs:\n{jobs}")) == MAX_FAULTS


@pytest.mark.parametrize(
    ("body", "error"),
    [(b"\xff", InvalidInput), (b" " * (declaration.MAX_FILE_BYTES + 1), TooLarge)],
    ids=["bytes", "large"],
)
def test_what_is_no_text_is_refused(body: bytes, error: type[InvalidInput]) -> None:
    with pytest.raises(error, match=r"workflow\.yaml"):
        declaration.read_text(body)


def test_schema_in_the_package_is_that_of_the_text() -> None:
    path = Path(jobx.__file__).parent / "handlers" / "authoring" / "workflow.schema.json"
    plain = json.loads(json.dumps(declaration.schema()))
    assert json.loads(path.read_text(encoding="utf-8")) == plain


def test_schema_describes_each_field() -> None:
    parts = declaration.schema()["$defs"]
    fields = [field for part in ("Job", "Step", "Handler") for field in parts[part]["properties"]]
    assert {"step", "mapper", "file", "result_options"} <= set(fields)
    assert "workflow" in parts["Declaration"]["required"]
