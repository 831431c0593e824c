"""Records that are damaged, in stores that keep no checksums of what they hold."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from jobx import entity_json, model
from jobx.actors.cluster import identity, members
from jobx.errors import EntryDamaged, InternalError, InvalidInput, JobxError
from jobx.kv import keys, large_events, leases
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import indexing, lives, request_counts, request_index
from jobx.kv.store import Entry, Put

DEEP = b"[" * 5_000
NO_TEXT = b'"\xff"'
#: The last ones have a member of a wrong type, and something else that cannot be read.
DAMAGES = [
    b"{",
    DEEP,
    NO_TEXT,
    b'{"later": ' + DEEP,
    b'{"boot": ' + NO_TEXT + b"}",
    b'{"name": 1, "boot": 1, "later": ' + NO_TEXT + b"}",
    b'{"name": 1, "boot": 1, "later": ' + DEEP,
    b"\x84\xa4blob\xa1\xff",
    b"\x81\xa4blob" + b"\x91" * 5_000,
]


def _with(key: str, value: bytes) -> MemoryStore:
    store = MemoryStore()
    store.commit([Put(key, value)])
    return store


def _progress(value: bytes) -> indexing.Progress:
    return indexing.read(_with(keys.INDEXED, value))


def _not_counted(value: bytes) -> list[Entry]:
    """Return the changes that are left once they were added to a counter."""
    store = _with(keys.counts("w", "j"), value)
    changes = keys.uncounted("w", "j")
    store.commit([Put(f"{changes}0+", value)])
    request_counts.fold(store)
    return store.range(changes, limit=2)


def _last_life(value: bytes) -> lives.Life:
    return lives.last(_with(keys.life("n"), value), "n")


def _cluster(value: bytes) -> identity.ClusterRecord | None:
    return identity.record_of(_with(keys.CLUSTER, value))


@pytest.mark.parametrize("value", DAMAGES)
@pytest.mark.parametrize(
    ("read", "counts_as"),
    [
        (lambda value: leases.decode(value).term, ""),
        (
            lambda value: members.member_of(leases.Held("h", "", value.decode("latin-1"))).record,
            members.NodeRecord(),
        ),
        (lambda value: lives.read(Entry("k", value, 1)), None),
        (large_events.pointer_in, None),
        (request_index.decode, None),
        (_progress, indexing.Progress()),
        (_not_counted, []),
    ],
    ids=["lease", "member", "life", "large event", "index", "progress", "counts"],
)
def test_a_damaged_record_that_can_be_done_without_counts_as_none(
    read: Callable[[bytes], object], counts_as: object, value: bytes
) -> None:
    assert read(value) == counts_as


@pytest.mark.parametrize("value", DAMAGES)
@pytest.mark.parametrize(
    ("read", "error"),
    [
        (_last_life, InternalError),
        (_cluster, EntryDamaged),
        (lambda value: entity_json.decode(model.Workflow, "w", value), InvalidInput),
        (lambda value: entity_json.decode(model.Request, "r", value), InvalidInput),
    ],
    ids=["life of this node", "cluster", "workflow", "request"],
)
def test_a_damaged_record_that_is_needed_is_refused_by_name(
    read: Callable[[bytes], object], error: type[JobxError], value: bytes
) -> None:
    with pytest.raises(error):
        read(value)
