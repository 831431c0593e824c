"""The seam to time and the loop: a real one over asyncio, a virtual one for simulations."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol, TypeAlias

from jobx.actors.runtime.timers import Agenda
from jobx.errors import Draining, InternalError

Call: TypeAlias = Callable[[], None]


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> object:
        """Make the call never happen; does nothing when it did."""


class Scheduler(Protocol):
    """Where and when calls run. All calls run one after the other, on one thread."""

    def now(self) -> float:
        """Return monotonic seconds."""

    def call_soon(self, call: Call) -> None:
        """Run ``call`` after what is under way. On the scheduler's thread only."""

    def call_later(self, delay_s: float, call: Call) -> Timer:
        """Run ``call`` in ``delay_s``. On the scheduler's thread only."""

    def call_from_thread(self, call: Call) -> None:
        """Do ``call_soon`` from any thread.

        Raises:
            Draining: The loop has ended.
        """

    def is_current(self) -> bool:
        """Say whether the caller runs on the scheduler's thread, where nothing may block."""


class LoopScheduler:
    """A scheduler over an asyncio loop."""

    #: Not the loop's own clock, which uvloop moves once a turn only.
    now = staticmethod(time.monotonic)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def call_soon(self, call: Call) -> None:
        """Run ``call`` in the loop's next turn."""
        self._loop.call_soon(call)

    def call_later(self, delay_s: float, call: Call) -> Timer:
        """Run ``call`` in ``delay_s``."""
        return self._loop.call_later(delay_s, call)

    def call_from_thread(self, call: Call) -> None:
        """Run ``call`` in the loop's next turn; raises Draining when the loop is closed."""
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError as error:
            raise Draining("the loop of the actors has ended") from error

    def is_current(self) -> bool:
        """Say whether the caller runs on the loop."""
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False


class VirtualScheduler:
    """A scheduler whose time moves only when it is told to: the same calls, the same run.

    Args:
        seed: Shuffles timers that are due at the same instant; None keeps their order.
        max_calls: How many calls one ``run_until_idle`` may take.
    """

    def __init__(self, seed: int | None = None, max_calls: int = 1_000_000) -> None:
        tie = float if seed is None else random.Random(seed).random  # noqa: S311 - no secret
        self._now = 0.0
        self._ready: deque[Call] = deque()
        self._agenda: Agenda[Call] = Agenda(tie)
        self._max_calls = max_calls

    def now(self) -> float:
        """Return the virtual time, from 0."""
        return self._now

    def call_soon(self, call: Call) -> None:
        """Run ``call`` in the next ``run_until_idle``, after those asked for before."""
        self._ready.append(call)

    call_from_thread = call_soon

    def call_later(self, delay_s: float, call: Call) -> Timer:
        """Run ``call`` once time was advanced by ``delay_s``."""
        return self._agenda.add(self._now + max(0.0, delay_s), call)

    def is_current(self) -> bool:
        """Return True: nothing ever runs beside a simulation."""
        return True

    def next_due(self) -> float | None:
        """Return the virtual time of the next timer, or None."""
        return self._agenda.next_due()

    def run_until_idle(self) -> None:
        """Run all that is ready or due, and what follows from it, without moving time.

        Raises:
            InternalError: It took ``max_calls`` calls and there was no end.
        """
        for _ in range(self._max_calls):
            # As on a loop: what is due goes behind what is ready, and is never kept out by it.
            while due := self._agenda.take_due(self._now):
                self._ready.append(due[1])
            if not self._ready:
                return
            self._ready.popleft()()
        raise InternalError(f"the simulation is not idle after {self._max_calls} calls")

    def advance(self, delay_s: float) -> None:
        """Move time on by ``delay_s``, stopping at each timer to run until idle."""
        end = self._now + delay_s
        self.run_until_idle()
        while (due_s := self._agenda.next_due()) is not None and due_s <= end:
            self._now = due_s
            self.run_until_idle()
        self._now = end
