"""The seam to time and the loop: a scheduler over asyncio, and what another one must do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol, TypeAlias

from jobx.errors import Draining

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
