from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jobx.errors import AlreadyExists, StoreUnavailable, TooLarge
from jobx.kv import keys
from jobx.kv.entities.entities import Entities, WorkflowSnapshot
from jobx.kv.entities.imports import ImportRow, import_workflow
from jobx.kv.entities.transactions import change
from jobx.kv.memory import MemoryStore
from jobx.kv.sqlite.store import SqliteStore
from jobx.kv.store import Entry, Limits, Put, Store, Unit
from jobx.model import Handler, Job, Step, Workflow, encode

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


MANY = 12
SMALL = Limits(writes=9)


def large(version: int = 1) -> WorkflowSnapshot:
    """Return a workflow of which a small transaction takes a part; versions share some names."""
    names = [f"n{number}" for number in range(version * 4, version * 4 + MANY)]
    source = f"yield {version}"
    return wanted(
        jobs={n: msgspec.structs.replace(JOB, job_name=n, initial_step_name=n) for n in names},
        steps={n: msgspec.structs.replace(STEP, step_name=n, map_handler_name=n) for n in names},
        handlers={
            "total": REDUCER,
            **{
                n: msgspec.structs.replace(MAPPER, handler_name=n, source_code=source)
                for n in names
            },
        },
    )


class Ending(MemoryStore):
    """Takes small transactions, and after some of them none."""

    def __init__(self, commits: int) -> None:
        super().__init__(limits=SMALL)
        self.left = commits

    def commit(self, writes: Unit) -> None:
        if not self.left:
            raise StoreUnavailable("gone")
        super().commit(writes)
        self.left -= 1


def entities_of(store: Store) -> dict[str, bytes]:
    return {entry.key: entry.value for entry in store.range("entities/")}


def expect_references(store: Store) -> None:
    """Expect that nothing refers to what is not there, or that there is no workflow."""
    snapshot = Entities(store).snapshot("flow")
    for step in snapshot.steps.values():
        assert step.map_handler_name in snapshot.handlers
    assert {job.initial_step_name for job in snapshot.jobs.values()} <= snapshot.steps.keys()


def test_a_large_workflow_is_imported_in_pieces() -> None:
    small, whole = MemoryStore(limits=SMALL), MemoryStore()
    assert import_workflow(small, large()) == import_workflow(whole, large())
    assert entities_of(small) == entities_of(whole)
    assert small.range("code/") and import_workflow(small, large(), replace=True) == []


class Reading(MemoryStore):
    """Takes small transactions, counts its reads of jobs, and can be changed by somebody else."""

    def __init__(self) -> None:
        super().__init__(limits=SMALL)
        self.reads = 0
        self.then: list[Callable[[], object]] = []

    def range(self, prefix: str, **how: Any) -> list[Entry]:
        self.reads += prefix.startswith("entities/job/")
        return super().range(prefix, **how)

    def commit(self, writes: Unit) -> None:
        super().commit(writes)
        if self.then:
            self.then.pop()()


def test_an_import_in_pieces_reads_the_workflow_no_more_often_than_a_small_one() -> None:
    store = Reading()
    import_workflow(store, large())
    assert store.reads == 3  # for the whole, for its rows, for the pieces


def test_an_import_in_pieces_looks_again_when_somebody_else_changes_an_entity() -> None:
    store, expected = Reading(), MemoryStore()
    import_workflow(expected, large())
    key = keys.entity("job", "flow", "of another one")
    store.then = [lambda: change(store, "flow", lambda: ([Put(key, encode(JOB))], None))]
    import_workflow(store, large())
    assert store.reads == 4
    assert entities_of(store).keys() == entities_of(expected).keys()


@pytest.mark.parametrize("commits", range(14))
def test_an_import_that_ended_early_shows_no_workflow_and_is_completed(commits: int) -> None:
    store, whole = Ending(commits), MemoryStore()
    import_workflow(whole, large())
    try:
        import_workflow(store, large())
    except StoreUnavailable:
        assert store.get(keys.workflow("flow")) is None
        store.left = 100
        import_workflow(store, large())
    assert entities_of(store) == entities_of(whole)


@pytest.mark.parametrize("commits", range(20))
def test_a_replacement_that_ended_early_breaks_no_reference_and_is_completed(commits: int) -> None:
    store, whole = Ending(100), MemoryStore()
    for one in (store, whole):
        import_workflow(one, large())
    import_workflow(whole, large(2), replace=True)
    store.left = commits
    try:
        import_workflow(store, large(2), replace=True)
    except StoreUnavailable:
        expect_references(store)
        store.left = 100
        import_workflow(store, large(2), replace=True)
    assert entities_of(store) == entities_of(whole)


def test_an_entity_that_is_larger_than_a_transaction_is_too_large() -> None:
    store = MemoryStore(limits=Limits(size_bytes=2000))
    source = msgspec.structs.replace(MAPPER, source_code="x = 1\n" * 500)
    with pytest.raises(TooLarge):
        import_workflow(store, wanted(handlers={"split": source, "total": REDUCER}))
    assert store.get(keys.workflow("flow")) is None


def test_an_import_with_an_entity_that_is_too_large_changes_nothing() -> None:
    store = MemoryStore(limits=Limits(size_bytes=2000))
    import_workflow(store, WANTED)
    before = everything(store)
    source = msgspec.structs.replace(MAPPER, source_code="x = 1\n" * 500)
    source = msgspec.structs.replace(source, handler_name="z")
    other = msgspec.structs.replace(MAPPER, source_code="yield 2")
    handlers = {"split": other, "total": REDUCER, "z": source}
    with pytest.raises(TooLarge):
        import_workflow(store, wanted(handlers=handlers), replace=True)
    assert everything(store) == before
