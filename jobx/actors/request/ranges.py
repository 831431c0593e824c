"""A set of whole numbers as sorted ranges, which is small if the numbers are contiguous."""

from __future__ import annotations

import bisect
from collections.abc import Iterator


class Ranges:
    """A set of whole numbers, as disjoint half-open ranges in ascending order."""

    __slots__ = ("_starts", "_stops", "size")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        self.size = 0

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(zip(self._starts, self._stops, strict=True))

    def overlaps(self, start: int, stop: int) -> bool:
        """Whether any number of the range is in the set."""
        position = bisect.bisect_right(self._stops, start)
        return position < len(self._starts) and self._starts[position] < stop

    def add(self, start: int, stop: int) -> None:
        """Add a range that does not overlap the set, and join it with its neighbours."""
        position = bisect.bisect_left(self._starts, start)
        self.size += stop - start
        left = position > 0 and self._stops[position - 1] == start
        right = position < len(self._starts) and self._starts[position] == stop
        if left and right:
            self._stops[position - 1] = self._stops.pop(position)
            del self._starts[position]
        elif left:
            self._stops[position - 1] = stop
        elif right:
            self._starts[position] = start
        else:
            self._starts.insert(position, start)
            self._stops.insert(position, stop)

    def remove(self, start: int, stop: int) -> None:
        """Remove a range that is completely in the set."""
        position = bisect.bisect_right(self._starts, start) - 1
        low, high = self._starts[position], self._stops[position]
        kept = [(a, b) for a, b in ((low, start), (stop, high)) if a < b]
        self._starts[position : position + 1] = [a for a, _ in kept]
        self._stops[position : position + 1] = [b for _, b in kept]
        self.size -= stop - start

    def gaps(self, start: int, stop: int) -> list[tuple[int, int]]:
        """Return the parts of a range that are not in the set, in ascending order."""
        missing = []
        position = bisect.bisect_right(self._stops, start)
        while start < stop:
            if position == len(self._starts) or self._starts[position] >= stop:
                missing.append((start, stop))
                break
            if self._starts[position] > start:
                missing.append((start, self._starts[position]))
            start = self._stops[position]
            position += 1
        return missing
