from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from jobx.actors.threads import MAX_OVERDUE, BoundedCalls, SerialThread
from jobx.errors import DeadlineExceeded, InternalError, Overloaded

BOUND_S = 60.0


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What hangs in a test hangs on this."""
    gate = threading.Event()
    yield gate
    gate.set()


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, BOUND_S))


async def hang(calls: BoundedCalls, gate: threading.Event, kind: str = "k") -> None:
    with pytest.raises(DeadlineExceeded, match=f"^{kind} took longer"):
        await calls.run(kind, lambda: gate.wait(BOUND_S), 0.01)


def test_call_gives_what_it_returns_or_raises() -> None:
    async def scenario() -> None:
        calls = BoundedCalls()
        assert await calls.run("k", lambda: 42, BOUND_S) == 42
        with pytest.raises(ZeroDivisionError):
            await calls.run("k", lambda: 1 // 0, BOUND_S)

    run(scenario())


@pytest.mark.parametrize("call", [sys.exit, lambda: next(iter(()))])
def test_call_that_raises_what_no_loop_survives_is_a_failed_call(
    call: Callable[[], object],
) -> None:
    async def scenario() -> None:
        with pytest.raises(InternalError, match=r"^k raised S"):
            await BoundedCalls().run("k", call, BOUND_S)

    run(scenario())


def test_call_over_its_time_has_failed_and_is_told_in_the_log(
    gate: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        run(hang(BoundedCalls(), gate))

    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("k has not ended within 0.01 s; 1 such calls hang")


def test_calls_of_a_kind_that_hangs_too_often_are_refused_and_others_are_not(
    gate: threading.Event,
) -> None:
    async def scenario() -> None:
        calls = BoundedCalls()
        for _ in range(MAX_OVERDUE):
            await hang(calls, gate)
        before = set(threading.enumerate())
        with pytest.raises(Overloaded, match=f"{MAX_OVERDUE} calls of k"):
            await calls.run("k", lambda: None, BOUND_S)
        assert set(threading.enumerate()) <= before
        assert await calls.run("other", lambda: 42, BOUND_S) == 42

    run(scenario())


def test_call_that_ends_late_makes_room_again(gate: threading.Event) -> None:
    async def scenario() -> None:
        calls = BoundedCalls()
        for _ in range(MAX_OVERDUE):
            await hang(calls, gate)
        gate.set()
        while calls._overdue["k"]:
            await asyncio.sleep(0.001)
        assert await calls.run("k", lambda: 42, BOUND_S) == 42

    run(scenario())


def test_failure_of_a_call_that_nobody_waits_for_is_no_trouble(
    gate: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        gate.wait(BOUND_S)
        raise ValueError("late")

    async def scenario() -> None:
        calls = BoundedCalls()
        running = asyncio.create_task(calls.run("k", fail, BOUND_S))
        await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        gate.set()
        while calls._overdue["k"]:
            await asyncio.sleep(0.001)

    run(scenario())
    assert caplog.messages == []


def test_serial_thread_makes_calls_in_order_one_after_the_other() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        heard: asyncio.Queue[object] = asyncio.Queue()
        thread = SerialThread("serial", loop)
        for number in range(3):
            thread.call(lambda n=number: n, lambda *said: heard.put_nowait(said))  # type: ignore[misc]  # of a default
        assert [await heard.get() for _ in range(3)] == [(0, None), (1, None), (2, None)]
        thread.close()

    run(scenario())


def test_serial_thread_hands_over_what_a_call_raises_and_goes_on() -> None:
    async def scenario() -> None:
        heard: asyncio.Queue[tuple[object, BaseException | None]] = asyncio.Queue()
        thread = SerialThread("serial", asyncio.get_running_loop())
        for call in (sys.exit, lambda: 42):
            thread.call(call, lambda *said: heard.put_nowait(said))
        _, error = await heard.get()
        assert isinstance(error, SystemExit)
        assert await heard.get() == (42, None)
        thread.close()

    run(scenario())


def test_serial_thread_makes_every_call_before_it_is_closed(gate: threading.Event) -> None:
    async def scenario() -> None:
        made: list[int] = []
        thread = SerialThread("serial", asyncio.get_running_loop())
        thread.call(lambda: gate.wait(BOUND_S), lambda *_: None)
        thread.call(lambda: made.append(1), lambda *_: None)
        gate.set()
        thread.close()
        assert made == [1]

    run(scenario())


def test_serial_thread_outlives_its_loop() -> None:
    heard: list[object] = []

    async def begin() -> SerialThread:
        return SerialThread("serial", asyncio.get_running_loop())

    thread = asyncio.run(begin())
    thread.call(lambda: 42, lambda *said: heard.append(said))
    thread.close()
    assert heard == []
