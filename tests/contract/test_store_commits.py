"""What commits of many units do to a store, over every back end."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from jobx.errors import Conflict, TooLarge
from jobx.kv.memory import MemoryStore
from jobx.kv.store import (
    CommitOutcome,
    Create,
    Delete,
    DeletePrefix,
    Put,
    Replace,
    Store,
    Write,
)
from tests.support.stores import ALL_KINDS, KINDS, OpenStore
from tests.support.tested_store import LITTLE, content, store

__all__ = ["store"]


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
