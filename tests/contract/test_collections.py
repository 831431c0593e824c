"""Queue and tree collections, over every back end."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from jobx.errors import AlreadyExists, InvalidInput, NotFound
from jobx.kv.collections.collections import KvQueue, KvTree
from jobx.kv.entities.entities import Entities
from jobx.kv.sqlite.store import SqliteStore
from jobx.kv.store import Create, Store
from jobx.model import Handler, Workflow
from tests.support.processes import running
from tests.support.stores import KINDS, OpenStore

MAPPER = Handler(
    workflow_name="flow",
    handler_name="split",
    description="",
    handler_type="mapper",
    source_code="yield 1",
)
OTHER_FLOW = Handler(
    workflow_name="other",
    handler_name="split",
    description="",
    handler_type="mapper",
    source_code="yield 1",
)


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, open_store: OpenStore, tmp_path: Path) -> Iterator[Store]:
    opened = open_store(request.param, tmp_path)
    entities = Entities(opened)
    entities.create(Workflow(workflow_name="flow", description=""))
    entities.create(MAPPER)
    yield opened
    opened.close()


@pytest.fixture
def queue(store: Store) -> KvQueue:
    made = KvQueue(store, "flow", "inbox")
    made.create()
    return made


@pytest.fixture
def tree(store: Store) -> KvTree:
    made = KvTree(store, "flow", "seen")
    made.create()
    return made


@pytest.fixture(params=[KvQueue, KvTree], ids=["queue", "tree"])
def collection(request: pytest.FixtureRequest, store: Store) -> Any:
    return request.param(store, "flow", "c")


def test_collection_exists_from_create_to_delete(collection: Any) -> None:
    seen = [collection.exists()]
    collection.create()
    seen.append(collection.exists())
    collection.delete()
    assert [*seen, collection.exists()] == [False, True, False]


def test_second_create_is_refused(collection: Any) -> None:
    collection.create()
    with pytest.raises(AlreadyExists, match="flow/c exists already"):
        collection.create()


def test_collection_of_no_workflow_is_refused(store: Store) -> None:
    with pytest.raises(NotFound, match="workflow named gone"):
        KvQueue(store, "gone", "c").create()


@pytest.mark.parametrize("name", ["", "a/b", "..", "A"])
def test_what_is_no_name_of_a_collection_is_refused(store: Store, name: str) -> None:
    for kind in (KvQueue, KvTree):
        with pytest.raises(InvalidInput):
            kind(store, "flow", name)


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.delete(),
        lambda c: c.get("x"),
        lambda c: c.list_keys(),
        lambda c: c.list_data(),
        lambda c: c.update("x", str),
        lambda c: c.delete_key("x"),
        lambda c: c.add("x"),
        lambda c: c.revision(),
    ],
)
def test_collection_that_does_not_exist_is_named(
    collection: Any, call: Callable[[Any], object]
) -> None:
    with pytest.raises(NotFound, match="named flow/c"):
        call(collection)


def test_delete_takes_all_along_and_no_neighbour(store: Store) -> None:
    for kind in (KvQueue, KvTree):
        for name in ("a", "ab", "a.b"):
            kind(store, "flow", name).create()
            kind(store, "flow", name).add("x")
    KvQueue(store, "flow", "a").delete()
    assert store.range("queue_items/flow/a/") == []
    left = [KvQueue(store, "flow", "ab"), KvQueue(store, "flow", "a.b"), KvTree(store, "flow", "a")]
    assert [len(one.list_keys()) for one in left] == [1, 1, 1]


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        10**30,
        0.5,
        "é\ud7ff\0",
        b"\xff",
        [1, [2]],
        {"a": {"b": None}, 1: 2},
        Decimal("1.50"),
        datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
    ],
    ids=repr,
)
def test_values_of_all_kinds_come_back(queue: KvQueue, tree: KvTree, value: Any) -> None:
    tree.add("x", value)
    assert queue.get(queue.add(value)) == value
    assert tree.get("x") == value


def test_what_is_no_value_is_refused(queue: KvQueue) -> None:
    with pytest.raises(InvalidInput):
        queue.add(object())
    assert queue.list_keys() == []


def test_children_are_json_for_plain_tools(store: Store, queue: KvQueue, tree: KvTree) -> None:
    queue.add({"a": 1})
    tree.set("x", [1])
    entries = store.range("queue_items/flow/inbox/")
    entries += store.range("entity_tree_children/flow/seen/")
    assert [json.loads(entry.value) for entry in entries] == [{"a": 1}, [1]]


@pytest.fixture(params=[KvQueue, KvTree], ids=["queue", "tree"])
def old(request: pytest.FixtureRequest, store: Store) -> Any:
    """A collection of 1.0.0, whose children are below the key of its head."""
    made = request.param(store, "flow", "old")
    head, child = made._head, "0000000000" if request.param is KvQueue else "x"
    store.commit([Create(head, b'{"edits": 1}'), Create(f"{head}/{child}", b'"first"')])
    return made


def test_a_collection_of_1_0_0_is_read_and_edited(old: Any) -> None:
    (first,) = old.list_keys()
    assert (old.get(first), old.list_data()) == ("first", ["first"])
    old.update(first, lambda value: f"{value} again")
    old.add("y")
    assert len(old.list_keys()) == 2 and "first again" in old.list_data()
    old.delete_key(first)
    assert len(old.list_keys()) == 1


def test_a_collection_of_1_0_0_goes_with_all_that_it_has(store: Store, old: Any) -> None:
    old.add("y")
    old.delete()
    assert store.range("queue") + store.range("entity_tree") == []


def test_a_collection_that_replaces_one_of_1_0_0_is_of_this_version(store: Store, old: Any) -> None:
    again = type(old)(store, "flow", "old")
    again.delete()
    again.create()
    old.add("z")
    assert old.list_keys() == again.list_keys() != []
    assert store.range(f"{old._head}/") == []


def test_queue_lists_in_the_order_of_adding_from_its_head(queue: KvQueue) -> None:
    added = [queue.add(number) for number in (3, 1, 2)]
    assert added == sorted(added) == queue.list_keys()
    assert queue.list_data() == [3, 1, 2]
    assert queue.list_data(2) == [3, 1]
    assert queue.list_keys_with_data(1) == [(added[0], 3)]


def test_queue_never_gives_a_key_twice(queue: KvQueue) -> None:
    first = queue.add("a")
    queue.delete_key(first)
    assert queue.add("b") > first
    with pytest.raises(NotFound, match=first):
        queue.get(first)


def test_queue_gives_the_entity_as_it_is_now(queue: KvQueue, store: Store) -> None:
    key = queue.add_entity(MAPPER)
    changed = Entities(store).put(MAPPER.__class__(**_fields(MAPPER, description="new")))
    assert queue.get_entity(key) == changed
    assert queue.list_entities() == [changed]
    assert queue.list_keys_with_entities() == [(key, changed)]


def test_queue_names_an_entity_that_is_gone(queue: KvQueue, store: Store) -> None:
    key = queue.add_entity(MAPPER)
    Entities(store).delete(Handler, "flow", "split")
    with pytest.raises(NotFound, match="handler named flow/split"):
        queue.get_entity(key)


def test_item_that_is_no_entity_is_refused_as_one(queue: KvQueue) -> None:
    with pytest.raises(InvalidInput, match="refers to no entity"):
        queue.get_entity(queue.add({"kind": "odd"}))


def test_entity_of_another_workflow_is_refused(queue: KvQueue, tree: KvTree) -> None:
    for add in (queue.add_entity, tree.add_entity):
        with pytest.raises(InvalidInput, match="is not of workflow flow"):
            add(OTHER_FLOW)


def test_tree_lists_by_name(tree: KvTree) -> None:
    for name in ("b", "a", "é"):
        tree.add(name, name.upper())
    assert tree.list() == [("a", "A"), ("b", "B"), ("é", "É")]
    assert tree.list_keys(1) == ["a"]
    assert tree.list_data(2) == ["A", "B"]


def test_add_refuses_a_child_that_exists_and_set_replaces_it(tree: KvTree) -> None:
    tree.add("a", 1)
    with pytest.raises(AlreadyExists):
        tree.add("a", 2)
    tree.set("a", 3)
    assert tree.list() == [("a", 3)]


@pytest.mark.parametrize("name", ["", "a/b", "a\0", "\n", "x" * 201])
def test_what_is_no_name_of_a_child_is_refused(tree: KvTree, name: str) -> None:
    for call in (tree.add, tree.set):
        with pytest.raises(InvalidInput):
            call(name)


def test_tree_keeps_values_for_entities(tree: KvTree, store: Store) -> None:
    flow = Entities(store).get(Workflow, "flow")
    stored = Entities(store).get(Handler, "flow", "split")
    tree.add_entity(flow)
    tree.add_entity(stored, 1)
    tree.add("plain", 2)
    assert tree.update_entity(stored, lambda value: value + 1) == 2
    assert tree.get_data_for_entity(stored) == 2
    assert tree.list_entities() == [stored, flow]
    assert tree.list_entities_and_data() == [(stored, 2), (flow, None)]


def test_adding_by_many_threads_loses_nothing_and_keeps_their_order(queue: KvQueue) -> None:
    def add(thread: int) -> list[str]:
        return [queue.add([thread, number]) for number in range(12)]

    with ThreadPoolExecutor(6) as pool:
        added = list(pool.map(add, range(6)))
    found = queue.list_data()
    assert sorted(found) == [[thread, number] for thread in range(6) for number in range(12)]
    assert queue.list_keys() == sorted(key for of_thread in added for key in of_thread)
    for thread in range(6):
        assert [n for t, n in found if t == thread] == list(range(12))


def test_updates_by_many_threads_lose_nothing(tree: KvTree) -> None:
    tree.add("count", 0)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: tree.update("count", lambda n: n + 1), range(48)))
    assert tree.get("count") == 48


def test_of_many_that_add_a_child_one_wins(tree: KvTree) -> None:
    def add(number: int) -> bool:
        try:
            tree.add("a", number)
        except AlreadyExists:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(add, range(6))) == 1


def test_delete_among_adders_leaves_nothing_behind(store: Store) -> None:
    def add(number: int) -> None:
        try:
            KvQueue(store, "flow", "q").add(number)
        except NotFound:
            return

    KvQueue(store, "flow", "q").create()
    with ThreadPoolExecutor(4) as pool:
        adding = [pool.submit(add, number) for number in range(30)]
        pool.submit(KvQueue(store, "flow", "q").delete).result(60)
        for one in adding:
            one.result(60)
    assert store.range("queues/flow/q") + store.range("queue_items/flow/q") == []


ADDER = """
import sys, pathlib
from jobx.kv.collections.collections import KvQueue, KvTree
from jobx.kv.sqlite.store import SqliteStore
opened = SqliteStore(pathlib.Path(sys.argv[1]))
for number in range(10):
    KvQueue(opened, "flow", "q").add([int(sys.argv[2]), number])
    KvTree(opened, "flow", "t").update("count", lambda n: n + 1)
opened.close()
"""


def test_processes_that_edit_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = SqliteStore(path)
    Entities(store).create(Workflow(workflow_name="flow", description=""))
    queue, tree = KvQueue(store, "flow", "q"), KvTree(store, "flow", "t")
    queue.create()
    tree.create()
    tree.add("count", 0)
    with ExitStack() as stack:
        command = ["-c", ADDER, str(path)]
        adders = [stack.enter_context(running([*command, str(n)])) for n in range(3)]
        assert [adder.communicate(timeout=60) for adder in adders] == [("", "")] * 3
    expected = [[process, number] for process in range(3) for number in range(10)]
    assert sorted(queue.list_data()) == expected
    assert tree.get("count") == 30
    store.close()


def test_wait_sees_an_edit_that_came_before_it(queue: KvQueue) -> None:
    before = queue.revision()
    queue.add(1)
    assert queue.wait_for_change(before, 0.0) == queue.revision()


def test_wait_ends_with_its_time(queue: KvQueue) -> None:
    assert queue.wait_for_change(queue.revision(), 0.01) is None


@pytest.mark.parametrize("edit", ["add", "update", "delete_key"])
def test_wait_sees_every_kind_of_edit(queue: KvQueue, edit: str) -> None:
    key = queue.add(1)
    edits: dict[str, Callable[[], object]] = {
        "add": lambda: queue.add(2),
        "update": lambda: queue.update(key, str),
        "delete_key": lambda: queue.delete_key(key),
    }
    before = queue.revision()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(queue.wait_for_change, before, 30.0)
        edits[edit]()
        assert waiting.result(60) == queue.revision()


def test_wait_ends_when_the_collection_goes(queue: KvQueue) -> None:
    before = queue.revision()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(queue.wait_for_change, before, 30.0)
        queue.delete()
        assert waiting.result(60) is None


def _fields(entity: Handler, **changes: Any) -> dict[str, Any]:
    return {name: getattr(entity, name) for name in entity.__struct_fields__} | changes
