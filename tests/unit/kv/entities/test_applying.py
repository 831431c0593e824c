from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jobx.entity_json import encode
from jobx.errors import InUse, StoreUnavailable, TooLarge
from jobx.kv import keys
from jobx.kv.entities.applying import Change, apply_workflow, compare
from jobx.kv.entities.entities import Entities, WorkflowSnapshot
from jobx.kv.entities.references import AnyEntity, key_of, name_of
from jobx.kv.entities.transactions import change
from jobx.kv.entities.versions import version_of
from jobx.kv.memory import MemoryStore
from jobx.kv.sqlite.store import SqliteStore
from jobx.kv.store import Entry, Limits, Put, Store, Unit
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


def test_applied_workflow_is_as_if_it_had_been_created(store: MemoryStore) -> None:
    apply_workflow(store, WANTED)
    other = MemoryStore()
    for entity in (WANTED.workflow, MAPPER, REDUCER, STEP, JOB):
        Entities(other).create(entity)
    found, expected = everything(store), everything(other)
    state = keys.entities_state("flow")
    assert found.pop(state) != expected.pop(state)
    assert found == expected


def rows(changes: Iterable[Change]) -> list[tuple[str, str, str]]:
    return [(one.kind, one.name, one.action) for one in changes]


def test_apply_lists_what_it_adds(store: MemoryStore) -> None:
    assert rows(apply_workflow(store, WANTED)) == [
        ("workflow", "flow", "added"),
        ("handler", "split", "added"),
        ("handler", "total", "added"),
        ("step", "first", "added"),
        ("job", "count", "added"),
    ]


def test_replace_makes_it_what_is_wanted_and_lists_that(store: MemoryStore) -> None:
    apply_workflow(store, WANTED)
    faster = msgspec.structs.replace(REDUCER, source_code="yield 2")
    changes = apply_workflow(
        store, wanted(jobs={}, handlers={"split": MAPPER, "total": faster}), prune=True
    )
    assert rows(changes) == [
        ("workflow", "flow", "updated"),
        ("handler", "total", "updated"),
        ("job", "count", "removed"),
    ]
    found = Entities(store).snapshot("flow")
    assert (found.jobs, found.handlers["total"].source_code) == ({}, "yield 2")


def test_replace_by_the_same_changes_nothing(store: MemoryStore) -> None:
    apply_workflow(store, WANTED)
    before = everything(store)
    assert apply_workflow(store, WANTED, prune=True) == []
    assert everything(store) == before


def test_replace_keeps_code_that_running_requests_need(store: MemoryStore) -> None:
    apply_workflow(store, WANTED)
    version = Entities(store).get(Handler, "flow", "total").version
    faster = msgspec.structs.replace(REDUCER, source_code="yield 2")
    apply_workflow(store, wanted(handlers={"split": MAPPER, "total": faster}), prune=True)
    assert store.get(keys.code("flow", str(version))) is not None


def test_replace_leaves_neighbours_alone(store: MemoryStore) -> None:
    Entities(store).create(Workflow(workflow_name="flow2", description=""))
    apply_workflow(store, WANTED)
    apply_workflow(store, wanted(jobs={}), prune=True)
    assert Entities(store).get(Workflow, "flow2").description == ""


@pytest.mark.parametrize("exists", [False, True])
def test_simulated_apply_writes_nothing(store: MemoryStore, exists: bool) -> None:
    if exists:
        apply_workflow(store, WANTED)
    before = everything(store)
    changes = apply_workflow(store, wanted(jobs={}), prune=True, simulate=True)
    assert [one.action for one in changes] == (["removed"] if exists else ["added"] * 4)
    assert everything(store) == before


class Racing(MemoryStore):
    """A store in which somebody changes something between the plan and the commit."""

    meanwhile: Callable[[], object] | None = None

    def commit(self, writes: Any) -> None:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile:
            meanwhile()
        super().commit(writes)


def test_apply_that_loses_its_race_builds_on_what_won() -> None:
    store = Racing()
    other = msgspec.structs.replace(WANTED.workflow, description="other")
    store.meanwhile = lambda: Entities(store).create(other)
    changes = apply_workflow(store, WANTED)
    assert rows(changes)[0] == ("workflow", "flow", "updated")
    assert changes[0].before == other
    assert Entities(store).snapshot("flow").workflow.description == "d"


def test_of_many_applies_at_once_each_is_whole(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")

    def run(number: int) -> None:
        workflow = Workflow(workflow_name="flow", description=str(number))
        mapper = msgspec.structs.replace(MAPPER, description=str(number))
        handlers = {"split": mapper, "total": REDUCER}
        apply_workflow(store, wanted(workflow=workflow, handlers=handlers))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(8)))
    found = Entities(store).snapshot("flow")
    assert found.workflow.description == found.handlers["split"].description
    store.close()


def stored(*entities: AnyEntity) -> dict[str, AnyEntity | None]:
    return {key_of(type(one), "flow", name_of(one)): one for one in entities}


COMPLETE = msgspec.structs.replace(MAPPER, version=version_of(MAPPER))
OTHER = msgspec.structs.replace(STEP, step_name="other")


@pytest.mark.parametrize(
    ("here", "prune", "expected"),
    [
        ({}, False, ["added handler split"]),
        (stored(COMPLETE), False, []),
        (stored(msgspec.structs.replace(COMPLETE, description="x")), True, ["updated handler spl"]),
        ({"entities/handler/flow/split": None}, False, ["updated handler split"]),
        (stored(COMPLETE, OTHER), False, ["kept step other"]),
        (stored(COMPLETE, OTHER), True, ["removed step other"]),
        ({**stored(COMPLETE), "entities/job/flow/bad": None}, True, ["removed job bad"]),
        (stored(COMPLETE, msgspec.structs.replace(JOB, job_name="j")), False, ["kept job j"]),
    ],
)
def test_what_differs_is_told_of_each_entity(
    here: dict[str, AnyEntity | None], prune: bool, expected: list[str]
) -> None:
    changes = compare(here, wanted(jobs={}, steps={}, handlers={"split": MAPPER}), prune=prune)
    found = [f"{one.action} {one.kind} {one.name}" for one in changes if one.kind != "workflow"]
    assert [line[: len(some)] for line, some in zip(found, expected, strict=True)] == expected


def test_an_order_of_options_is_no_difference() -> None:
    job = msgspec.structs.replace(JOB, result_writer="file", result_options={"a": 1, "b": 2})
    turned = msgspec.structs.replace(job, result_options={"b": 2, "a": 1})
    changes = compare(stored(job), wanted(jobs={"count": turned}, steps={}, handlers={}))
    assert rows(changes) == [("workflow", "flow", "added")]


def test_a_handler_that_a_kept_step_needs_as_it_is_keeps_its_type(store: MemoryStore) -> None:
    apply_workflow(store, WANTED)
    turned = msgspec.structs.replace(MAPPER, handler_type="combiner")
    asked = wanted(jobs={}, steps={}, handlers={"split": turned, "total": REDUCER})
    with pytest.raises(InUse, match="handler flow/split is used by step first as a mapper"):
        apply_workflow(store, asked)
    assert rows(apply_workflow(store, asked, prune=True))[-1] == ("step", "first", "removed")


def test_what_is_not_wanted_is_kept_and_counts_for_the_state_of_handlers(
    store: MemoryStore,
) -> None:
    apply_workflow(store, WANTED)
    before = Entities(store).snapshot("flow")
    asked = wanted(jobs={}, steps={}, handlers={"split": MAPPER})
    assert {row[2] for row in rows(apply_workflow(store, asked))} == {"kept"}
    assert Entities(store).snapshot("flow") == before


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


def test_a_large_workflow_is_applied_in_pieces() -> None:
    small, whole = MemoryStore(limits=SMALL), MemoryStore()
    assert apply_workflow(small, large()) == apply_workflow(whole, large())
    assert entities_of(small) == entities_of(whole)
    assert small.range("code/") and apply_workflow(small, large(), prune=True) == []


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


def test_an_apply_in_pieces_reads_the_workflow_no_more_often_than_a_small_one() -> None:
    store = Reading()
    apply_workflow(store, large())
    assert store.reads == 3  # for the whole, for its rows, for the pieces


def test_an_apply_in_pieces_looks_again_when_somebody_else_changes_an_entity() -> None:
    store, expected = Reading(), MemoryStore()
    apply_workflow(expected, large())
    key = keys.entity("job", "flow", "of another one")
    store.then = [lambda: change(store, "flow", lambda: ([Put(key, encode(JOB))], None))]
    apply_workflow(store, large(), prune=True)
    assert store.reads == 4
    assert entities_of(store).keys() == entities_of(expected).keys()


@pytest.mark.parametrize("commits", range(14))
def test_an_apply_that_ended_early_shows_no_workflow_and_is_completed(commits: int) -> None:
    store, whole = Ending(commits), MemoryStore()
    apply_workflow(whole, large())
    try:
        apply_workflow(store, large())
    except StoreUnavailable:
        assert store.get(keys.workflow("flow")) is None
        store.left = 100
        apply_workflow(store, large())
    assert entities_of(store) == entities_of(whole)


@pytest.mark.parametrize("commits", range(20))
def test_a_replacement_that_ended_early_breaks_no_reference_and_is_completed(commits: int) -> None:
    store, whole = Ending(100), MemoryStore()
    for one in (store, whole):
        apply_workflow(one, large())
    apply_workflow(whole, large(2), prune=True)
    store.left = commits
    try:
        apply_workflow(store, large(2), prune=True)
    except StoreUnavailable:
        expect_references(store)
        store.left = 100
        apply_workflow(store, large(2), prune=True)
    assert entities_of(store) == entities_of(whole)


def test_an_entity_that_is_larger_than_a_transaction_is_too_large() -> None:
    store = MemoryStore(limits=Limits(size_bytes=2000))
    source = msgspec.structs.replace(MAPPER, source_code="x = 1\n" * 500)
    with pytest.raises(TooLarge):
        apply_workflow(store, wanted(handlers={"split": source, "total": REDUCER}))
    assert store.get(keys.workflow("flow")) is None


def test_an_apply_with_an_entity_that_is_too_large_changes_nothing() -> None:
    store = MemoryStore(limits=Limits(size_bytes=2000))
    apply_workflow(store, WANTED)
    before = everything(store)
    source = msgspec.structs.replace(MAPPER, source_code="x = 1\n" * 500)
    source = msgspec.structs.replace(source, handler_name="z")
    other = msgspec.structs.replace(MAPPER, source_code="yield 2")
    handlers = {"split": other, "total": REDUCER, "z": source}
    with pytest.raises(TooLarge):
        apply_workflow(store, wanted(handlers=handlers), prune=True)
    assert everything(store) == before


def test_what_was_done_before_an_end_is_told() -> None:
    store = Ending(2)
    told: list[Change] = []
    with pytest.raises(StoreUnavailable):
        apply_workflow(store, large(), tell=told.extend)
    assert {(one.kind, one.name) for one in told} == {
        tuple(key.split("/")[1::2]) for key in entities_of(store)
    }
    assert told
