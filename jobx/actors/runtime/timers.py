"""Timers in a fixed order: by due time, then by request."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable
from datetime import timedelta
from typing import Final, Generic, TypeVar

from jobx.errors import InvalidInput

T = TypeVar("T")

#: Cancelled timers in an agenda before they are removed.
_SWEEP_ABOVE: Final = 64


def seconds(period: float | timedelta) -> float:
    """Return a period of Thespian in seconds, at least 0.

    Raises:
        InvalidInput: It is not a period.
    """
    found = period.total_seconds() if isinstance(period, timedelta) else float(period)
    if math.isnan(found):
        raise InvalidInput("period", repr(period), "must be seconds or a timedelta")
    return max(0.0, found)


class AgendaTimer(Generic[T]):
    """One item of an agenda. ``item`` is None once it was taken or cancelled."""

    __slots__ = ("_agenda", "item")

    def __init__(self, agenda: Agenda[T], item: T) -> None:
        self._agenda = agenda
        self.item: T | None = item

    def cancel(self) -> None:
        """Cancel the timer; does nothing if it was taken or cancelled."""
        if self.item is not None:
            self.item = None
            self._agenda.count_cancelled()


class Agenda(Generic[T]):
    """Items by due time. Items due at the same time keep the order in which they were added.

    Args:
        tie: Draws a number that orders items due at the same time, before the order of adding.
    """

    __slots__ = ("_cancelled", "_heap", "_order", "_tie")

    def __init__(self, tie: Callable[[], float] = float) -> None:
        self._heap: list[tuple[float, float, int, AgendaTimer[T]]] = []
        self._order = itertools.count()
        self._tie = tie
        self._cancelled = 0

    def __len__(self) -> int:
        return len(self._heap) - self._cancelled

    def add(self, due_s: float, item: T) -> AgendaTimer[T]:
        """Add ``item``, due at the monotonic instant ``due_s``."""
        timer = AgendaTimer(self, item)
        heapq.heappush(self._heap, (due_s, self._tie(), next(self._order), timer))
        return timer

    def next_due(self) -> float | None:
        """Return when the first item is due, or None if there is none."""
        heap = self._heap
        while heap and heap[0][3].item is None:
            heapq.heappop(heap)
            self._cancelled -= 1
        return heap[0][0] if heap else None

    def take_due(self, now: float) -> tuple[AgendaTimer[T], T] | None:
        """Remove and return the first timer due at ``now`` with its item, or None."""
        due_s = self.next_due()
        if due_s is None or due_s > now:
            return None
        timer = heapq.heappop(self._heap)[3]
        item, timer.item = timer.item, None
        return (timer, item) if item is not None else None

    def count_cancelled(self) -> None:
        """Count a cancelled timer; remove them when most are cancelled."""
        self._cancelled += 1
        if self._cancelled > _SWEEP_ABOVE and self._cancelled * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[3].item is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0
