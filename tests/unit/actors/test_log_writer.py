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
from jobx.actors.log_writer import LogWriter, has_progressed, read_log
from jobx.actors.messages import CommitRefused, Committed, LogRead, RequestKey
from jobx.actors.request.events import Accepted, Cancelled, to_record
from jobx.actors.runtime.address import Address
from jobx.errors import (
    Conflict,
    EntryDamaged,
    InternalError,
    InvalidInput,
    JobxError,
    NotFound,
    StoreFull,
    StoreUnavailable,
)
from jobx.kv import keys
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import event_log, lives, request_entity
from jobx.kv.store import Chain, CommitOutcome, Create, Put, Write
from jobx.kv.write_batch import name_of
from jobx.payload import EMPTY
from tests.support.waiting import after
from tests.unit.actors.request.driver import PLAN

FULL = StoreFull("the store", "no space left")
A, B, C = (RequestKey("flow", name) for name in ("a", "b", "c"))
ACCEPTED = Accepted(1.0, "j", "s", "digest", EMPTY, 60.0)
REQUEST = model.Request(
    workflow_name="flow", request_id="a", job_name="j", invocation_id="m0", accepted_at=1.0
)


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
        assert self.gate.wait(10)
        if self.errors:
            raise self.errors.pop(0)
        return super().commit_many(chains)


class Bench:
    """A log writer over a scripted store, and what coordinators hear from it."""

    def __init__(self, store: ScriptedStore) -> None:
        self.store = store
        self.heard: list[tuple[RequestKey | None, object]] = []
        self.owners = {key: Address("n", 1, number) for number, key in enumerate((A, B, C))}
        loop = asyncio.get_running_loop()
        self.hurried = 0
        self.writer = LogWriter(store, loop, self._deliver, self._hurry)

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


async def until(predicate: Callable[[], Any], timeout_s: float = 10.0) -> None:
    """Wait, with the loop going on, until something is true."""
    deadline = time.monotonic() + timeout_s
    while not predicate():
        assert time.monotonic() < deadline, "it never became true"
        await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    opened = Bench(ScriptedStore())
    try:
        yield opened
    finally:
        opened.store.gate.set()
        opened.writer.close()


def in_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run a test on a loop of its own."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), 20))

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
        assert await b.writer.drain(after(10.0))
        assert b.store.commits == [[["a0"], ["b0"], ["c0"]]]


@in_loop
async def test_the_loop_is_hurried_to_a_commit_that_can_begin() -> None:
    async with bench() as b:
        b.append(A, 0, urgent=False)
        seen = [b.hurried]
        b.append(B, 0)
        b.append(C, 0)
        seen.append(b.hurried)
        assert await b.writer.drain(after(10.0))
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


def _accepted(store: MemoryStore, *events: Accepted | Cancelled) -> None:
    writes: list[Write] = list(request_entity.accept_writes(REQUEST, "node"))
    for number, event in enumerate(events):
        writes.append(event_log.event_write("flow", "a", number, to_record(event)))
    store.commit(writes)


@in_loop
async def test_reading_comes_after_what_is_being_written() -> None:
    async with bench() as b:
        _accepted(b.store, ACCEPTED)
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


@pytest.mark.parametrize(
    "events",
    [
        (),
        (Cancelled(1.0, "why"),),
        (ACCEPTED,),
    ],
    ids=["no events", "not accepted", "no plan"],
)
def test_a_damaged_log_is_told_with_its_request_and_where_it_ends(
    events: Sequence[Accepted | Cancelled],
) -> None:
    store = MemoryStore()
    _accepted(store, *events)
    answer = read_log(store, A)
    assert isinstance(answer.error, EntryDamaged)
    assert (answer.request, answer.next_number) == (REQUEST, len(events))


def test_a_store_that_fails_for_an_unknown_reason_is_no_damage_of_the_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise InternalError("a reason that nobody knows")

    store = MemoryStore()
    _accepted(store, ACCEPTED)
    monkeypatch.setattr(store, "range", fail)
    answer = read_log(store, A)
    assert isinstance(answer.error, InternalError)
    assert answer.request is None  # so that the log is read again


def test_a_request_that_was_never_accepted_has_no_log() -> None:
    answer = read_log(MemoryStore(), A)
    assert isinstance(answer.error, NotFound)
    assert answer.request is None


def test_a_key_that_is_no_name_is_told_with_its_error() -> None:
    answer = read_log(MemoryStore(), RequestKey("flow", "../a"))
    assert isinstance(answer.error, InvalidInput)


def test_fault_while_a_log_is_read_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryStore, "get", lambda *_: 1 / 0)
    error = read_log(MemoryStore(), A).error
    assert isinstance(error, InternalError) and "ZeroDivisionError" in str(error)


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


@pytest.mark.parametrize(
    ("names", "events", "expected"),
    [
        (["accepted"], 1, False),
        (["accepted", "adopted", *["retried"] * 9], 1, False),
        (["accepted", "adopted", *["retried"] * 9, "mapped"], 1, True),
        (["accepted", "mapped", "done"], 3, False),
        (["accepted", "mapped", "adopted", "done"], 2, True),
    ],
)
def test_progress_is_looked_for_behind_the_mark(
    names: list[str], events: int, expected: bool
) -> None:
    store = MemoryStore()
    for number, name in enumerate(names):
        store.commit([event_log.event_write("w", "r", number, {"event": name})])
    marked = lives.OpenRequest("n", "w", "r", lives.Mark(events=events))
    assert has_progressed(store, marked) is expected
