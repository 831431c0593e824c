"""A store that an older version has written: its requests come into the indexes."""

from __future__ import annotations

import msgspec
import pytest

from jobx.kv import keys
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import (
    indexing,
    kept_requests,
    removal,
    request_counts,
    request_pages,
)
from jobx.kv.requests.request_filter import Filter
from jobx.kv.store import Delete, Put, Store
from tests.support.history import keep

NEW = ("by_job/", "by_error/", "by_argument/", "counts/", keys.UNCOUNTED, keys.INDEXED)
FAILED = Filter(job="j", error="ValueError")


@pytest.fixture
def store() -> MemoryStore:
    """A store as it was before there were these indexes, with eleven requests."""
    made = MemoryStore()
    keep(made, ("flow", "j"), "a" * 64, 11, first_at=1e9, failed_every=2)
    age(made)
    return made


def age(store: Store) -> None:
    """Take away what an older version did not write."""
    for entry in store.range(""):
        if entry.key.startswith(NEW):
            store.commit([Delete(entry.key)])
        elif entry.key.startswith(keys.KEPT):
            short = msgspec.json.decode(entry.value)[:4]
            store.commit([Put(entry.key, msgspec.json.encode(short))])


def run(store: Store, steps: int = 100) -> None:
    for _ in range(steps):
        found = indexing.step(store, 3)
        for unit in found.units:
            store.commit(unit)
        indexing.note_step(store, found)
        if found.progress.is_done:
            break


def test_older_requests_are_named_as_missing_until_they_are_indexed(store: MemoryStore) -> None:
    indexing.begin(store, is_older=True)
    assert indexing.missing(store) == indexing.REASON
    assert request_pages.page(store, "flow", FAILED) == ([], None)
    assert len(request_pages.page(store, "flow", Filter(state="failed"))[0]) == 6
    run(store)
    assert indexing.missing(store) is None
    assert len(request_pages.page(store, "flow", FAILED)[0]) == 6
    assert request_counts.read(store, "flow") == {"j": {"succeeded": 5, "failed": 6}}


def test_no_kill_in_between_counts_one_twice(store: MemoryStore) -> None:
    indexing.begin(store, is_older=True)
    for _ in range(5):
        units = indexing.step(store, 3).units  # killed before it could note how far it is
        for unit in units[:2]:
            store.commit(unit)
        request_counts.fold(store)
    run(store)
    request_counts.fold(store)
    assert request_counts.read(store, "flow") == {"j": {"succeeded": 5, "failed": 6}}


def test_what_expires_meanwhile_is_not_counted(store: MemoryStore) -> None:
    indexing.begin(store, is_older=True)
    run(store, steps=2)
    for one in kept_requests.expired(store, 2e9, 20):
        store.commit(removal.purge_writes(one))
    request_counts.fold(store)
    run(store)
    assert request_counts.read(store, "flow") == {}
    assert [entry.key for entry in store.range("")] == [keys.INDEXED]


def test_one_whose_marker_moves_to_the_front_meanwhile_is_not_missed(store: MemoryStore) -> None:
    indexing.begin(store, is_older=True)
    run(store, steps=2)
    last = store.range(keys.KEPT)[-1]
    branch, _, request_id = last.key.rsplit("/", 2)
    store.commit([Delete(last.key), Put(f"{branch}/{keys.instant(1.0)}/{request_id}", last.value)])
    run(store)
    assert indexing.missing(store) is None
    assert request_counts.read(store, "flow") == {"j": {"succeeded": 5, "failed": 6}}


def test_a_store_without_a_past_has_nothing_to_index() -> None:
    store = MemoryStore()
    assert indexing.missing(store) is None
    indexing.begin(store, is_older=False)
    keep(store, ("flow", "j"), "a" * 64, 3, first_at=1e9)
    assert indexing.missing(store) is None
    assert indexing.step(store, 3)[:2] == ([], indexing.Progress(is_done=True))


def test_a_store_that_no_node_has_opened_since_names_what_is_missing(store: MemoryStore) -> None:
    assert indexing.missing(store) == indexing.REASON


def test_what_an_older_version_wrote_in_between_is_indexed_again(store: MemoryStore) -> None:
    indexing.begin(store, is_older=True)
    run(store)
    keep(store, ("flow", "k"), "a" * 64, 2, first_at=2e9)
    for entry in store.range(keys.KEPT):
        if entry.key.split("/")[3] > keys.instant(1.5e9):
            store.commit([Put(entry.key, b'["succeeded",3,false,""]')])
    for entry in [*store.range(keys.uncounted("flow", "k")), *store.range("by_job/flow/k/")]:
        store.commit([Delete(entry.key)])
    indexing.begin(store, is_older=False)
    assert indexing.missing(store) is None
    indexing.begin(store, is_older=True)
    assert indexing.missing(store) == indexing.REASON
    run(store)
    assert request_counts.read(store, "flow", "k") == {"k": {"succeeded": 2}}


@pytest.mark.parametrize("steps", range(8))
def test_a_node_that_has_all_looked_at_anew_during_a_step_is_heard(
    store: MemoryStore, steps: int
) -> None:
    indexing.begin(store, is_older=True)
    run(store, steps)
    found = indexing.step(store, 3)
    indexing.begin(store, is_older=True)
    indexing.note_step(store, found)
    assert indexing.read(store) == indexing.Progress()


def test_a_damaged_note_of_how_far_it_is_begins_anew(store: MemoryStore) -> None:
    indexing.begin(store, is_older=True)
    run(store)
    store.commit([Put(keys.INDEXED, b"?")])
    assert indexing.missing(store) == indexing.REASON
    run(store)
    assert request_counts.read(store, "flow") == {"j": {"succeeded": 5, "failed": 6}}
