from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest

from jobx import model
from jobx.actors import log_writer
from jobx.actors.log_writer import LogWriter
from jobx.actors.messages import CommitRefused, Committed, LogRead, RequestKey
from jobx.actors.request.events import Cancelled, to_record
from jobx.actors.runtime.address import Address
from jobx.errors import (
    Conflict,
    JobxError,
    NotFound,
    OutcomeUnknown,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
)
from jobx.kv import keys
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import event_log, request_entity
from jobx.kv.store import Chain, CommitOutcome, Create, Put
from jobx.kv.write_batch import name_of
from tests.support.waiting import after
from tests.unit.actors.request.driver import PLAN
from tests.unit.actors.test_log_reader import ACCEPTED, REQUEST, accepted

FULL = StoreFull("the store", "no space left")
SILENT = StoreUnavailable("no answer")
UNKNOWN = OutcomeUnknown("a0", "no answer")
A, B, C = (RequestKey("flow", name) for name in ("a", "b", "c"))


class ScriptedStore(MemoryStore):
    """A store whose commits can be held up and go wrong.

    Attributes:
        commits: The keys of all writes that were tried, by commit and chain.
        errors: What the next commits end with.
        gate: Commits wait while it is not set.
    """

    def __init__(self) -> None:
        super().__init__()
        self.commits: list[list[list[str]]] = []
        self.errors: list[Exception] = []
        self.gate = threading.Event()
        self.gate.set()

    def commit_many(self, chains: Sequence[Chain]) -> list[CommitOutcome]:
        self.commits.append(
            [[name_of(write) for unit in chain for write in unit] for chain in chains]
        )
        assert self.gate.wait(60)
        if self.errors:
            raise self.errors.pop(0)
        return super().commit_many(chains)


class Bench:
    """A log writer over a scripted store, and what coordinators hear from it."""

    def __init__(self, store: ScriptedStore, patience_s: float) -> None:
        self.store = store
        self.heard: list[tuple[RequestKey | None, object]] = []
        self.owners = {key: Address("n", 1, number) for number, key in enumerate((A, B, C))}
        loop = asyncio.get_running_loop()
        self.hurried = 0
        self.told: list[JobxError | None] = []
        self.writer = LogWriter(
            store, loop, self._deliver, self._hurry, self.told.append, patience_s=patience_s
        )

    def _hurry(self) -> None:
        self.hurried += 1

    def _deliver(self, owner: object, message: object) -> None:
        key = next((key for key, address in self.owners.items() if address == owner), None)
        self.heard.append((key, message))

    def append(self, key: RequestKey, number: int, *, urgent: bool = True) -> None:
        write = Create(f"{key.request_id}{number}", b"")
        self.writer.append(key, self.owners[key], number, [write], urgent)

    async def hears(self, count: int) -> list[tuple[RequestKey | None, object]]:
        await until(lambda: len(self.heard) >= count)
        return self.heard

    def stored(self) -> list[str]:
        return [entry.key for entry in self.store.range("") if entry.key != keys.PROBE]


async def until(predicate: Callable[[], Any], timeout_s: float = 60.0) -> None:
    """Wait, with the loop going on, until something is true."""
    deadline = time.monotonic() + timeout_s
    while not predicate():
        assert time.monotonic() < deadline, "it never became true"
        await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def bench(patience_s: float = 0.0) -> AsyncIterator[Bench]:
    opened = Bench(ScriptedStore(), patience_s)
    try:
        yield opened
    finally:
        opened.store.gate.set()
        opened.writer.close()


def in_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run a test on a loop of its own."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), 60))

    return run


@pytest.fixture(autouse=True)
def _retry_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_writer, "RETRY_S", (0.001, 0.002))


@pytest.fixture
def _never_lazy(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for company waits for ever."""
    monkeypatch.setattr(log_writer, "LAZY_S", 3600.0)


@in_loop
async def test_what_is_appended_in_one_turn_is_one_commit() -> None:
    async with bench() as b:
        b.append(A, 0)
        b.append(B, 0)
        b.append(A, 1)
        assert await b.hears(2) == [(A, Committed(1)), (B, Committed(0))]
        assert b.store.commits == [[["a0", "a1"], ["b0"]]]


@in_loop
async def test_what_is_appended_during_a_commit_goes_with_the_next_one() -> None:
    async with bench() as b:
        b.store.gate.clear()
        b.append(A, 0)
        await until(lambda: b.store.commits)
        b.append(B, 0, urgent=False)
        b.append(A, 1)
        b.append(A, 2)
        b.store.gate.set()
        assert await b.hears(3) == [(A, Committed(0)), (B, Committed(0)), (A, Committed(2))]
        assert b.store.commits == [[["a0"]], [["b0"], ["a1", "a2"]]]


@in_loop
async def test_what_is_not_urgent_waits_for_what_is(_never_lazy: None) -> None:
    async with bench() as b:
        b.append(A, 0, urgent=False)
        assert not await b.writer.drain(after(0.02))
        b.append(B, 0, urgent=True)
        b.append(C, 0, urgent=False)
        assert await b.writer.drain(after(60.0))
        assert b.store.commits == [[["a0"], ["b0"], ["c0"]]]


@in_loop
async def test_the_loop_is_hurried_to_a_commit_that_can_begin() -> None:
    async with bench() as b:
        b.append(A, 0, urgent=False)
        seen = [b.hurried]
        b.append(B, 0)
        b.append(C, 0)
        seen.append(b.hurried)
        assert await b.writer.drain(after(60.0))
        assert seen == [0, 1]


@in_loop
async def test_what_is_not_urgent_is_written_all_the_same() -> None:
    async with bench() as b:
        b.append(A, 0, urgent=False)
        b.append(B, 0, urgent=False)
        assert await b.hears(2) == [(A, Committed(0)), (B, Committed(0))]
        assert len(b.store.commits) == 1


@in_loop
async def test_a_conflict_of_one_request_leaves_the_others() -> None:
    async with bench() as b:
        b.store.commit([Put("b3", b"of somebody else")])
        for key in (A, B, C):
            b.append(key, 3)
        heard = await b.hears(3)
        assert [key for key, _ in heard] == [A, B, C]
        assert heard[0][1] == heard[2][1] == Committed(3)
        refused = heard[1][1]
        assert isinstance(refused, CommitRefused)
        assert isinstance(refused.error, Conflict)


@in_loop
async def test_a_log_never_goes_on_behind_a_conflict() -> None:
    async with bench() as b:
        b.store.commit([Put("a3", b"of somebody else")])
        b.store.gate.clear()
        b.append(A, 3)
        await until(lambda: len(b.store.commits) == 2)
        b.append(A, 4)
        b.store.gate.set()
        await b.hears(1)
        b.append(A, 5)
        b.append(B, 0)
        await b.hears(2)
        assert b.stored() == ["a3", "b0"]


@in_loop
async def test_a_request_that_is_forgotten_can_be_taken_up_again() -> None:
    async with bench() as b:
        b.store.commit([Put("a3", b"of somebody else")])
        b.append(A, 3)
        await b.hears(1)
        b.writer.forget(A)
        b.append(A, 4)
        assert (await b.hears(2))[1] == (A, Committed(4))


@in_loop
async def test_what_is_forgotten_is_not_written(_never_lazy: None) -> None:
    async with bench() as b:
        b.append(A, 0, urgent=False)
        b.writer.forget(A)
        b.append(B, 0)
        assert await b.hears(1) == [(B, Committed(0))]
        assert b.stored() == ["b0"]


@in_loop
async def test_nobody_hears_of_a_refusal_of_what_was_forgotten_meanwhile() -> None:
    async with bench() as b:
        b.store.commit([Put("a3", b"of somebody else")])
        b.store.gate.clear()
        b.append(A, 3)
        await until(lambda: len(b.store.commits) == 2)
        b.writer.forget(A)
        b.append(A, 4)
        b.store.gate.set()
        assert await b.hears(1) == [(A, Committed(4))]


@pytest.mark.parametrize("error", [FULL, StoreUnavailable("no answer")])
@in_loop
async def test_a_store_that_cannot_write_refuses_what_is_new_and_keeps_what_was_accepted(
    error: JobxError,
) -> None:
    async with bench() as b:
        b.store.errors = [error]
        b.append(A, 0)
        b.append(B, 7)
        b.append(B, 8)
        assert await b.hears(2) == [(A, CommitRefused(error)), (B, Committed(8))]
        assert b.stored() == ["b7", "b8"]


@in_loop
async def test_what_was_accepted_is_tried_until_it_is_written_and_in_order() -> None:
    async with bench() as b:
        b.store.errors = [FULL] * 5
        b.store.gate.clear()
        b.append(A, 4)
        await until(lambda: b.store.commits)
        b.append(A, 5)
        b.append(A, 6)
        b.store.gate.set()
        assert await b.hears(1) == [(A, Committed(6))]
        assert b.store.commits[1:] == [[["a4", "a5", "a6"]]] * 5


@in_loop
async def test_the_wait_between_tries_has_a_longest() -> None:
    async with bench() as b:
        b.store.errors = [FULL] * 20
        b.append(A, 4)
        assert await b.hears(1) == [(A, Committed(4))]
        assert len(b.store.commits) == 21


@in_loop
async def test_a_stall_is_told_until_it_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_writer, "RETRY_S", (3600.0, 3600.0))
    async with bench() as b:
        b.store.errors = [FULL]
        b.append(A, 1)
        await until(lambda: b.writer.stalled)
        assert b.writer.stalled is FULL
        b.append(A, 2)
        assert not await b.writer.drain(after(0.02))
        assert len(b.store.commits) == 1


@in_loop
async def test_a_stall_ends_with_the_first_commit_that_goes_well() -> None:
    async with bench() as b:
        b.store.errors = [FULL]
        b.append(A, 1)
        await b.hears(1)
        assert b.writer.stalled is None


@in_loop
async def test_requests_are_tried_again_after_all_were_refused() -> None:
    async with bench() as b:
        b.store.errors = [FULL]
        b.append(A, 0)
        await b.hears(1)
        await until(lambda: b.writer.stalled is None)
        b.append(B, 0)
        assert (await b.hears(2))[1] == (B, Committed(0))


@in_loop
async def test_new_requests_wait_for_the_end_of_a_short_fault() -> None:
    async with bench(patience_s=60.0) as b:
        b.store.errors = [UNKNOWN, SILENT, SILENT]
        b.append(A, 0)
        await until(lambda: len(b.store.commits) > 1)
        b.append(B, 0)
        assert await b.hears(2) == [(A, Committed(0)), (B, Committed(0))]
        assert b.writer.stalled is None
        assert b.told == []


@in_loop
async def test_a_new_request_is_not_tried_while_it_is_not_known_whether_anything_can_be() -> None:
    async with bench(patience_s=60.0) as b:
        b.store.errors = [SILENT] * 3
        b.append(A, 0)
        await b.hears(1)
        assert b.store.commits == [[["a0"]], *[[[keys.PROBE]]] * 3, [["a0"]]]


@in_loop
async def test_new_requests_are_refused_when_a_fault_lasts_and_nothing_was_begun_of_them() -> None:
    async with bench(patience_s=0.3) as b:
        b.store.errors = [UNKNOWN, *[SILENT] * 10_000]
        b.append(A, 0)
        await until(lambda: len(b.store.commits) > 2)
        b.append(B, 0)
        ((key, refused),) = await b.hears(1)
        assert key == B
        assert isinstance(refused, CommitRefused)
        assert isinstance(refused.error, StoreUnavailable)
        assert isinstance(b.writer.stalled, StoreUnavailable)
        b.store.errors.clear()
        assert (await b.hears(2))[1] == (A, Committed(0))
        await until(lambda: b.writer.stalled is None)
        assert b.told[0] is not None and b.told[1:] == [None]


@pytest.mark.parametrize("fault", [FULL, StoreRefused("the store", "it is read-only")])
@in_loop
async def test_nobody_waits_for_the_end_of_what_does_not_end_by_itself(fault: JobxError) -> None:
    async with bench(patience_s=60.0) as b:
        b.store.errors = [fault]
        b.append(A, 0)
        assert await b.hears(1) == [(A, CommitRefused(fault))]


@in_loop
async def test_who_comes_during_a_commit_that_hangs_waits_no_longer_than_from_its_begin() -> None:
    async with bench(patience_s=0.05) as b:
        b.store.errors = [UNKNOWN, *[SILENT] * 10_000]
        b.store.gate.clear()
        b.append(A, 0)
        await until(lambda: b.store.commits)
        b.append(B, 0)
        await asyncio.sleep(0.1)
        b.store.gate.set()
        await b.hears(1)
        assert all(["b0"] not in commit for commit in b.store.commits)


@in_loop
async def test_a_request_that_was_refused_leaves_nothing_in_the_store() -> None:
    async with bench() as b:
        b.store.errors = [FULL]
        b.store.gate.clear()
        b.append(A, 0)
        await until(lambda: b.store.commits)
        b.append(A, 1)
        b.store.gate.set()
        await b.hears(1)
        b.append(A, 2)
        b.append(B, 0)
        await b.hears(2)
        assert b.stored() == ["b0"]


@in_loop
async def test_what_was_forgotten_during_a_commit_that_failed_is_not_tried_again() -> None:
    async with bench() as b:
        b.store.errors = [FULL]
        b.store.gate.clear()
        b.append(A, 4)
        await until(lambda: b.store.commits)
        b.writer.forget(A)
        b.append(B, 4)
        b.store.gate.set()
        assert await b.hears(1) == [(B, Committed(4))]
        assert b.stored() == ["b4"]


@in_loop
async def test_a_fault_of_ours_loses_no_accepted_request(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with bench() as b:
        b.store.errors = [ZeroDivisionError()]
        b.append(A, 4)
        assert await b.hears(1) == [(A, Committed(4))]
        assert "a commit failed" in caplog.text


@in_loop
async def test_closing_stops_what_waits(_never_lazy: None) -> None:
    async with bench() as b:
        b.append(A, 0, urgent=False)
        b.writer.close()
        assert b.store.commits == []


@in_loop
async def test_reading_comes_after_what_is_being_written() -> None:
    async with bench() as b:
        accepted(b.store, ACCEPTED)
        b.store.commit([Put(keys.plan("flow", "digest"), model.encode(PLAN))])
        b.store.gate.clear()
        second = event_log.event_write("flow", "a", 1, to_record(Cancelled(2.0, "why")))
        b.writer.append(A, b.owners[A], 1, [second], True)
        await until(lambda: len(b.store.commits) == 3)
        b.writer.read(A, b.owners[C])
        b.store.gate.set()
        _, (reader, answer) = await b.hears(2)
        assert reader == C
        assert answer == LogRead(A, REQUEST, PLAN, [ACCEPTED, Cancelled(2.0, "why")], 2)


def _reading(b: Bench, number: int) -> None:
    """Append an acceptance that nobody hurries, then read the log for a new owner."""
    writes = [
        *request_entity.accept_writes(REQUEST, "n"),
        Put(keys.plan("flow", "digest"), model.encode(PLAN)),
        event_log.event_write(*A, 0, to_record(ACCEPTED)),
    ]
    b.writer.append(A, b.owners[A], number, writes, urgent=False)
    b.writer.read(A, b.owners[C])


@in_loop
async def test_what_was_appended_is_written_before_a_new_owner_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_writer, "LAZY_S", 3600.0)
    async with bench() as b:
        _reading(b, 0)
        (_, committed), (reader, found) = await b.hears(2)
        assert (committed, reader) == (Committed(0), C)
        assert isinstance(found, LogRead)
        assert found.events == [ACCEPTED]


@in_loop
async def test_a_new_owner_reads_that_nothing_is_there_when_it_was_refused() -> None:
    async with bench() as b:
        b.store.errors = [FULL]
        _reading(b, 0)
        (_, refused), (_, found) = await b.hears(2)
        assert isinstance(refused, CommitRefused)
        assert isinstance(found, LogRead)
        assert isinstance(found.error, NotFound)


@in_loop
async def test_a_new_owner_may_append_though_the_one_before_was_refused() -> None:
    async with bench() as b:
        b.store.errors = [FULL]
        _reading(b, 0)
        await b.hears(2)
        b.append(A, 0)
        assert (await b.hears(3))[2] == (A, Committed(0))
