"""In which order one executor gets short and long work, over a clock of the tests."""

from __future__ import annotations

import asyncio
import mmap
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx.actors.executors.paces import LONG_S
from jobx.actors.executors.placing import PATIENCE_S
from jobx.actors.executors.process import Executor, WorkItem
from jobx.actors.executors.sharing import Sharing
from jobx.actors.messages import RequestKey
from jobx.actors.runtime.address import Address
from jobx.handlers.execution.page import PAGE_BYTES, Page
from tests.support.work import reduce_work

SHORT_S = 0.02


class Clock:
    """The time of a loop, which calls nothing later."""

    now = 100.0

    def time(self) -> float:
        return self.now

    def call_later(self, *_: object) -> object:
        return object()


class OneSeat:
    """One executor that runs work for as long as tests say."""

    def __init__(self, long_s: float) -> None:
        self.clock = Clock()
        self.sent: list[str] = []
        self.seconds = {"long": long_s, "short": SHORT_S}
        page = Page(mmap.mmap(-1, PAGE_BYTES))
        self._executor = Executor(page, lambda *_: None, lambda *_: None, 0.0, state="ready")
        self._executor.workflow, self._executor.is_used = "w", True
        self._executor.has_seat = True
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
