"""The contract of following keys, over every store whose keys can be followed."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from jobx.errors import StoreRefused
from jobx.kv.changes import Changed, Changes
from jobx.kv.store import Create, Delete, Put
from tests.support.stores import OpenStore

WAIT_S = 60.0


@pytest.fixture(params=["memory", "etcd", "etcd2"])
def store(request: pytest.FixtureRequest, open_store: OpenStore, tmp_path: Path) -> Iterator[Any]:
    opened = open_store(request.param, tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def changes(store: Any) -> Changes:
    """What was written from now on."""
    found: Changes = store.changes("listed/")
    assert found.next(0.0) == Changed([], has_gap=True)
    return found


def until(changes: Changes, key: str) -> list[str]:
    """Return all keys up to one."""
    found: list[str] = []
    while key not in found:
        changed = changes.next(WAIT_S)
        assert not changed.has_gap
        found += changed.keys
    return found


def test_what_was_there_before_is_a_gap(store: Any) -> None:
    store.commit([Create("listed/w/a", b"")])
    changes = store.changes("listed/")
    assert changes.next(0.0) == Changed([], has_gap=True)
    store.commit([Create("listed/w/b", b"")])
    assert until(changes, "listed/w/b") == ["listed/w/b"]


def test_each_key_is_told_in_order_and_once(store: Any, changes: Changes) -> None:
    keys = [f"listed/w/{number}" for number in range(5)]
    for key in keys:
        store.commit([Create(key, b"")])
    assert until(changes, keys[-1]) == keys


def test_keys_of_one_unit_are_all_told(store: Any, changes: Changes) -> None:
    keys = {f"listed/w/{number}" for number in range(5)}
    store.commit([Put(key, b"") for key in keys])
    found: set[str] = set()
    while not keys <= found:
        found |= set(changes.next(WAIT_S).keys)
    assert found == keys


def test_a_key_of_another_prefix_is_not_told(store: Any, changes: Changes) -> None:
    store.commit([Create("listing/w/a", b""), Create("other", b"")])
    store.commit([Create("listed/w/z", b"")])
    assert until(changes, "listed/w/z") == ["listed/w/z"]


def test_a_wait_hears_of_what_is_written_meanwhile(store: Any, changes: Changes) -> None:
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(until, changes, "listed/w/a")
        store.commit([Create("listed/w/a", b"")])
        assert waiting.result(WAIT_S) == ["listed/w/a"]


def test_nothing_is_told_when_nothing_was_written(changes: Changes) -> None:
    assert changes.next(0.1) == Changed([])


def test_a_key_that_is_written_again_is_told_again(store: Any, changes: Changes) -> None:
    for _ in range(2):
        store.commit([Put("listed/w/a", b"")])
        assert until(changes, "listed/w/a") == ["listed/w/a"]
        store.commit([Delete("listed/w/a")])


# One in memory holds nothing that could be closed.
@pytest.mark.parametrize("store", ["etcd", "etcd2"], indirect=True)
def test_a_closed_store_tells_nothing(store: Any, changes: Changes) -> None:
    store.close()
    with pytest.raises(StoreRefused):
        changes.next(0.1)
        changes.next(0.1)
