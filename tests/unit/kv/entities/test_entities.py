from __future__ import annotations

import datetime
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jobx.errors import AlreadyExists, Conflict, InUse, InvalidInput, NotFound, TooLarge
from jobx.kv import keys
from jobx.kv.collections.collections import KvQueue, KvTree
from jobx.kv.entities.entities import Entities
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import request_entity
from jobx.kv.sqlite.store import SqliteStore
from jobx.model import Example, Handler, Job, Request, Step, Workflow
from tests.unit.kv.entities.flow import FLOW, HANDLERS, JOB, STEP, changed, handler, refused


def open_request(request_id: str = "r1") -> Request:
    return Request(
        workflow_name="flow",
        request_id=request_id,
        job_name="count",
        invocation_id="i",
        accepted_at=1.0,
    )


def test_entities_come_back_as_created(entities: Entities) -> None:
    assert entities.get(Job, "flow", "count") == JOB
    assert entities.get(Step, "flow", "first") == STEP
    assert entities.get(Workflow, "flow").description == "A flow"
    assert entities.get(Handler, "flow", "split").source_code == "yield 1"


def test_entities_are_json_at_their_old_paths(entities: Entities, store: MemoryStore) -> None:
    entry = store.get("entities/step/flow/first")
    assert entry is not None
    assert msgspec.json.decode(entry.value)["map_handler_name"] == "split"


@pytest.mark.parametrize("entity", [FLOW, JOB, STEP, HANDLERS[0]], ids=lambda e: type(e).__name__)
def test_create_refuses_what_exists(entities: Entities, entity: Any) -> None:
    error = refused(lambda: entities.create(entity))
    assert isinstance(error, AlreadyExists)
    assert error.args[0] == type(entity).__name__.lower()


@pytest.mark.parametrize(
    ("kind", "name", "args"),
    [
        (Job, "gone", ("job", "flow/gone")),
        (Step, "gone", ("step", "flow/gone")),
        (Handler, "gone", ("handler", "flow/gone")),
    ],
)
def test_what_does_not_exist_is_named(
    entities: Entities, kind: Any, name: str, args: tuple[str, str]
) -> None:
    for call in (entities.get, entities.delete):
        error = refused(lambda call=call: call(kind, "flow", name))
        assert (type(error), error.args) == (NotFound, args)


@pytest.mark.parametrize("name", ["", "A", "a/b", "..", None])
def test_what_is_no_name_is_refused(entities: Entities, name: Any) -> None:
    assert isinstance(refused(lambda: entities.get(Job, "flow", name)), InvalidInput)


@pytest.mark.parametrize(
    "entity", [changed(JOB, job_name="a/b"), changed(JOB, description="x" * 5000)]
)
def test_a_wrong_field_is_refused_before_it_is_stored(entities: Entities, entity: Job) -> None:
    assert isinstance(refused(lambda: entities.put(entity)), InvalidInput)
    assert entities.list(Job, "flow") == [JOB]


@pytest.mark.parametrize(
    "argument", [b"x", float("inf"), {1: 2}, datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)]
)
def test_what_json_has_not_is_refused_and_not_changed(entities: Entities, argument: Any) -> None:
    examples = [Example(arguments={"x": argument}, expected=[])]
    with pytest.raises(InvalidInput, match="JSON"):
        entities.put(handler("split", "mapper", examples=tuple(examples)))


@pytest.mark.parametrize(
    ("entity", "args"),
    [
        (changed(JOB, workflow_name="gone"), ("workflow", "gone")),
        (changed(JOB, initial_step_name="gone"), ("step", "flow/gone")),
        (changed(STEP, map_handler_name="gone"), ("handler", "flow/gone")),
        (changed(STEP, combine_handler_name="gone"), ("handler", "flow/gone")),
        (changed(STEP, reduce_handler_name="gone"), ("handler", "flow/gone")),
        (handler("new", "mapper", workflow_name="gone"), ("workflow", "gone")),
    ],
)
def test_what_an_entity_refers_to_must_exist(
    entities: Entities, entity: Any, args: tuple[str, str]
) -> None:
    error = refused(lambda: entities.put(entity))
    assert (type(error), error.args) == (NotFound, args)


@pytest.mark.parametrize("field", ["map_handler_name", "reduce_handler_name"])
def test_a_step_refuses_a_handler_of_another_type(entities: Entities, field: str) -> None:
    error = refused(lambda: entities.put(changed(STEP, **{field: "add"})))
    assert isinstance(error, InvalidInput)
    assert f"{field}: it is a combiner" in str(error)


def test_a_step_needs_no_combiner(entities: Entities) -> None:
    entities.put(changed(STEP, combine_handler_name=None))
    assert entities.get(Step, "flow", "first").combine_handler_name is None


@pytest.mark.parametrize(
    ("kind", "name", "by"),
    [
        (Step, "first", "job count"),
        (Handler, "add", "step first"),
        (Handler, "split", "step first"),
        (Workflow, None, "job count, step first, handler add and others"),
    ],
)
def test_what_is_in_use_cannot_be_deleted(
    entities: Entities, kind: Any, name: str | None, by: str
) -> None:
    error = refused(lambda: entities.delete(kind, "flow", name))
    assert isinstance(error, InUse)
    assert error.args[2] == by


@pytest.mark.parametrize(
    ("kind", "name", "broken"),
    [
        (Job, "count", []),
        (Step, "first", ["job count"]),
        (Handler, "add", ["step first"]),
        (
            Workflow,
            None,
            ["job count", "step first", "handler add", "handler split", "handler total"],
        ),
    ],
)
def test_force_deletes_what_is_in_use_and_lists_what_breaks(
    entities: Entities, kind: Any, name: str | None, broken: list[str]
) -> None:
    assert entities.delete(kind, "flow", name, force=True) == broken
    assert isinstance(refused(lambda: entities.get(kind, "flow", name)), NotFound)


def test_force_takes_all_of_a_workflow_and_nothing_of_its_neighbours(
    entities: Entities, store: MemoryStore
) -> None:
    entities.create(changed(FLOW, workflow_name="flow2"))
    entities.create(handler("add", "combiner", workflow_name="flow2"))
    for workflow in ("flow", "flow2"):
        KvQueue(store, workflow, "q").create()
        KvQueue(store, workflow, "q").add(1)
        KvTree(store, workflow, "t").create()
        KvTree(store, workflow, "t").add("x")
    assert entities.delete(Workflow, "flow", force=True)[-2:] == ["queue q", "tree t"]
    roots = "entities/", "queue", "entity_tree"
    left = [entry for root in roots for entry in store.range(root)]
    assert [entry.key for entry in left] == [
        "entities/handler/flow2/add",
        "entities/workflow/flow2",
        "queue_items/flow2/q/0000000000",
        "queues/flow2/q",
        "entity_tree_children/flow2/t/x",
        "entity_trees/flow2/t",
    ]


def test_an_open_request_is_in_the_way_of_force(entities: Entities, store: MemoryStore) -> None:
    store.commit(request_entity.accept_writes(open_request(), "node1"))
    error = refused(lambda: entities.delete(Workflow, "flow", force=True))
    assert (type(error), error.args[2]) == (InUse, "open request r1")
    assert entities.list(Job, "flow") == [JOB]


def test_what_force_broke_has_a_fault_until_it_is_mended(entities: Entities) -> None:
    entities.delete(Handler, "flow", "add", force=True)
    assert entities.fault(STEP) == "there is no handler named flow/add"
    entities.create(HANDLERS[0])
    entities.delete(Step, "flow", "first", force=True)
    assert (entities.fault(STEP), entities.fault(JOB)) == (
        None,
        "there is no step named flow/first",
    )


def test_a_handler_of_another_type_cannot_take_the_place_of_a_deleted_one(
    entities: Entities,
) -> None:
    entities.delete(Handler, "flow", "add", force=True)
    error = refused(lambda: entities.create(handler("add", "mapper")))
    assert (type(error), error.args[2]) == (InUse, "step first")


def test_a_handler_in_use_keeps_its_type(entities: Entities) -> None:
    error = refused(lambda: entities.put(handler("split", "reducer")))
    assert (type(error), error.args[2]) == (InUse, "step first")
    entities.put(handler("split", "mapper", source_code="yield 2"))


def test_all_can_be_deleted_from_the_outside_in(entities: Entities, store: MemoryStore) -> None:
    entities.delete(Job, "flow", "count")
    entities.delete(Step, "flow", "first")
    for one in HANDLERS:
        entities.delete(Handler, "flow", one.handler_name)
    entities.delete(Workflow, "flow")
    assert store.range("entities/") == []


def test_a_workflow_with_an_open_request_cannot_be_deleted(store: MemoryStore) -> None:
    entities = Entities(store)
    entities.create(FLOW)
    store.commit(request_entity.accept_writes(open_request(), "node1"))
    error = refused(lambda: entities.delete(Workflow, "flow"))
    assert (type(error), error.args[2]) == (InUse, "open request r1")


def test_list_gives_entities_by_name_in_pages(entities: Entities) -> None:
    names = [one.handler_name for one in entities.list(Handler, "flow")]
    assert names == ["add", "split", "total"]
    found, cursor = entities.page(Handler, "flow", "add", 1)
    assert ([one.handler_name for one in found], cursor) == (["split"], "split")
    assert entities.page(Handler, "flow", "split", 1)[1] is None


def test_a_page_ends_early_where_entities_are_large(
    entities: Entities, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobx.kv.entities.entities.PAGE_BYTES", 1)
    found, cursor = entities.page(Handler, "flow")
    assert ([one.handler_name for one in found], cursor) == (["add"], "add")


def test_pages_of_all_workflows_go_on_behind_their_cursor(entities: Entities) -> None:
    entities.create(changed(FLOW, workflow_name="flow2"))
    entities.create(handler("add", "combiner", workflow_name="flow2"))
    names, cursor = [], None
    while True:
        found, cursor = entities.page(Handler, after=cursor, limit=2)
        names += [f"{one.workflow_name}/{one.handler_name}" for one in found]
        if cursor is None:
            break
    assert names == ["flow/add", "flow/split", "flow/total", "flow2/add"]


def test_a_description_has_a_limit(entities: Entities) -> None:
    large = changed(handler("long", "mapper"), description="x" * 65_537)
    assert isinstance(refused(lambda: entities.create(large)), TooLarge)
    entities.create(changed(large, description="x" * 65_536))


def test_list_without_a_workflow_spans_all_of_them(entities: Entities) -> None:
    entities.create(changed(FLOW, workflow_name="flow2"))
    entities.create(handler("add", "combiner", workflow_name="flow2"))
    assert len(entities.list(Handler)) == 4
    assert [one.workflow_name for one in entities.list(Workflow)] == ["flow", "flow2"]
    assert len(entities.page(Handler, after="flow/total")[0]) == 1


def test_list_names_a_workflow_that_does_not_exist(entities: Entities) -> None:
    assert isinstance(refused(lambda: entities.list(Job, "gone")), NotFound)


def test_replace_needs_the_entity_and_its_revision(entities: Entities, store: MemoryStore) -> None:
    entry = store.get(keys.entity("job", "flow", "count"))
    assert entry is not None
    new = changed(JOB, description="new")
    assert isinstance(refused(lambda: entities.replace(changed(JOB, job_name="x"))), NotFound)
    assert isinstance(refused(lambda: entities.replace(new, entry.revision + 99)), Conflict)
    assert entities.replace(new, entry.revision) == new
    assert isinstance(refused(lambda: entities.replace(JOB, entry.revision)), Conflict)


def test_state_changes_with_every_change_and_with_nothing_else(store: MemoryStore) -> None:
    entities = Entities(store)
    seen = [entities.states()]
    for change in (
        lambda: entities.create(FLOW),
        lambda: entities.create(HANDLERS[0]),
        lambda: entities.put(changed(HANDLERS[0], source_code="yield 2")),
        lambda: entities.delete(Handler, "flow", "add"),
    ):
        change()
        seen.append(entities.states())
    entities.put(FLOW)
    refused(lambda: entities.create(FLOW))
    assert seen[0] == {}
    assert len({state.get("flow") for state in seen}) == 5
    assert entities.states() == seen[-1]


def test_a_change_leaves_the_state_of_other_workflows_as_it_is(entities: Entities) -> None:
    before = entities.states()
    entities.create(Workflow(workflow_name="other", description=""))
    after = entities.states()
    assert after.pop("other")
    assert after == before


def test_a_workflow_that_comes_back_has_another_state(store: MemoryStore) -> None:
    entities = Entities(store)
    seen = []
    for _ in range(2):
        entities.create(FLOW)
        seen.append(entities.states()["flow"])
        entities.delete(Workflow, "flow")
        seen.append(entities.states()["flow"])
    assert len(set(seen)) == 4


def test_snapshot_holds_all_of_one_workflow(entities: Entities) -> None:
    entities.create(changed(FLOW, workflow_name="flow2"))
    found = entities.snapshot("flow")
    assert found.workflow == entities.get(Workflow, "flow")
    assert (list(found.jobs), list(found.steps)) == (["count"], ["first"])
    assert list(found.handlers) == ["add", "split", "total"]
    assert entities.snapshot("flow2").handlers == {}


class Racing(MemoryStore):
    """A store in which somebody changes something between the check and the commit."""

    def __init__(self) -> None:
        super().__init__()
        self.before_commit: Callable[[], object] | None = None

    def commit(self, writes: Any) -> None:
        meanwhile, self.before_commit = self.before_commit, None
        if meanwhile:
            meanwhile()
        super().commit(writes)


def test_a_change_that_loses_its_race_is_checked_again() -> None:
    store = Racing()
    entities = Entities(store)
    for entity in (FLOW, *HANDLERS, STEP):
        entities.create(entity)
    store.before_commit = lambda: Entities(store).delete(Step, "flow", "first")
    error = refused(lambda: entities.create(JOB))
    assert (type(error), error.args) == (NotFound, ("step", "flow/first"))


def test_a_change_that_always_loses_its_race_ends_in_a_conflict() -> None:
    store = Racing()
    entities = Entities(store)
    numbers = iter(range(1000))

    def meanwhile() -> None:
        Entities(store).put(changed(FLOW, description=str(next(numbers))))
        store.before_commit = meanwhile

    entities.create(FLOW)
    store.before_commit = meanwhile
    assert isinstance(refused(lambda: entities.create(HANDLERS[0])), Conflict)


def test_concurrent_edits_lose_nothing(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")
    Entities(store).create(FLOW)

    def create(number: int) -> str | None:
        made = handler(f"h{number}", "mapper", source_code=f"yield {number}")
        return Entities(store).create(made).version

    with ThreadPoolExecutor(4) as pool:
        versions = list(pool.map(create, range(24)))
    found = Entities(store).snapshot("flow")
    assert {one.version for one in found.handlers.values()} == set(versions)
    assert found.workflow.handlers_state is not None
    Entities(store).put(handler("h0", "mapper", source_code="yield 0", description="new"))
    assert Entities(store).get(Workflow, "flow").handlers_state == found.workflow.handlers_state
    store.close()
