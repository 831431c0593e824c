"""The soft time limit: it interrupts an invocation in its own code."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Final

from jobx.handlers.failures import over_time
from jobx.system import kernel

#: The file names of the import system.
IMPORT_SYSTEM: Final = "<frozen importlib"
#: Most time between reading the timer and reading the clock.
_SLACK_S: Final = 0.01
#: Author code that swallows the interruption is interrupted again after this.
_AGAIN_S: Final = 0.5


class TimeLimit:
    """Raises HandlerTimeout in the main thread when a deadline passes.

    The process timer is set only if it would fire too late: a timer that fires too early finds
    that time is left and is set again. So starting and stopping cost next to nothing.

    Args:
        set_timer: Starts the timer of a kind, to fire after so many seconds; 0 stops it.

    Attributes:
        cut_import: It interrupted an import, which leaves incomplete modules.
    """

    def __init__(self, set_timer: Callable[[int, float], object] = signal.setitimer) -> None:
        self._set_timer = set_timer
        self.cut_import = False
        self._deadline = math.inf
        self._fires_at = math.inf
        self._limit_s = math.inf

    def install(self) -> None:
        """Take over SIGALRM and its timer, unless nobody changed them."""
        if kernel.handler_of(signal.SIGALRM) != self._fired:
            kernel.set_handler(signal.SIGALRM, self._fired)
        if self._is_timer_ours():
            self.stop()
        else:
            self.close()

    def _is_timer_ours(self) -> bool:
        left_s, interval_s = signal.getitimer(signal.ITIMER_REAL)
        expected_s = self._fires_at - time.monotonic()
        is_set = left_s != 0 and abs(left_s - expected_s) < _SLACK_S
        return interval_s == 0 and (is_set or (left_s == 0 and math.isinf(expected_s)))

    def start(self, deadline: float, limit_s: float) -> None:
        """Interrupt the running code at ``deadline`` (monotonic), when it has had ``limit_s``."""
        self._deadline = deadline
        self._limit_s = limit_s
        if deadline < self._fires_at:
            self._set(deadline)

    def stop(self) -> None:
        """Cancel the interruption."""
        self._deadline = math.inf

    def close(self) -> None:
        """Stop the timer."""
        self._deadline = self._fires_at = math.inf
        self._set_timer(signal.ITIMER_REAL, 0)

    def _set(self, instant: float) -> None:
        self._fires_at = instant
        self._set_timer(signal.ITIMER_REAL, max(instant - time.monotonic(), 1e-6))

    def _fired(self, signum: int, frame: FrameType | None) -> None:
        self._fires_at = math.inf
        if math.isinf(self._deadline):
            return
        if time.monotonic() < self._deadline:
            self._set(self._deadline)
            return
        self._deadline = time.monotonic() + _AGAIN_S
        self._set(self._deadline)
        self.cut_import = self.cut_import or _is_importing(frame)
        raise over_time(self._limit_s)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith(IMPORT_SYSTEM):
            return True
        frame = frame.f_back
    return False
