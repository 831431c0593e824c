"""Counts of what a process does, in plain integers; ``/metrics`` shows them.

They are cheap enough for hot paths (a tenth of a microsecond to find a cell, two tenths to count
into it) and belong to one event loop. What counts by names that users choose is bounded: a metric
has at most 1,000 label sets, and what comes later is counted as ``other``.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Final, TypeVar

#: Most label sets of one metric.
MOST_LABEL_SETS: Final = 1_000
#: What stands for the names that had no room.
OTHER: Final = "other"
#: Upper bounds of the times of requests and invocations, seconds.
LONG_S: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 3600.0)
#: Upper bounds of the times of commits, seconds.
SHORT_S: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0)

C = TypeVar("C")


class Count:
    """A number that only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0

    def add(self, count: int = 1) -> None:
        """Count."""
        self.value += count


class Histogram:
    """How many measurements were at most as large as each bound.

    Args:
        bounds: The bounds, ascending.

    Attributes:
        counts: Measurements by the first bound that is not below them; the last is of those above
            all bounds.
        total: Sum of all measurements.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.counts)

    def observe(self, value: float) -> None:
        """Take one measurement; one below 0 counts as 0."""
        self.counts[bisect_left(self.bounds, value)] += 1
        if value > 0:
            self.total += value

    def observe_all(self, values: Sequence[float], scale: float) -> None:
        """Take many at once; each is a number of units, of which one is ``scale``."""
        if len(values) == 1:
            self.observe(values[0] * scale)
            return
        ascending, before = sorted(values), 0
        for place, bound in enumerate(self.bounds):
            until = bisect_right(ascending, bound / scale)
            self.counts[place] += until - before
            before = until
            if until == len(ascending):
                break
        self.counts[-1] += len(ascending) - before
        self.total += sum(ascending) * scale

    def observe_spread(self, first: float, last: float, count: int) -> None:
        """Take ``count`` measurements that lie evenly from ``first`` to ``last``."""
        first, before = max(first, 0.0), 0
        reach = max(last - first, 0.0)
        for place, bound in enumerate(self.bounds):
            if bound >= first:
                share = min((bound - first) / reach, 1.0) if reach else 1.0
                until = min(int(share * (count - 1)) + 1, count)
                self.counts[place] += until - before
                before = until
        self.counts[-1] += count - before
        self.total += count * (first + reach / 2)

    def merge(self, counts: Sequence[int], total: float) -> None:
        """Add what another one with the same bounds has counted."""
        self.counts = [ours + theirs for ours, theirs in zip(self.counts, counts, strict=True)]
        self.total += total

    def cumulative(self) -> list[int]:
        """Return how many were at most as large as each bound, and last how many there were."""
        return list(accumulate(self.counts))


class Counts(dict[tuple[str, ...], C]):
    """The cells of one metric, by the values of its labels; a cell is made when it is looked up.

    Args:
        new: Makes a cell.
        named: How many of the labels, the first ones, have values that users choose; 0: all may
            become ``other``.
        most: Most label sets before those values become ``other``.
    """

    __slots__ = ("_most", "_named", "_new")

    def __init__(self, new: Callable[[], C], named: int = 0, most: int = MOST_LABEL_SETS) -> None:
        super().__init__()
        self._new = new
        self._named = named
        self._most = most

    def __missing__(self, labels: tuple[str, ...]) -> C:
        """Return the new cell of some labels, or the one that they share with others."""
        if len(self) >= self._most:
            labels = (OTHER,) * (self._named or len(labels)) + labels[self._named or len(labels) :]
        return self.setdefault(labels, self._new())
