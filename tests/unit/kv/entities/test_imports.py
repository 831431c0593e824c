from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jobx.errors import AlreadyExists
from jobx.kv import keys
from jobx.kv.entities.entities import Entities, WorkflowSnapshot
from jobx.kv.entities.imports import ImportRow, import_workflow
from jobx.kv.memory import MemoryStore
from jobx.kv.sqlite.store import SqliteStore
from jobx.model import Handler, Job, Step, Workflow

MAPPER = Handler(
    workflow_name="flow",
    handler_name="split",
    description="",
    handler_type="mapper",
    source_code="yield 1",
)
REDUCER = msgspec.structs.replace(MAPPER, handler_name="total", handler_type="reducer")
STEP = Step(
    workflow_name="flow",
    step_name="first",
    description="",
    map_handler_name="split",
    reduce_handler_name="total",
)
JOB = Job(workflow_name="flow", job_name="count", description="", initial_step_name="first")
WANTED = WorkflowSnapshot(
    Workflow(workflow_name="flow", description="d"),
    {"count": JOB},
    {"first": STEP},
    {"split": MAPPER, "total": REDUCER},
)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def wanted(**parts: Any) -> WorkflowSnapshot:
    fields = ("workflow", "jobs", "steps", "handlers")
    return WorkflowSnapshot(**{name: getattr(WANTED, name) for name in fields} | parts)


def everything(store: MemoryStore) -> dict[str, bytes]:
    return {entry.key: entry.value for entry in store.range("")}


def test_imported_workflow_is_as_if_it_had_been_created(store: MemoryStore) -> None:
    import_workflow(store, WANTED)
    other = MemoryStore()
    for entity in (WANTED.workflow, MAPPER, REDUCER, STEP, JOB):
        Entities(other).create(entity)
    found, expected = everything(store), everything(other)
    state = keys.entities_state("flow")
    assert found.pop(state) != expected.pop(state)
    assert found == expected


def test_import_lists_what_it_adds(store: MemoryStore) -> None:
    assert import_workflow(store, WANTED) == [
        ImportRow("workflow", "flow", "added"),
        ImportRow("handler", "split", "added"),
        ImportRow("handler", "total", "added"),
        ImportRow("step", "first", "added"),
        ImportRow("job", "count", "added"),
    ]


def test_import_refuses_a_workflow_that_exists(store: MemoryStore) -> None:
    Entities(store).create(WANTED.workflow)
    before = everything(store)
    with pytest.raises(AlreadyExists, match="workflow flow"):
        import_workflow(store, WANTED)
    assert everything(store) == before


def test_replace_makes_it_what_is_wanted_and_lists_that(store: MemoryStore) -> None:
    import_workflow(store, WANTED)
    faster = msgspec.structs.replace(REDUCER, source_code="yield 2")
    rows = import_workflow(
        store, wanted(jobs={}, handlers={"split": MAPPER, "total": faster}), replace=True
    )
    assert rows == [
        ImportRow("workflow", "flow", "updated"),
        ImportRow("handler", "total", "updated"),
        ImportRow("job", "count", "removed"),
    ]
    found = Entities(store).snapshot("flow")
    assert (found.jobs, found.handlers["total"].source_code) == ({}, "yield 2")


def test_replace_by_the_same_changes_nothing(store: MemoryStore) -> None:
    import_workflow(store, WANTED)
    before = everything(store)
    assert import_workflow(store, WANTED, replace=True) == []
    assert everything(store) == before


def test_replace_keeps_code_that_running_requests_need(store: MemoryStore) -> None:
    import_workflow(store, WANTED)
    version = Entities(store).get(Handler, "flow", "total").version
    faster = msgspec.structs.replace(REDUCER, source_code="yield 2")
    import_workflow(store, wanted(handlers={"split": MAPPER, "total": faster}), replace=True)
    assert store.get(keys.code("flow", str(version))) is not None


def test_replace_leaves_neighbours_alone(store: MemoryStore) -> None:
    Entities(store).create(Workflow(workflow_name="flow2", description=""))
    import_workflow(store, WANTED)
    import_workflow(store, wanted(jobs={}), replace=True)
    assert Entities(store).get(Workflow, "flow2").description == ""


@pytest.mark.parametrize("exists", [False, True])
def test_simulated_import_writes_nothing(store: MemoryStore, exists: bool) -> None:
    if exists:
        import_workflow(store, WANTED)
    before = everything(store)
    rows = import_workflow(store, wanted(jobs={}), replace=exists, simulate=True)
    assert [row.action for row in rows] == (["removed"] if exists else ["added"] * 4)
    assert everything(store) == before


class Racing(MemoryStore):
    """A store in which somebody changes something between the plan and the commit."""

    meanwhile: Callable[[], object] | None = None

    def commit(self, writes: Any) -> None:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile:
            meanwhile()
        super().commit(writes)


def test_import_that_loses_its_race_sees_what_won() -> None:
    store = Racing()
    store.meanwhile = lambda: Entities(store).create(WANTED.workflow)
    with pytest.raises(AlreadyExists):
        import_workflow(store, WANTED)
    assert Entities(store).list(Job, "flow") == []


def test_of_many_imports_at_once_one_wins_as_a_whole(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")

    def run(number: int) -> bool:
        workflow = Workflow(workflow_name="flow", description=str(number))
        mapper = msgspec.structs.replace(MAPPER, description=str(number))
        try:
            import_workflow(
                store, wanted(workflow=workflow, handlers={"split": mapper, "total": REDUCER})
            )
        except AlreadyExists:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(run, range(8))) == 1
    found = Entities(store).snapshot("flow")
    assert found.workflow.description == found.handlers["split"].description
    store.close()
