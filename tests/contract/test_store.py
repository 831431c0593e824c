"""The store's contract, over every back end."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from jobx.errors import Conflict, EntryDamaged, StoreRefused
from jobx.kv.prefixes import scan
from jobx.kv.store import (
    Create,
    Delete,
    DeletePrefix,
    Put,
    Replace,
    Store,
)
from tests.support.stores import OpenStore
from tests.support.tested_store import DAMAGE, content, revision, store

__all__ = ["store"]

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
