"""The seam to time and the loop: a real scheduler over asyncio, a virtual one for simulations."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol, TypeAlias

from jobx.actors.runtime.timers import Agenda
from jobx.errors import Draining, InternalError

Callback: TypeAlias = Callable[[], None]


class Timer(Protocol):
    """A scheduled call."""

    def cancel(self) -> object:
        """Cancel the call; does nothing if it has happened."""


class Scheduler(Protocol):
    """Runs calls one after the other, on one thread."""

    def now(self) -> float:
        """Return monotonic seconds."""

    def call_soon(self, call: Callback) -> None:
        """Run ``call`` after the current calls. On the scheduler's thread only."""

    def call_later(self, delay_s: float, call: Callback) -> Timer:
        """Run ``call`` in ``delay_s``. On the scheduler's thread only."""

    def call_from_thread(self, call: Callback) -> None:
        """As ``call_soon``, from any thread.

        Raises:
            Draining: The loop has ended.
        """

    def is_current(self) -> bool:
        """Return whether the caller runs on the scheduler's thread, where nothing may block."""


class LoopScheduler:
    """A scheduler over an asyncio loop."""

    #: Not the loop's own clock, which uvloop moves only once a turn.
    now = staticmethod(time.monotonic)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def call_soon(self, call: Callback) -> None:
        """Run ``call`` in the loop's next turn."""
        self._loop.call_soon(call)

    def call_later(self, delay_s: float, call: Callback) -> Timer:
        """Run ``call`` in ``delay_s``."""
        return self._loop.call_later(delay_s, call)

    def call_from_thread(self, call: Callback) -> None:
        """Run ``call`` in the loop's next turn; raises Draining if the loop is closed."""
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError as error:
            raise Draining("the loop of the actors has ended") from error

    def is_current(self) -> bool:
        """Return whether the caller runs on the loop."""
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False


class VirtualScheduler:
    """A scheduler whose time moves only on demand: the same calls give the same run.

    Args:
        seed: Shuffles timers that are due at the same instant; None keeps their order.
        max_calls: Largest number of calls of one ``run_until_idle``.
    """

    def __init__(self, seed: int | None = None, max_calls: int = 1_000_000) -> None:
        tie = float if seed is None else random.Random(seed).random  # noqa: S311 - no secret
        self._now = 0.0
        self._ready: deque[Callback] = deque()
        self._agenda: Agenda[Callback] = Agenda(tie)
        self._max_calls = max_calls

    def now(self) -> float:
        """Return the virtual time, from 0."""
        return self._now

    def call_soon(self, call: Callback) -> None:
        """Run ``call`` in the next ``run_until_idle``, after earlier ones."""
        self._ready.append(call)

    call_from_thread = call_soon

    def call_later(self, delay_s: float, call: Callback) -> Timer:
        """Run ``call`` after time has advanced by ``delay_s``."""
        return self._agenda.add(self._now + max(0.0, delay_s), call)

    def is_current(self) -> bool:
        """Return True: a simulation has one thread."""
        return True

    def next_due(self) -> float | None:
        """Return the virtual time of the next timer, or None."""
        return self._agenda.next_due()

    def run_until_idle(self) -> None:
        """Run everything that is ready or due, and its consequences, without moving time.

        Raises:
            InternalError: It did not end within ``max_calls`` calls.
        """
        for _ in range(self._max_calls):
            # As on a loop: due calls run after ready ones, which never keep them out.
            while due := self._agenda.take_due(self._now):
                self._ready.append(due[1])
            if not self._ready:
                return
            self._ready.popleft()()
        raise InternalError(f"the simulation is not idle after {self._max_calls} calls")

    def advance(self, delay_s: float) -> None:
        """Advance time by ``delay_s``, and run until idle at each timer."""
        end = self._now + delay_s
        self.run_until_idle()
        while (due_s := self._agenda.next_due()) is not None and due_s <= end:
            self._now = due_s
            self.run_until_idle()
        self._now = end
