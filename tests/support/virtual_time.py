"""A scheduler on virtual time, for simulations."""

from __future__ import annotations

import random
from collections import deque

from jobx.actors.runtime.scheduler import Callback, Timer
from jobx.actors.runtime.timers import Agenda
from jobx.errors import InternalError


class VirtualScheduler:
    """A scheduler whose time moves only on demand: the same calls give the same run.

    Args:
        seed: Shuffles timers that are due at the same instant; None keeps their order.
        max_calls: Largest number of calls of one ``run_until_idle``.
    """

    def __init__(self, seed: int | None = None, max_calls: int = 1_000_000) -> None:
        tie = float if seed is None else random.Random(seed).random
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
