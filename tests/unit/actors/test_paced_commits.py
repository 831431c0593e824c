from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from jobx.actors import paced_commits
from jobx.actors.paced_commits import PacedCommits
from jobx.errors import Conflict
from jobx.kv.memory import MemoryStore
from jobx.kv.store import Chain, CommitOutcome, Create, Put


class Slow(MemoryStore):
    """A store whose commits take a time."""

    commit_s = 0.0
    now = 0.0

    def commit_many(self, chains: Sequence[Chain]) -> list[CommitOutcome]:
        self.now += self.commit_s
        return super().commit_many(chains)


class Bench:
    """Paced commits to a store, and how long they paused."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = Slow()
        self.commits = PacedCommits(self.store, lambda: self.store.now)
        self.pauses: list[float] = []
        monkeypatch.setattr(self.commits, "pause", self.pauses.append)

    def commit(self, count: int, commit_s: float) -> None:
        """Commit so often, at such a pace."""
        self.store.commit_s = commit_s
        for _ in range(count):
            self.commits.commit([[Put("a", b"")]])


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def test_batches_shrink_where_commits_are_slow(bench: Bench) -> None:
    bench.commit(5, 1.0)
    assert bench.commits.batch == paced_commits.MIN_BATCH


def test_batches_grow_where_commits_are_fast(bench: Bench) -> None:
    bench.commit(5, 0.0)
    assert bench.commits.batch == paced_commits.MAX_BATCH


def test_the_store_is_left_to_others_for_as_long_as_a_commit_took(bench: Bench) -> None:
    bench.commit(1, 0.25)
    assert bench.pauses == [0.25]


def test_nothing_to_write_is_no_commit(bench: Bench) -> None:
    assert bench.commits.commit([[], []]) == [False, False]
    assert bench.pauses == []


def test_what_another_process_did_first_is_an_error(bench: Bench) -> None:
    bench.commit(1, 0.0)
    with pytest.raises(Conflict):
        bench.commits.commit([[Create("a", b"other")]])


def test_what_another_process_may_have_done_first_is_told(bench: Bench) -> None:
    bench.commit(1, 0.0)
    units = [[Create("a", b"other")], [Create("b", b"")]]
    assert bench.commits.commit(units, is_raced=True) == [False, True]


def test_a_stop_from_another_thread_ends_a_pause() -> None:
    commits = PacedCommits(MemoryStore(), lambda: 0.0)
    thread = threading.Thread(target=commits.pause, args=(600.0,), daemon=True)
    thread.start()
    commits.stop()
    thread.join(60)
    assert not thread.is_alive()
