"""Folds repeated notifications: the first of a cause at once, then one a minute with a count.

Pure: the clock is what it is told.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from jobx.actors.notification import Notice

#: At most one message of a cause in this time.
INTERVAL_S: Final = 60.0
#: Causes that are told apart at a time; all others share one.
MAX_CAUSES: Final = 256

Cause: TypeAlias = tuple[str, str, str | None, str]
_OTHERS: Final = "others"


@dataclass(slots=True)
class _Window:
    """A cause that was told of; ``last`` is the newest of those that were not."""

    last: Notice | None = None


class Folding:
    """What to tell when; takes notices and gives messages, each a notice with a count."""

    def __init__(self, interval_s: float = INTERVAL_S, max_causes: int = MAX_CAUSES) -> None:
        self._interval_s = interval_s
        self._max_causes = max_causes
        self._windows: dict[Cause, _Window] = {}
        self._ends: list[tuple[float, int, Cause]] = []
        self._opened = 0

    def take(self, notice: Notice, now: float) -> Notice | None:
        """Return the message of a notice, or None when it is told of later.

        Args:
            notice: What happened.
            now: Monotonic seconds.
        """
        cause: Cause = (notice.kind, notice.level, notice.channel, notice.cause)
        if cause not in self._windows and len(self._windows) >= self._max_causes:
            cause = (_OTHERS, notice.level, notice.channel, "")
        window = self._windows.get(cause)
        if window is None:
            self._open(cause, now)
            return notice
        told = window.last.count if window.last else 0
        window.last = replace(notice, count=told + notice.count)
        return None

    def due(self, now: float) -> list[Notice]:
        """Return the messages whose time has come."""
        messages = []
        while self._ends and self._ends[0][0] <= now:
            *_, cause = heapq.heappop(self._ends)
            last = self._windows.pop(cause).last
            if last is not None:
                messages.append(last)
                self._open(cause, now)
        return messages

    def next_due(self) -> float | None:
        """Return when ``due`` should be asked next, None for never."""
        return self._ends[0][0] if self._ends else None

    def flush(self) -> list[Notice]:
        """Return all that was not told of yet, and forget everything."""
        messages = [window.last for window in self._windows.values() if window.last]
        self._windows.clear()
        self._ends.clear()
        return messages

    def _open(self, cause: Cause, now: float) -> None:
        self._windows[cause] = _Window()
        self._opened += 1  # so that causes need not be compared
        heapq.heappush(self._ends, (now + self._interval_s, self._opened, cause))
