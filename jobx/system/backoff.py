"""Delays before retries: doubled each time, and spread."""

from __future__ import annotations

import random
from typing import Final

#: Doublings are bounded, because a float ends at 2 to the 1024th.
_MOST_DOUBLINGS: Final = 60


def doubled(first_s: float, times: int, most_s: float) -> float:
    """Return ``first_s``, doubled so many times, but at most ``most_s``."""
    return min(first_s * 2.0 ** min(times, _MOST_DOUBLINGS), most_s)


def luck() -> float:
    """Return a random number below 1 that spreads tries."""
    return random.random()  # noqa: S311 - it keeps no secret


def spread(delay_s: float, luck: float) -> float:
    """Return a delay between half as long and one and a half times as long."""
    return delay_s * (0.5 + luck)
