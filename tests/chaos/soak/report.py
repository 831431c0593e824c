"""The figures of a soak as a table, and its violations by kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from tests.chaos.soak.history import History, Violation
from tests.chaos.soak.plan import QUIET

_SHOWN = 5


def lines(history: History, took_s: float, violations: Sequence[Violation]) -> Iterator[str]:
    """Yield the lines of a report."""
    ends = Counter(ending.state for ending in history.endings.values())
    waits = sorted(ending.waited_s for ending in history.endings.values())
    strained = sum(number < QUIET for number in history.asks)
    quiet = len(history.asks) - strained
    yield f"{'asks':<20} {strained} ({strained / took_s:.1f}/s), and {quiet} in quiet"
    yield f"{'exchanges':<20} {len(history.attempts)}"
    yield f"{'ended':<20} {_counts(ends)}"
    yield f"{'answers':<20} {_counts(_answers(history))}"
    if waits:
        yield f"{'waits':<20} " + ", ".join(
            f"{name} {waits[min(len(waits) - 1, int(len(waits) * part))]:.2f} s"
            for name, part in (("median", 0.5), ("p99", 0.99), ("longest", 1.0))
        )
    yield f"{'jobs':<20} {_counts(Counter(ask.job for ask in history.asks.values()))}"
    yield f"{'delivered':<20} " + ", ".join(
        f"{writer} {len(found)}" for writer, found in history.delivered.items()
    )
    yield f"{'struck':<20} {_counts(Counter(one.fault for one in history.struck))}"
    for name in sorted(history.uses[-1] if history.uses else ()):
        told = [use.get(name, (0, 0)) for use in history.uses]
        rounds = ", then ".join(f"{rss >> 20} MiB and {fds} descriptors" for fds, rss in told)
        yield f"{name:<20} {rounds}"
    yield f"{'violations':<20} {_counts(Counter(one.kind for one in violations)) or 'none'}"
    for kind in sorted({one.kind for one in violations}):
        of_kind = [one.detail for one in violations if one.kind == kind]
        for detail in of_kind[:_SHOWN]:
            yield f"  {kind}: {detail}"
        if len(of_kind) > _SHOWN:
            yield f"  {kind}: … and {len(of_kind) - _SHOWN} more"


def _answers(history: History) -> Counter[str]:
    return Counter(
        f"{one.status or 'broken'} {one.code}".strip()
        for one in history.attempts
        if one.status not in (200, 202) or one.method == "POST"
    )


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.most_common())
