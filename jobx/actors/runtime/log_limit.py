"""Bounds how often something is logged."""

from __future__ import annotations

from collections.abc import Callable


class LogLimit:
    """Lets through a number of lines in each window.

    Args:
        now: Monotonic seconds.
        window_s: The length of a window.
        lines: Lines in it.

    Attributes:
        left_out: Lines that were refused between the last two that were let through.
    """

    def __init__(self, now: Callable[[], float], window_s: float, lines: int) -> None:
        self.left_out = 0
        self._now = now
        self._window_s = window_s
        self._lines = lines
        self._until_s = -1.0
        self._logged = self._refused = 0

    def may_log(self) -> bool:
        """Whether a line may be logged now, which is then counted."""
        now = self._now()
        if now >= self._until_s:
            self._until_s, self._logged = now + self._window_s, 0
        if self._logged >= self._lines:
            self._refused += 1
            return False
        self._logged += 1
        self.left_out, self._refused = self._refused, 0
        return True
