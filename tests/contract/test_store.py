"""The store's contract, over every back end."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from aetcd.rpc import rpc_pb2
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from jobx.errors import Conflict, EntryDamaged, StoreRefused, TooLarge
from jobx.kv import keys
from jobx.kv.etcd.store import EtcdStore
from jobx.kv.etcd2.calls import Write as Write2
from jobx.kv.etcd2.store import Etcd2Store
from jobx.kv.memory import MemoryStore
from jobx.kv.prefixes import scan
from jobx.kv.requests import event_log
from jobx.kv.sqlite.store import SqliteStore
from jobx.kv.store import (
    CommitOutcome,
    Create,
    Delete,
    DeletePrefix,
    Limits,
    Put,
    Replace,
    Store,
    Write,
)
from tests.support.stores import ALL_KINDS, KINDS, OpenStore

#: A unit may have little.
LITTLE = Limits(writes=8, size_bytes=1000)
#: Neighbours in every way that a prefix range can get wrong, in key order.
AWKWARD = [
    "",
    "a",
    "a\0",
    "a/",
    "a/b",
    "a0",
    "aÿ",
    "a\ud7ff",
    "a\ue000",
    "a\U0010ffff",
    "b",
    "é",
    "😀",
]


def _damage_sqlite(store: Store, key: str, folder: Path) -> None:
    store.commit([Put(key, b"as written")])
    with closing(sqlite3.connect(folder / "store.db")) as file, file:
        assert file.execute(
            "UPDATE kv SET value = x'00' WHERE value = ?", (b"as written",)
        ).rowcount


def _damage_etcd(store: Store, key: str, _: Path) -> None:
    assert isinstance(store, EtcdStore)
    name = store._space.key(key) + b"\xff"
    put = rpc_pb2.RequestOp(request_put=rpc_pb2.PutRequest(key=name))
    connection = store._connection
    request = rpc_pb2.TxnRequest(success=[put])
    connection.call(lambda server: server.txn, request, connection.deadline(), key)


def _damage_etcd2(store: Store, key: str, _: Path) -> None:
    assert isinstance(store, Etcd2Store)
    store._connection.make(Write2(store._names.path(key), "={"))


#: Writes a damaged entry whose key begins with a text; memory has none.
DAMAGE: dict[str, Callable[[Store, str, Path], None]] = {
    "sqlite": _damage_sqlite,
    "etcd": _damage_etcd,
    "etcd2": _damage_etcd2,
}


@pytest.fixture(params=ALL_KINDS)
def store(request: pytest.FixtureRequest, open_store: OpenStore, tmp_path: Path) -> Iterator[Store]:
    opened = open_store(request.param, tmp_path)
    yield opened
    opened.close()


def revision(store: Store, key: str) -> int:
    entry = store.get(key)
    assert entry is not None
    return entry.revision


def content(store: Store) -> dict[str, bytes]:
    return {entry.key: entry.value for entry in store.range("")}


def test_get_returns_none_for_a_missing_key(store: Store) -> None:
    assert store.get("a") is None


def test_put_writes_whatever_was_there(store: Store) -> None:
    store.commit([Put("a", b"1")])
    store.commit([Put("a", b"2")])
    assert content(store) == {"a": b"2"}


@pytest.mark.parametrize("value", [b"", b"\0", bytes(range(256)), b"x" * 100_000])
def test_values_come_back_as_written(store: Store, value: bytes) -> None:
    store.commit([Put("a", value)])
    entry = store.get("a")
    assert entry is not None
    assert entry.value == value


def test_revision_grows_with_every_write_of_a_key(store: Store) -> None:
    seen = []
    for writes in ([Create("a", b"")], [Put("a", b"")], [Put("b", b""), Put("a", b"")]):
        store.commit(writes)
        seen.append(revision(store, "a"))
    assert seen == sorted(set(seen))
    assert seen[0] > 0


def test_a_key_that_comes_back_has_a_new_revision(store: Store) -> None:
    store.commit([Create("a", b"")])
    before = revision(store, "a")
    store.commit([Delete("a")])
    store.commit([Create("a", b"")])
    assert revision(store, "a") > before


@pytest.mark.parametrize(
    "write",
    [
        Create("a", b"new"),
        Replace("a", b"new", 999),
        Replace("gone", b"new", 1),
        Replace("gone", b"new", 0),
        Delete("a", 999),
        Delete("gone", 0),
    ],
    ids=repr,
)
def test_a_condition_that_fails_names_its_key_and_writes_nothing(
    store: Store, write: Create | Replace | Delete
) -> None:
    store.commit([Create("a", b"old")])
    with pytest.raises(Conflict) as caught:
        store.commit([Put("b", b""), write, DeletePrefix("a")])
    assert caught.value.args == (write.key,)
    assert content(store) == {"a": b"old"}


def test_delete_at_a_revision_conflicts_when_the_key_is_gone(store: Store) -> None:
    with pytest.raises(Conflict):
        store.commit([Delete("a", 1)])


def test_delete_of_a_missing_key_is_fine(store: Store) -> None:
    store.commit([Delete("a"), Put("b", b"")])
    assert content(store) == {"b": b""}


def test_replace_and_delete_succeed_at_their_revision(store: Store) -> None:
    store.commit([Create("a", b"1"), Create("b", b"1")])
    store.commit([Replace("a", b"2", revision(store, "a")), Delete("b", revision(store, "b"))])
    assert content(store) == {"a": b"2"}


def test_commit_many_does_the_chains_without_a_conflict(store: Store) -> None:
    store.commit([Create("taken", b"old")])
    units: list[list[Write]] = [
        [Create("a", b"1")],
        [Put("x", b""), Create("taken", b"new")],
        [Create("b", b"2")],
    ]
    assert outcomes(store, [[unit] for unit in units]) == [(1, None), (0, "taken"), (1, None)]
    assert content(store) == {"a": b"1", "b": b"2", "taken": b"old"}


def test_a_chain_is_written_up_to_the_unit_that_conflicts(store: Store) -> None:
    store.commit([Create("taken", b"old")])
    chains: list[list[list[Write]]] = [
        [[Create("a", b"1")], [Put("x", b""), Create("taken", b"new")], [Create("b", b"2")]],
        [[Create("c", b"3")], [Put("c", b"4")]],
    ]
    assert outcomes(store, chains) == [(1, "taken"), (2, None)]
    assert content(store) == {"a": b"1", "c": b"4", "taken": b"old"}


@pytest.mark.parametrize("name", ALL_KINDS)
@pytest.mark.parametrize(
    "large",
    [[Put("large", b"x" * 2000)], [Put(f"{number}", b"") for number in range(9)]],
    ids=["bytes", "writes"],
)
def test_a_unit_that_is_too_large_concerns_its_own_chain_from_there_on(
    name: str, large: list[Write], open_store: OpenStore, tmp_path: Path
) -> None:
    store = open_store(name, tmp_path, LITTLE)
    found = store.commit_many([[[Put("a", b"")], large, [Put("b", b"")]], [[Put("c", b"")]]])
    assert [one.done for one in found] == [1, 1]
    assert isinstance(found[0].error, TooLarge) and found[1].error is None
    assert set(content(store)) == {"a", "c"}
    with pytest.raises(TooLarge):
        store.commit(large)
    store.close()


def test_commit_many_gives_a_key_to_the_first_chain_that_creates_it(store: Store) -> None:
    chains: list[list[list[Write]]] = [[[Create("a", b"first")]], [[Create("a", b"second")]]]
    assert outcomes(store, chains) == [(1, None), (0, "a")]
    assert content(store) == {"a": b"first"}


def test_commit_many_of_nothing_is_fine(store: Store) -> None:
    assert store.commit_many([]) == []


def test_a_later_unit_sees_what_an_earlier_one_wrote(store: Store) -> None:
    accept: list[Write] = [Create("entity", b"running"), Put("open", b"")]
    finish: list[Write] = [Put("entity", b"done"), Delete("open")]
    assert store.commit_many([[accept, finish]]) == [CommitOutcome(2)]
    assert content(store) == {"entity": b"done"}


def test_many_rows_at_once_are_all_written(store: Store) -> None:
    store.commit_many([[[Create(f"{number:04}", b"")]] for number in range(1000)])
    assert [entry.key for entry in store.range("")] == [f"{number:04}" for number in range(1000)]


def test_keys_stand_in_the_order_of_their_bytes(store: Store) -> None:
    listed = sorted([key for key in AWKWARD if key], key=lambda key: key.encode())
    store.commit([Put(key, b"") for key in reversed(listed)])
    assert [entry.key for entry in store.range("")] == listed
    assert [entry.key for entry in store.range("", reverse=True)] == listed[::-1]


@pytest.mark.parametrize("prefix", [*AWKWARD, "\U0010ffff", "c"], ids=ascii)
def test_a_range_holds_what_starts_with_its_prefix(store: Store, prefix: str) -> None:
    store.commit([Put(key, b"") for key in AWKWARD if key])
    expected = [key for key in AWKWARD if key and key.startswith(prefix)]
    assert sorted(entry.key for entry in store.range(prefix)) == sorted(expected)


@pytest.mark.parametrize("prefix", AWKWARD, ids=ascii)
def test_delete_prefix_removes_what_starts_with_it(store: Store, prefix: str) -> None:
    store.commit([Put(key, b"") for key in AWKWARD if key])
    store.commit([DeletePrefix(prefix)])
    assert set(content(store)) == {key for key in AWKWARD if key and not key.startswith(prefix)}


@pytest.mark.parametrize("reverse", [False, True])
def test_pages_join_to_the_whole_range(store: Store, reverse: bool) -> None:
    store.commit([Put(f"p/{number}", b"") for number in range(10)] + [Put("o", b""), Put("q", b"")])
    found: list[str] = []
    while page := store.range("p/", after=found[-1] if found else None, limit=3, reverse=reverse):
        found += [entry.key for entry in page]
    assert found == [entry.key for entry in store.range("p/", reverse=reverse)]
    assert len(found) == 10


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", sorted(DAMAGE))
def test_damaged_entries_do_not_count_against_a_limit(
    name: str, reverse: bool, open_store: OpenStore, tmp_path: Path
) -> None:
    with closing(open_store(name, tmp_path)) as store:
        good = [f"p/{number}" for number in range(5)]
        store.commit([Put(key, b"") for key in good])
        for number in range(1, 4):
            DAMAGE[name](store, f"p/{number}-", tmp_path)
        damaged: list[EntryDamaged] = []
        found = [one.key for one in store.range("p/", limit=4, reverse=reverse, damaged=damaged)]
        assert found == (good[:0:-1] if reverse else good[:4])
        listed = [entry.key for entry in scan(store, "p/", reverse=reverse, page=1, damaged=[])]
        assert sorted(listed) == good
        assert damaged


@pytest.mark.parametrize(("after", "reverse"), [("z", False), ("a", True)])
def test_a_cursor_beyond_the_range_gives_nothing(store: Store, after: str, reverse: bool) -> None:
    store.commit([Put("p/1", b"")])
    assert store.range("p/", after=after, reverse=reverse) == []


@pytest.mark.parametrize(("after", "reverse"), [("a", False), ("z", True)])
def test_a_cursor_before_the_range_gives_all(store: Store, after: str, reverse: bool) -> None:
    store.commit([Put("p/1", b"")])
    assert len(store.range("p/", after=after, reverse=reverse)) == 1


def test_wait_returns_at_once_when_the_key_differs_already(store: Store) -> None:
    store.commit([Put("a", b"1")])
    entry = store.wait("a", 0, 5.0)
    assert entry is not None
    assert entry.value == b"1"


def test_wait_returns_none_when_the_time_runs_out(store: Store) -> None:
    store.commit([Put("a", b"1")])
    assert store.wait("a", revision(store, "a"), 0.01) is None


def test_wait_returns_none_when_the_key_is_gone(store: Store) -> None:
    assert store.wait("a", 7, 5.0) is None


def test_wait_sees_a_write_of_another_thread(store: Store) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(store.wait, "a", 0, 30.0)
        store.commit([Put("other", b"")])
        store.commit([Put("a", b"1")])
        entry = waiting.result(60)
    assert entry is not None
    assert entry.value == b"1"


def test_close_ends_a_wait(store: Store) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(store.wait, "a", 0, 30.0)
        store.close()
        with pytest.raises(StoreRefused):
            waiting.result(60)


def test_a_closed_store_refuses_everything(store: Store) -> None:
    store.close()
    store.close()
    calls: list[Callable[[], object]] = [
        lambda: store.get("a"),
        lambda: store.range(""),
        lambda: store.commit([Put("a", b"")]),
        lambda: store.commit_many([[[Create("a", b"")]]]),
        lambda: store.wait("a", 0, 1.0),
    ]
    for call in calls:
        with pytest.raises(StoreRefused):
            call()


def test_compare_and_set_of_many_threads_loses_nothing(store: Store) -> None:
    store.commit([Create("count", b"0")])

    def add(_: int) -> None:
        while True:
            entry = store.get("count")
            assert entry is not None
            value = str(int(entry.value) + 1).encode()
            try:
                return store.commit([Replace("count", value, entry.revision)])
            except Conflict:
                continue

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(60)))
    assert content(store) == {"count": b"60"}


@pytest.mark.parametrize("revision", [0, 1 << 40])
@pytest.mark.parametrize("kind", [Replace, Delete])
def test_no_missing_key_has_a_revision_whatever_is_written_with_it(
    store: Store, kind: type[Write], revision: int
) -> None:
    write = Replace("b", b"", revision) if kind is Replace else Delete("b", revision)
    found = store.commit_many([[[Put("a", b"1")]], [[write]], [[Put("c", b"3")]]])
    assert [one.done for one in found] == [1, 0, 1]
    assert content(store) == {"a": b"1", "c": b"3"}


def test_of_many_threads_that_create_a_key_one_wins(store: Store) -> None:
    start = threading.Barrier(4)

    def create(number: int) -> bool:
        start.wait(60)
        return store.commit_many([[[Create("a", str(number).encode())]]]) == [CommitOutcome(1)]

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(create, range(4))) == 1


KEYS = st.sampled_from(["a", "a/", "a/b", "a/b/c", "b", "é", "\U0010ffff"])
VALUES = st.binary(max_size=3)
#: Revisions differ between back ends, so these stand for one that a key has or never had.
CURRENT, NEVER = 1, 1 << 40
REVISIONS = st.sampled_from([CURRENT, NEVER, 0])
WRITES = st.one_of(
    st.builds(Create, KEYS, VALUES),
    st.builds(Put, KEYS, VALUES),
    st.builds(Replace, KEYS, VALUES, REVISIONS),
    st.builds(Delete, KEYS, st.none() | REVISIONS),
    st.builds(DeletePrefix, st.sampled_from(["", "a", "a/", "a/b", "\U0010ffff"])),
)
CHAINS = st.lists(st.lists(WRITES, max_size=4), max_size=3)
COMMITS = st.lists(st.lists(CHAINS, max_size=4), max_size=6)


def own_revision(store: Store, write: Write) -> Write:
    if not isinstance(write, Replace | Delete) or write.revision != CURRENT:
        return write
    entry = store.get(write.key)
    return replace(write, revision=entry.revision if entry else NEVER)


def outcomes(store: Store, chains: list[list[list[Write]]]) -> list[tuple[int, object]]:
    """Return how far each chain came, and the key of its conflict."""
    own = [[[own_revision(store, write) for write in unit] for unit in chain] for chain in chains]
    found = store.commit_many(own)
    return [(one.done, one.error.args[0] if one.error else None) for one in found]


@pytest.mark.parametrize("name", ALL_KINDS)
@settings(max_examples=15, deadline=None)
@given(known=st.integers(0, 40), more=st.sets(st.integers(0, 300), max_size=100))
def test_the_next_number_of_a_log_is_found_as_by_its_last_key(
    name: str,
    open_store: OpenStore,
    tmp_path_factory: pytest.TempPathFactory,
    known: int,
    more: set[int],
) -> None:
    numbers = {*range(known), *(known + number for number in more)}
    with closing(open_store(name, tmp_path_factory.mktemp("store"))) as store:
        store.commit([Put(keys.event("w", "another", 900), b"")])
        store.commit_many([[[Put(keys.event("w", "r", number), b"")] for number in numbers]])
        last = [int(e.key[-10:]) for e in store.range(keys.log("w", "r"), reverse=True, limit=1)]
        for least in (0, known):
            assert event_log.next_number(store, "w", "r", least) == max(last, default=-1) + 1


@pytest.mark.parametrize("damaged", [0, 2, 8])
def test_a_damaged_event_counts_for_the_next_number(damaged: int, tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "store.db")) as store:
        store.commit([Put(keys.event("w", "r", number), b"") for number in range(9)])
        _damage_sqlite(store, keys.event("w", "r", damaged), tmp_path)
        assert event_log.next_number(store, "w", "r") == 9


@pytest.mark.parametrize("name", [name for name in KINDS if name != "memory"])
@settings(
    max_examples=60,
    deadline=None,
)
@given(commits=COMMITS)
def test_a_back_end_does_as_the_reference_does(
    name: str,
    open_store: OpenStore,
    tmp_path_factory: pytest.TempPathFactory,
    commits: list[list[list[list[Write]]]],
) -> None:
    reference, other = MemoryStore(), open_store(name, tmp_path_factory.mktemp("store"))
    try:
        for chains in commits:
            assert outcomes(other, chains) == outcomes(reference, chains)
            assert content(other) == content(reference)
    finally:
        other.close()
