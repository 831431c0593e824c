from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx.errors import InvalidInput, TooLarge
from jobx.handlers.authoring import workflow_file
from jobx.kv.entities.entities import Entities, WorkflowSnapshot
from jobx.kv.entities.imports import import_workflow
from jobx.kv.entities.versions import version_of
from jobx.kv.memory import MemoryStore
from jobx.model import Example, Handler, Job, Retry, Step, Workflow

MAPPER = Handler(
    workflow_name="flow",
    handler_name="split",
    description="Splits “text”.",
    handler_type="mapper",
    source_code="yield MrConfigureToReturn()\nyield 'é\\n', 1\n",
    argument_spec=(("text", "str"),),
    retry=Retry(attempts=3, backoff_s=0.25),
    time_limit_s=1.5,
    examples=(Example(arguments={"z": 1, "a": [None, 0.1, 1 << 60]}, expected=[["é", 1]]),),
)
REDUCER = Handler(
    workflow_name="flow",
    handler_name="total",
    description="",
    handler_type="reducer",
    source_code="for key, values in results:\n    yield key, sum(values)\n",
)
STEP = Step(
    workflow_name="flow",
    step_name="first",
    description="",
    map_handler_name="split",
    reduce_handler_name="total",
)
JOB = Job(workflow_name="flow", job_name="count", description="", initial_step_name="first")


@pytest.fixture
def stored() -> WorkflowSnapshot:
    entities = Entities(MemoryStore())
    workflow = Workflow(workflow_name="flow", description="d")
    for entity in (workflow, REDUCER, MAPPER, STEP, JOB):
        entities.create(entity)
    return entities.snapshot("flow")


@pytest.fixture
def document(stored: WorkflowSnapshot) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(workflow_file.dump(stored))
    return found


def test_file_is_a_versioned_document_of_all_entities_by_name(document: dict[str, Any]) -> None:
    assert list(document) == ["format", "version", "workflow", "jobs", "steps", "handlers"]
    assert (document["format"], document["version"]) == ("jobx-workflow", 1)
    assert document["workflow"] == {"workflow_name": "flow", "description": "d"}
    assert [one["handler_name"] for one in document["handlers"]] == ["split", "total"]
    assert document["handlers"][0]["source_code"] == MAPPER.source_code


def test_file_goes_through_a_store_with_the_same_bytes(stored: WorkflowSnapshot) -> None:
    body = workflow_file.dump(stored)
    store = MemoryStore()
    import_workflow(store, workflow_file.load(body))
    assert workflow_file.dump(Entities(store).snapshot("flow")) == body


def test_file_can_be_loaded_under_another_name(stored: WorkflowSnapshot) -> None:
    store = MemoryStore()
    import_workflow(store, workflow_file.load(workflow_file.dump(stored), "flow2"))
    found = Entities(store).snapshot("flow2")
    assert found.handlers["split"].workflow_name == "flow2"
    assert found.handlers["split"].version == version_of(found.handlers["split"])


@given(
    source=st.text(st.characters(exclude_categories=["Cs"])),
    description=st.text(st.characters(exclude_categories=["Cs"]), max_size=50),
)
def test_any_text_comes_back_from_a_file(source: str, description: str) -> None:
    workflow = Workflow(workflow_name="flow", description=description)
    handler = Handler(
        workflow_name="flow",
        handler_name="h",
        description="",
        handler_type="mapper",
        source_type="python",
        source_code=f"yield {source!r}",
    )
    snapshot = WorkflowSnapshot(workflow, {}, {}, {"h": handler})
    assert workflow_file.load(workflow_file.dump(snapshot)) == snapshot


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (["format"], "tar", 'the format "jobx-workflow"'),
        (["version"], 2, "file, version: this JobX reads version 1"),
        (["more"], 1, "unknown field `more`"),
        (["jobs"], None, r"jobs"),
        (["workflow", "workflow_name"], "A", "workflow_name"),
        (["workflow", "workflow_name"], "a..b", "file, workflow"),
        (["jobs", 0, "job_name"], None, r"file, jobs\[0\]\.job_name"),
        (["jobs", 0, "description"], 1, "file, job count: .*description"),
        (["jobs", 0, "colour"], 1, "file, job count: .*colour"),
        (["jobs", 0, "workflow_name"], "flow", "file, job count, workflow_name"),
        (["jobs", 0, "initial_step_name"], "gone", "job count, initial_step_name: .*no such step"),
        (["steps", 0, "map_handler_name"], "gone", "step first, map_handler_name: .*no such han"),
        (["steps", 0, "combine_handler_name"], "split", "combine_handler_name: it is a mapper"),
        (["handlers", 0, "version"], "x", "file, handler split, version"),
        (["handlers", 0, "handler_type"], "reducer", "map_handler_name: it is a reducer"),
        (["handlers", 0, "source_code"], "yield (", "handler split"),
        (["handlers", 0, "source_type"], "cobol", "cobol"),
        (["handlers", 1, "handler_name"], "split", "handler split: is repeated"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_wrong_in_a_file_is_named(
    document: dict[str, Any], path: list[Any], value: Any, named: str
) -> None:
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(InvalidInput, match=named):
        workflow_file.load(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"", "is not JSON"),
        (b"\xff", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"format": "jobx-workflow", "version": NaN}', "has NaN"),
        (b'{"format": 1, "format": 2}', "'format' twice"),
        (b"[]", "the format"),
    ],
    ids=["empty", "bytes", "deep", "nan", "twice", "list"],
)
def test_what_is_no_file_of_a_workflow_is_refused(body: bytes, named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        workflow_file.load(body)


def test_file_that_is_too_large_is_refused() -> None:
    with pytest.raises(TooLarge):
        workflow_file.load(b" " * (workflow_file.MAX_FILE_BYTES + 1))
