"""Where and when the invocations of an event ran, in few bytes of the log.

A node measures how long an executor was at a frame. Which invocation began when follows from what
each of them took: they ran one after the other, and what is left of the time is shared out evenly
among them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple


class Span(NamedTuple):
    """Where and when the invocations of one event ran.

    Attributes:
        executor: The process id of the executor.
        began_us: How long before the time of the event the first of them began, microseconds.
        us: How long all of them took together, microseconds.
    """

    executor: int
    began_us: int
    us: int


def split(executor: int, whole_us: int, spent_us: Sequence[int | None]) -> list[Span]:
    """Return the span of each part of an answer that took ``whole_us`` microseconds.

    Args:
        executor: The process id of the executor.
        whole_us: How long it was at the answer.
        spent_us: What the invocations of each part took; None: they were not started.
    """
    if len(spent_us) == 1:
        return [Span(executor, whole_us, whole_us)]
    begun = [us for us in spent_us if us is not None]
    gap_us = max(whole_us - sum(begun), 0) / max(len(begun), 1)
    shares = [0 if us is None else int(us + gap_us) for us in spent_us]
    left_us = [whole_us, *(whole_us - done for done in accumulate(shares))]
    return [
        Span(executor, max(left, 0), share) for left, share in zip(left_us, shares, strict=False)
    ]


def starts(at: float, span: Span, spent_us: Sequence[int], count: int) -> Iterator[float]:
    """Yield when each of ``count`` invocations began, as a wall clock shows it.

    Args:
        at: The time of their event.
        span: Their span.
        spent_us: What each took, or all mappers, then all combiners and all reducers.
        count: How many they are.
    """
    each = [sum(spent_us[position::count]) for position in range(count)]
    gap_us = max(span.us - sum(each), 0) / count
    began_at = at - span.began_us / 1e6
    for before_us in accumulate((us + gap_us for us in each[:-1]), initial=0.0):
        yield began_at + before_us / 1e6
