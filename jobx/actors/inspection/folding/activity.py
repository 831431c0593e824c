"""How much ran when, by step, in a bounded number of parts of the time."""

from __future__ import annotations

from itertools import accumulate
from typing import Any, Final

from msgspec import Struct, field

#: Parts at most; there are at least half of them once there was much to count.
PARTS: Final = 4096
FIRST_WIDTH_S: Final = 0.001


class StepTimes(Struct):
    """Of one step: seconds in parts where a run began or ended, and changes of what runs through.

    A change holds for its part and all later ones.
    """

    seconds: list[float]
    changes: list[int]


class Activity(Struct):
    """Adds up runs; parts double in width when the time outgrows them.

    Attributes:
        from_at: When the first part begins.
        width_s: How wide a part is.
        steps: Each step's runs.
        begun, ended: How many runs began and ended in each part.
        failed: How many attempts failed in each part.
    """

    from_at: float = 0.0
    width_s: float = FIRST_WIDTH_S
    steps: dict[str, StepTimes] = {}
    begun: list[int] = field(default_factory=lambda: [0] * PARTS)
    ended: list[int] = field(default_factory=lambda: [0] * PARTS)
    failed: list[int] = field(default_factory=lambda: [0] * PARTS)

    def add(self, step: str, began_at: float, ended_at: float, count: int = 1) -> None:
        """Add runs that followed each other between two instants."""
        last = self._part(ended_at)  # which may widen the parts
        first = self._part(began_at) if began_at > ended_at else self.part(began_at)
        times = self.steps.get(step)
        if times is None:
            times = self.steps[step] = StepTimes([0.0] * PARTS, [0] * (PARTS + 1))
        self.begun[first] += count
        self.ended[last] += count
        if first == last:
            times.seconds[first] += max(ended_at - began_at, 0.0)
            return
        times.seconds[first] += self._at(first + 1) - max(began_at, self.from_at)
        times.seconds[last] += ended_at - self._at(last)
        times.changes[first + 1] += 1
        times.changes[last] -= 1

    def fail(self, at: float, count: int) -> None:
        """Add attempts that failed."""
        part = self._part(at)  # which may widen the parts
        self.failed[part] += count

    def running(self) -> dict[str, list[float]]:
        """Return how many ran on average in each part, by step."""
        return {
            step: [
                through + seconds / self.width_s
                for through, seconds in zip(accumulate(one.changes), one.seconds, strict=False)
            ]
            for step, one in self.steps.items()
        }

    def runs_between(self, low_at: float, high_at: float) -> int:
        """Return how many runs there are at most between two instants."""
        low, high = self.part(low_at), self.part(high_at)
        return sum(self.begun[: high + 1]) - sum(self.ended[:low])

    def part(self, at: float) -> int:
        """Return the part of an instant, the nearest one if it is in none."""
        part = int((at - self.from_at) / self.width_s)
        if part < 0:
            return 0
        return part if part < PARTS else PARTS - 1

    def _at(self, part: int) -> float:
        return self.from_at + part * self.width_s

    def _part(self, at: float) -> int:
        while at >= self.from_at + PARTS * self.width_s:
            self._widen()
        return self.part(at)

    def _widen(self) -> None:
        for times in self.steps.values():
            through = list(accumulate(times.changes))
            half = [
                a + b + (m + n) * self.width_s
                for a, b, m, n in zip(
                    *(times.seconds[::2], times.seconds[1::2]),
                    *(_partly(through[:-1:2], through[1::2])),
                    strict=True,
                )
            ]
            kept = [min(m, n) for m, n in zip(through[:-1:2], through[1::2], strict=True)]
            times.seconds = half + [0.0] * (PARTS // 2)
            kept += [0] * (PARTS // 2)
            times.changes = [b - a for a, b in zip([0, *kept], [*kept, 0], strict=True)]
        self.begun, self.ended, self.failed = map(_halved, (self.begun, self.ended, self.failed))
        self.width_s *= 2


def _partly(evens: list[int], odds: list[int]) -> tuple[list[int], list[int]]:
    """Return what runs through one of two parts and not through both."""
    return (
        [m - min(m, n) for m, n in zip(evens, odds, strict=True)],
        [n - min(m, n) for m, n in zip(evens, odds, strict=True)],
    )


def _halved(counts: list[int]) -> list[Any]:
    return [a + b for a, b in zip(counts[::2], counts[1::2], strict=True)] + [0] * (PARTS // 2)
