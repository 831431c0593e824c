"""In which order one executor gets short and long work, over a clock of the tests."""

from __future__ import annotations

import asyncio
import mmap
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx.actors.executors.paces import LONG_S
from jobx.actors.executors.placing import PATIENCE_S
from jobx.actors.executors.process import Executor, WorkItem
from jobx.actors.executors.rebalancing import SETTLE_S, Away
from jobx.actors.executors.sharing import Sharing
from jobx.actors.messages import Lost, RequestKey, TakenBack
from jobx.actors.runtime.address import Address
from jobx.handlers.execution.shared_page import PAGE_BYTES, SharedPage
from tests.support.work import map_work, reduce_work

SHORT_S = 0.02


class Clock:
    """The time of a loop, which calls later what a test asks for."""

    now = 100.0
    later: Callable[[], None]

    def time(self) -> float:
        return self.now

    def call_later(self, _: float, call: Callable[[], None]) -> object:
        self.later = call
        return object()


def idle_executor() -> Executor:
    page = SharedPage(mmap.mmap(-1, PAGE_BYTES))
    executor = Executor(page, lambda *_: None, lambda *_: None, 0.0, state="ready")
    executor.workflow, executor.is_used, executor.has_seat = "w", True, True
    return executor


class OneSeat:
    """One executor that runs work for as long as tests say."""

    def __init__(self, long_s: float) -> None:
        self.clock = Clock()
        self.sent: list[str] = []
        self.seconds = {"long": long_s, "short": SHORT_S}
        self._executor = idle_executor()
        self.executors = [self._executor]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(asyncio, "get_running_loop", lambda: self.clock)
            self._sharing = Sharing(self, 1, self._send, lambda *_: None)  # type: ignore[arg-type]  # processes
        self._sharing.ended(self._item("long"), max(long_s, LONG_S))

    def _item(self, step: str) -> WorkItem:
        work = reduce_work(step=step, job=step)
        return WorkItem(1, RequestKey("w", step), work, Address("local", 1, 1))

    def add(self, *steps: str) -> None:
        for step in steps:
            self._sharing.add(self._item(step))

    def _send(self, executor: Executor, item: WorkItem) -> None:
        item.number = len(self.sent) + 1
        item.sent_at = self.clock.now
        self.sent.append(item.work.step)
        executor.work[item.number] = item

    def run(self) -> str:
        """Run the next work to its end, and return its step."""
        if not self._executor.work:
            self._sharing.pump()
        number = min(self._executor.work)
        item = self._executor.work[number]
        self._executor.page.begin(number, 1, time.monotonic_ns())
        self.clock.now += self.seconds[item.work.step]
        self._sharing.runs(self._executor)
        del self._executor.work[number]
        return item.work.step


@given(st.floats(LONG_S, 1000.0))
def test_short_work_waits_for_one_invocation_that_takes_long(long_s: float) -> None:
    seat = OneSeat(long_s)
    seat.add("long", "long", "long", "long")
    assert seat.run() == "long"
    seat.add("short", "short")
    assert [seat.run() for _ in range(5)] == ["short", "short", "long", "long", "long"]


@given(st.floats(LONG_S, 1000.0))
def test_long_work_has_its_turn_although_short_work_never_ends(long_s: float) -> None:
    seat = OneSeat(long_s)
    seat.add("long", "long")
    assert seat.run() == "long"
    ended_at = seat.clock.now
    seat.add("short", "short")
    while seat.run() == "short":
        assert seat.clock.now - ended_at < PATIENCE_S + 2 * SHORT_S
        seat.add("short")


class TwoSeats:
    """Two executors: one runs work that takes long, and one is kept for short work."""

    def __init__(self, count: int = 1) -> None:
        self.clock = Clock()
        self.told: list[object] = []
        self.sent: list[int] = []
        self.executors = [idle_executor(), idle_executor()]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(asyncio, "get_running_loop", lambda: self.clock)
            self.sharing = Sharing(self, 2, self._send, lambda _, told: self.told.append(told))  # type: ignore[arg-type]  # processes
        self.sharing.ended(self._item("long", 1), LONG_S)
        self.add("short", 1)
        self.executors[0].work.clear()
        self.add("long", 2, count)
        self.begin(0, 2)

    def _item(self, step: str, ticket: int, count: int = 1) -> WorkItem:
        work = map_work(ticket, count, step=step, job=step)
        return WorkItem(ticket, RequestKey("w", step), work, Address("local", 1, 1))

    def add(self, step: str, ticket: int, count: int = 1) -> None:
        self.sharing.run(self._item(step, ticket, count))

    def _send(self, executor: Executor, item: WorkItem) -> None:
        item.number = len(self.sent) + 1
        item.sent_at = self.clock.now
        self.sent.append(item.ticket)
        executor.work[item.number] = item

    def begin(self, position: int, number: int) -> None:
        """Let an executor begin what was sent as that number."""
        page = self.executors[position].page
        page.begin(number, self.sent[number - 1], 1)
        page.restart(time.monotonic_ns())

    def pass_time(self, for_s: float = 2 * SETTLE_S) -> None:
        self.clock.now += for_s
        self.sharing.pump()
        self.clock.later()

    def borrow(self, idle: int) -> None:
        self.sharing.elsewhere = lambda: [Away("w", frozenset({"general"}), idle)]


def test_long_work_that_may_not_have_the_idle_executor_leaves_for_an_idle_peer() -> None:
    seats = TwoSeats()
    for ticket in (3, 4, 5):
        seats.add("long", ticket)
    seats.pass_time()
    assert (seats.told, seats.sharing.kept) == ([], 1)
    seats.borrow(2)
    seats.pass_time()
    assert [told.ticket for told in seats.told if isinstance(told, Lost)] == [3, 4]
    seats.add("short", 6)
    assert (seats.sent, len(seats.sharing)) == ([1, 2, 6], 1)


def test_the_end_of_a_long_batch_leaves_for_an_idle_peer_though_an_executor_is_idle_here() -> None:
    seats = TwoSeats(count=4)
    seats.pass_time()
    assert seats.executors[0].recalled == 0
    seats.borrow(1)
    seats.pass_time()
    seats.pass_time()
    assert seats.told == [TakenBack(2, 3)]


def test_requests_take_turns_though_a_peer_has_an_idle_executor_for_another_workflow() -> None:
    seats = TwoSeats()
    seats.add("short", 3, 4)
    seats.begin(1, 3)
    seats.sharing.elsewhere = lambda: [Away("other", frozenset({"general"}), 1)]
    seats.add("other", 4)
    seats.pass_time()
    assert [one.recalled for one in seats.executors] == [0, 3]
