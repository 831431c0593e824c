from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jobx.actors import janitor as janitor_module
from jobx.actors import paced_commits
from jobx.actors.janitor import Janitor
from jobx.actors.paced_commits import PacedCommits
from jobx.errors import EntryDamaged, StoreRefused
from jobx.handlers.authoring.library import Library
from jobx.kv import keys
from jobx.kv.blobs import BlobFolder
from jobx.kv.leases import Lease
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import event_log, indexing, kept_requests, request_counts, request_pages
from jobx.kv.store import Chain, CommitOutcome, Delete, Entry, Put, Unit
from tests.support.history import keep

DAY_S = 86_400.0
PLAN = "a" * 64


class Clock:
    """Both clocks of a janitor, and what it pauses for."""

    at = 1_000_000.0
    now = 0.0


class Recording(MemoryStore):
    """Notes the commits that remove something."""

    def __init__(self) -> None:
        super().__init__()
        self.commits: list[Sequence[Chain]] = []
        self.before: Callable[[], None] = lambda: None

    def commit_many(self, chains: Sequence[Chain]) -> list[CommitOutcome]:
        self.before()
        self.commits.append(chains)
        return super().commit_many(chains)


class Bench:
    """A janitor on a store in memory, whose pauses take no time."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.store = Recording()
        self.blobs = BlobFolder(folder)
        self.library = Library(self.store)
        self.janitor = self.start()

    def start(
        self, retention_s: float = DAY_S, lease: Lease | None = None, max_requests: int = 0
    ) -> Janitor:
        """Return a janitor as a node that starts has it."""
        return Janitor(
            self.store,
            self.blobs,
            self.library,
            retention_s=retention_s,
            max_requests=max_requests,
            now_at=lambda: self.clock.at,
            now=lambda: self.clock.now,
            lease=lease,
        )

    def keep(self, count: int, ended_ago_s: float = 2 * DAY_S) -> None:
        """Have requests that ended a time ago."""
        names = ("flow", "j")
        keep(self.store, names, PLAN, count, first_at=self.clock.at - ended_ago_s, every_s=1e-3)
        self.store.commits.clear()

    def left(self) -> list[str]:
        """Return the ids of the requests that are kept."""
        return [
            request.request_id for request in request_pages.page(self.store, "flow", limit=5000)[0]
        ]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(paced_commits, "_LEAST_PAUSE_S", 0.0)
    return Bench(tmp_path / "blobs")


def test_all_that_expired_goes_and_nothing_else(bench: Bench) -> None:
    bench.keep(3, ended_ago_s=DAY_S - 60)
    young = bench.left()
    bench.keep(1000)
    assert bench.janitor.sweep() == 1000
    assert bench.left() == young
    assert bench.janitor.sweep() == 0


def test_what_is_too_much_goes_however_young(bench: Bench) -> None:
    bench.keep(300, ended_ago_s=60)
    kept = bench.left()
    janitor = bench.start(max_requests=20)
    assert janitor.sweep() == 280
    assert bench.left() == kept[:20]
    assert janitor.sweep() == 0


def test_of_too_many_others_go_in_place_of_those_that_cannot(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.keep(300, ended_ago_s=60)
    kept = bench.left()
    stuck = set(kept[-200:])  # the oldest, and more than one batch
    remove = bench.blobs.remove
    monkeypatch.setattr(
        bench.blobs, "remove", lambda w, r, *more: r not in stuck and remove(w, r, *more)
    )
    janitor = bench.start(max_requests=250)
    assert janitor.sweep() == 50
    assert bench.left() == kept[:50] + kept[100:]
    monkeypatch.undo()
    bench.keep(10, ended_ago_s=1)
    assert janitor.sweep() == 10


def test_of_two_nodes_one_sweeps_and_the_other_takes_over(bench: Bench) -> None:
    leases = [bench.store.lease(keys.SWEEPS, name, 60.0) for name in ("one", "other")]
    one, other = (bench.start(lease=lease) for lease in leases)
    bench.keep(5)
    assert (one.is_chosen(), other.is_chosen()) == (True, False)
    assert (other.sweep(), other.sweep_code(), one.sweep()) == (0, 0, 5)
    bench.keep(5)
    leases[0].release()
    assert other.sweep() == 5


def test_many_requests_go_with_one_commit(bench: Bench) -> None:
    bench.keep(1000)
    bench.janitor.sweep()
    assert len(bench.store.commits) <= 1000 / paced_commits.MIN_BATCH


def test_a_shortened_retention_counts_for_what_is_there(bench: Bench) -> None:
    bench.keep(5, ended_ago_s=60.0)
    assert bench.janitor.sweep() == 0
    assert bench.start(retention_s=30.0).sweep() == 5


def test_a_lengthened_retention_counts_for_what_is_there(bench: Bench) -> None:
    bench.keep(5)
    assert bench.start(retention_s=3 * DAY_S).sweep() == 0


def test_the_store_is_left_to_others_for_as_long_as_a_commit_took(bench: Bench) -> None:
    paused: list[float] = []

    def slow() -> None:
        bench.clock.now += 0.25

    bench.keep(100)
    bench.store.before = slow
    bench.janitor._commits.pause = paused.append  # type: ignore[method-assign]  # no pause in a test
    bench.janitor.sweep()
    assert paused == [0.25, 0.25]  # one adds up what was removed


def test_a_stop_ends_a_sweep_after_its_slice_and_the_next_one_goes_on(bench: Bench) -> None:
    bench.keep(1000)
    bench.store.before = bench.janitor.stop
    removed = bench.janitor.sweep()
    assert 0 < removed <= paced_commits.BATCH
    assert len(bench.left()) == 1000 - removed
    assert bench.start().sweep() == 1000 - removed


def test_a_long_log_goes_in_slices_and_is_out_of_sight_before(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(janitor_module, "LOG_SLICE", 2)
    bench.keep(1)
    (request_id,) = bench.left()
    seen: list[tuple[bool, int]] = []

    def look() -> None:
        entity = bench.store.get(keys.entity("request", "flow", request_id))
        seen.append((entity is not None, len(bench.store.range("requests/"))))

    bench.store.before = look
    assert bench.janitor.sweep() == 1
    assert seen[:4] == [(True, 3), (False, 3), (False, 1), (False, 0)]
    assert bench.store.range("") == []


def test_a_removal_that_was_cut_short_is_ended_by_the_next_sweep(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(janitor_module, "LOG_SLICE", 1)
    bench.keep(1)
    bench.store.before = bench.janitor.stop
    bench.janitor.sweep()
    assert bench.store.range("requests/")

    bench.store.before = lambda: None
    bench.start().sweep()
    assert bench.store.range("") == []


def steps_of_a_removal(bench: Bench) -> list[tuple[bool, bool, bool]]:
    """Return what there is before each commit of a sweep: the request, its blobs, its marker."""
    (request_id,) = bench.left()
    (bench.blobs.create("flow", request_id) / "b").write_bytes(b"x")
    seen: list[tuple[bool, bool, bool]] = []

    def look() -> None:
        entity = bench.store.get(keys.entity("request", "flow", request_id))
        marker = bool(bench.store.range(keys.KEPT))
        seen.append((entity is not None, bench.blobs.has("flow", request_id), marker))

    bench.store.before = look
    bench.janitor.sweep()
    return seen


def test_request_is_out_of_sight_before_its_blobs_go(bench: Bench) -> None:
    """Else who meets a missing blob and finds the request would call it damaged."""
    bench.keep(1)
    assert (True, False, True) not in steps_of_a_removal(bench)


def test_blobs_go_before_the_marker_of_their_request(bench: Bench) -> None:
    """Else a node that dies in between leaves blobs that nobody looks for."""
    bench.keep(1)
    assert steps_of_a_removal(bench)[:2] == [(True, True, True), (False, False, True)]


def test_request_that_is_kept_just_before_it_is_hidden_loses_nothing(bench: Bench) -> None:
    bench.keep(1)
    (request_id,) = bench.left()
    (bench.blobs.create("flow", request_id) / "b").write_bytes(b"x")

    def keep_it() -> None:
        bench.store.before = lambda: None
        (found,) = kept_requests.expired(bench.store, bench.clock.at, 1)
        bench.store.commit(kept_requests.pin_writes(bench.store, found, is_pinned=True))

    bench.store.before = keep_it
    assert bench.janitor.sweep() == 0
    assert bench.left() == [request_id]
    assert bench.blobs.has("flow", request_id)


def test_hidden_request_is_counted_no_longer_and_its_rest_goes_later(bench: Bench) -> None:
    bench.keep(1)
    (request_id,) = bench.left()
    (bench.blobs.create("flow", request_id) / "b").write_bytes(b"x")
    bench.store.before = bench.janitor.stop  # after the commit that hides it
    assert bench.janitor.sweep() == 0
    assert request_counts.read(bench.store, "flow")["j"].total() == 0
    assert bench.left() == []
    assert bench.blobs.has("flow", request_id)

    bench.store.before = lambda: None
    assert bench.start().sweep() == 1
    assert not bench.blobs.has("flow", request_id)
    assert bench.store.range("") == []


def test_a_request_whose_blobs_stay_stays_and_is_in_no_other_ones_way(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench.keep(3)
    stuck, *_ = bench.left()
    remove = bench.blobs.remove

    def fail(workflow: str, request_id: str, *more: Any) -> bool:
        if request_id == stuck:
            raise StoreRefused("blobs", "they are somebody else's")
        return remove(workflow, request_id, *more)

    monkeypatch.setattr(bench.blobs, "remove", fail)
    assert bench.janitor.sweep() == 2
    assert bench.janitor.sweep() == 0
    assert bench.left() == [stuck]
    assert caplog.text.count("cannot be removed now: 1, the first ") == 1

    monkeypatch.undo()
    bench.clock.at += janitor_module.LATER_S + 1
    assert bench.janitor.sweep() == 1


@pytest.mark.parametrize("has_blobs", [False, True])
def test_a_delivery_that_cannot_be_read_is_named_once_and_is_in_no_other_ones_way(
    bench: Bench, caplog: pytest.LogCaptureFixture, has_blobs: bool
) -> None:
    bench.keep(3)
    stuck, *_ = bench.left()
    marker = next(one for one in bench.store.range(keys.KEPT) if one.key.endswith(stuck))
    body = msgspec.json.decode(marker.value)
    body[2] = True
    delivery = keys.delivery("flow", stuck)
    bench.store.commit([Put(marker.key, msgspec.json.encode(body)), Put(delivery, b"damage")])
    if has_blobs:
        bench.blobs.create("flow", stuck)
    for removed in (2, 0):
        assert bench.janitor.sweep() == removed
        assert bench.left() == [stuck]
        bench.clock.at += janitor_module.LATER_S + 1
    assert bench.blobs.has("flow", stuck) == has_blobs
    assert sum(delivery in one.getMessage() for one in caplog.records) == 1


def damaged_range(real: Callable[..., list[Entry]], broken: str) -> Callable[..., list[Entry]]:
    """Return a ``range`` that cannot read one entry."""

    def read(prefix: str, **how: Any) -> list[Entry]:
        limit, damaged = how.pop("limit", None), how.pop("damaged", None)
        found = real(prefix, **how)
        if any(entry.key == broken for entry in found):
            error = EntryDamaged(broken, "its sum is wrong")
            if damaged is None:
                raise error
            damaged.append(error)
        return [entry for entry in found if entry.key != broken][:limit]

    return read


def test_a_marker_that_cannot_be_read_is_named_once_and_is_in_no_other_ones_way(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench.keep(3)
    broken = bench.store.range(keys.KEPT)[0].key
    monkeypatch.setattr(bench.store, "range", damaged_range(bench.store.range, broken))
    assert (bench.janitor.sweep(), bench.janitor.sweep()) == (2, 0)
    assert sum(broken in one.getMessage() for one in caplog.records) == 1


def test_a_delivery_that_ends_during_a_sweep_lets_no_blobs_go_before_the_request_is_hidden(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.keep(1)
    (request_id,) = bench.left()
    (bench.blobs.create("flow", request_id) / "b").write_bytes(b"x")
    answers = iter((True,))
    monkeypatch.setattr(bench.janitor, "_must_stay", lambda _: next(answers, False))
    seen = [("flow", request_id)]
    real = bench.blobs.remove

    def remove(*names: Any) -> bool:
        assert bench.store.get(keys.entity("request", *seen[0])) is None
        return real(*names)

    monkeypatch.setattr(bench.blobs, "remove", remove)
    bench.janitor.sweep()


def test_a_sweep_lists_what_an_older_version_finished(bench: Bench) -> None:
    bench.keep(5, ended_ago_s=60.0)
    for entry in [*bench.store.range(keys.KEPT), *bench.store.range("listed/")]:
        bench.store.commit([Delete(entry.key)])
    for entry in bench.store.range("entities/request/"):
        request_id = entry.key.rsplit("/", 1)[1]
        marker = f"{keys.FINISHED}{0:015d}/flow/{request_id}"
        bench.store.commit([Put(marker, b"")])
    assert bench.left() == []
    for entry in [*bench.store.range("by_"), *bench.store.range(keys.UNCOUNTED)]:
        bench.store.commit([Delete(entry.key)])
    assert bench.janitor.sweep() == 0
    assert len(bench.left()) == 5
    assert bench.start(retention_s=30.0).sweep() == 5
    assert bench.store.range("") == []


def test_code_is_not_swept_before_all_that_an_older_version_finished_is_listed(
    bench: Bench,
) -> None:
    bench.store.commit([Put(keys.plan("flow", "p"), b'{"steps":{}}')])
    bench.store.commit([Put(f"{keys.FINISHED}{0:015d}/flow/r1", b"")])
    assert bench.janitor.sweep_code() == 0
    bench.store.commit([Delete(f"{keys.FINISHED}{0:015d}/flow/r1")])
    assert [bench.janitor.sweep_code() for _ in range(2)] == [0, 1]


def test_logs_of_others_stay(bench: Bench) -> None:
    bench.store.commit([event_log.event_write("flow", "other", 0, {})])
    bench.keep(2)
    bench.janitor.sweep()
    assert [entry.key for entry in bench.store.range("")] == [keys.event("flow", "other", 0)]


@pytest.mark.parametrize("count", [3, 300])
def test_what_an_older_version_kept_is_indexed_and_counted(bench: Bench, count: int) -> None:
    bench.keep(count, ended_ago_s=60.0)
    for entry in bench.store.range(""):
        if entry.key.startswith(("by_", keys.UNCOUNTED)):
            bench.store.commit([Delete(entry.key)])
        elif entry.key.startswith(keys.KEPT):
            short = msgspec.json.decode(entry.value)[:4]
            bench.store.commit([Put(entry.key, msgspec.json.encode(short))])
    indexing.begin(bench.store, is_older=True)
    bench.janitor.count()
    assert indexing.missing(bench.store) is None
    assert sum(request_counts.read(bench.store, "flow")["j"].values()) == count
    assert bench.store.range(keys.UNCOUNTED) == []


def test_indexing_waits_for_what_cannot_be_upgraded_now(bench: Bench) -> None:
    indexing.begin(bench.store, is_older=True)
    bench.store.commit([Put(f"{keys.FINISHED}{0:015d}/flow/r1", b"")])
    bench.store.commit([Put(keys.INDEXED, b"{}")])
    bench.janitor._upgrade = lambda: None  # type: ignore[method-assign]  # as if it were cut short
    bench.janitor.count()
    assert indexing.missing(bench.store) == indexing.REASON


def test_counters_are_added_up_for_a_bounded_time_each_round_and_all_jobs_get_their_turn(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [f"j{number}" for number in range(9)]
    for job in jobs:
        bench.store.commit([Put(f"{keys.uncounted('flow', job)}r+", b"failed")])
    real, calls = bench.store.commit, [0]

    def slow(unit: Unit) -> None:
        """Commit on a slow disk, where another request of the same job ends meanwhile."""
        calls[0] += 1
        assert calls[0] < 1000, "it goes on for ever"
        bench.clock.now += janitor_module.FOLD_S / 4
        real(unit)
        job = next(one.key for one in unit if one.key.startswith(keys.UNCOUNTED)).split("/")[2]
        real([Put(f"{keys.uncounted('flow', job)}r{calls[0]}+", b"failed")])

    monkeypatch.setattr(bench.store, "commit", slow)
    monkeypatch.setattr(PacedCommits, "pause", lambda *_: None)
    for _ in range(6):
        before = bench.clock.now
        bench.janitor.count()
        assert bench.clock.now - before <= 1.25 * janitor_module.FOLD_S
    assert {one.key.rpartition("/")[2] for one in bench.store.range(keys.counts("flow"))} == {*jobs}


def test_a_change_of_a_counter_that_cannot_be_read_stops_no_other_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for job in ("a", "b"):
        bench.store.commit([Put(f"{keys.uncounted('flow', job)}r+", b"failed")])
    broken = f"{keys.uncounted('flow', 'a')}r+"
    monkeypatch.setattr(bench.store, "range", damaged_range(bench.store.range, broken))
    bench.janitor.count()
    bench.janitor.count()
    assert [one.key for one in bench.store.range(keys.counts("flow"))] == [keys.counts("flow", "b")]
    assert sum(broken in one.getMessage() for one in caplog.records) == 1


#: Keys that JobX does not write, where it looks for its own.
FOREIGN = [
    *("kept/zz", "kept/flow", "kept/flow/-", f"kept/flow/{PLAN[:16]}", "kept/flow/zz/zz"),
    *("kept/a/b/c/d/e", f"kept/flow/{PLAN[:16]}/0/a/b", f"kept/flow/{PLAN[:16]}/0"),
    *("finished/zz", "finished/zz/zz/zz", "finished/0/zz", "finished/²/flow/zz"),
    *("uncounted/zz", "uncounted/flow", "uncounted/flow/j"),
    *("listed/zz", "counts/zz", "by_job/zz", "open/zz", "open/n/zz", "deliveries/zz"),
]


@pytest.mark.parametrize("value", [b"", b"hello", b"{}", b"\xff"])
@pytest.mark.parametrize("key", FOREIGN)
def test_a_foreign_key_keeps_nothing_from_going(bench: Bench, key: str, value: bytes) -> None:
    bench.store.commit([Put(key, value)])
    bench.keep(3)
    bench.janitor.count()
    assert bench.janitor.sweep() == 3
    assert bench.start(max_requests=1).sweep() == 0
    assert bench.store.get(key) is not None


def test_what_was_upgraded_already_keeps_nothing_from_going(bench: Bench) -> None:
    bench.keep(2)
    bench.store.commit([Put(f"finished/000000000000001/flow/{bench.left()[0]}", b"")])
    assert bench.janitor.sweep() == 2
