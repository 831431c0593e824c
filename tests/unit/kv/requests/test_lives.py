from __future__ import annotations

from collections.abc import Sequence

import pytest

from jobx.errors import Conflict, StoreFull
from jobx.kv import keys
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import lives
from jobx.kv.requests.lives import Mark, OpenRequest
from jobx.kv.store import Chain, CommitOutcome, Put

OPEN = [OpenRequest("n", "flow", name, Mark(deaths=1)) for name in ("a", "b")]


class Answering(MemoryStore):
    """A store whose commits of several chains have given outcomes."""

    outcomes: Sequence[CommitOutcome]

    def commit_many(self, chains: Sequence[Chain]) -> list[CommitOutcome]:
        return super().commit_many(chains) if len(chains) == 1 else list(self.outcomes)


@pytest.fixture
def store() -> Answering:
    store = Answering()
    store.commit([Put(keys.opened(one.node_id, one.workflow, one.request_id), b"") for one in OPEN])
    return store


def test_marks_that_are_not_written_are_told(store: Answering) -> None:
    store.outcomes = [CommitOutcome(0, Conflict("a")), CommitOutcome(0, StoreFull("it", "full"))]
    with pytest.raises(StoreFull):
        lives.mark(store, OPEN)


def test_a_request_that_ended_meanwhile_needs_no_mark(store: Answering) -> None:
    store.outcomes = [CommitOutcome(0, Conflict("a")), CommitOutcome(1)]
    lives.mark(store, OPEN)


def test_requests_without_an_open_marker_are_not_marked() -> None:
    store = MemoryStore()
    lives.mark(store, OPEN)
    assert store.range("") == []
