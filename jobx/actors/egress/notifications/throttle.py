"""Throttles repeated notifications: the first of a cause goes out at once, then one a minute.

Each later one carries the number of repeats. Pure: the caller passes the time.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from jobx.actors.notification import Notification

#: At most one message of a cause in this time.
INTERVAL_S: Final = 60.0
#: Causes that are counted one by one at a time; all others share one count.
MAX_CAUSES: Final = 256

Cause: TypeAlias = tuple[str, str, str | None, str]
_OTHERS: Final = "others"


@dataclass(slots=True)
class _Window:
    """A cause that was sent lately; ``last`` is the newest repeat that was held back."""

    last: Notification | None = None


class Throttle:
    """Decides when a notification goes out, and merges repeats into one with a count."""

    def __init__(self, max_causes: int = MAX_CAUSES) -> None:
        self._max_causes = max_causes
        self._windows: dict[Cause, _Window] = {}
        self._ends: list[tuple[float, int, Cause]] = []
        self._opened = 0

    def take(self, notification: Notification, now: float) -> Notification | None:
        """Return the notification to send now, or None when it is held back.

        Args:
            notification: What happened.
            now: Monotonic seconds.
        """
        cause: Cause = (
            notification.kind,
            notification.level,
            notification.channel,
            notification.cause,
        )
        if cause not in self._windows and len(self._windows) >= self._max_causes:
            cause = (_OTHERS, notification.level, notification.channel, "")
        window = self._windows.get(cause)
        if window is None:
            self._open(cause, now)
            return notification
        told = window.last.count if window.last else 0
        window.last = replace(notification, count=told + notification.count)
        return None

    def due(self, now: float) -> list[Notification]:
        """Return the held-back notifications that are due."""
        messages = []
        while self._ends and self._ends[0][0] <= now:
            *_, cause = heapq.heappop(self._ends)
            last = self._windows.pop(cause).last
            if last is not None:
                messages.append(last)
                self._open(cause, now)
        return messages

    def next_due(self) -> float | None:
        """Return when to call ``due`` next, None for never."""
        return self._ends[0][0] if self._ends else None

    @property
    def held_back(self) -> int:
        """Number of notifications that go out later."""
        return sum(window.last.count for window in self._windows.values() if window.last)

    def flush(self) -> list[Notification]:
        """Return everything that was held back, and forget it."""
        messages = [window.last for window in self._windows.values() if window.last]
        self._windows.clear()
        self._ends.clear()
        return messages

    def _open(self, cause: Cause, now: float) -> None:
        self._windows[cause] = _Window()
        self._opened += 1  # so that causes need not be compared
        heapq.heappush(self._ends, (now + INTERVAL_S, self._opened, cause))
