"""Durations, sizes and counts for people: one form on pages and in the terminal.

What a program reads, and the limits of settings, are exact numbers in seconds and bytes instead.
"""

from __future__ import annotations

from typing import Final

_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86_400
_KIB: Final = 1024
_UNITS: Final = ("KiB", "MiB", "GiB", "TiB")


def duration(duration_s: float) -> str:
    """Return a duration in the unit that fits, with up to three digits."""
    if duration_s < 0.000_999_5:
        return f"{max(0.0, duration_s) * 1e6:.0f} µs"
    if duration_s < 0.999_5:
        return f"{duration_s * 1000:.3g} ms"
    if duration_s < 59.95:
        return f"{duration_s:.3g} s"
    whole = round(duration_s)
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S} min {whole % _MINUTE_S:02d} s"
    if whole < _DAY_S:
        return f"{whole // _HOUR_S} h {whole % _HOUR_S // _MINUTE_S:02d} min"
    return f"{whole // _DAY_S:,} d {whole % _DAY_S // _HOUR_S:02d} h"


def size(size_bytes: int) -> str:
    """Return a size in the unit that fits, with up to three digits; below 1 KiB it is exact."""
    if size_bytes < _KIB:
        return count(size_bytes, "byte")
    left = size_bytes / _KIB
    for unit in _UNITS[:-1]:
        if left < 999.5:
            return f"{left:.3g} {unit}"
        left /= _KIB
    return f"{left:.3g} {_UNITS[-1]}" if left < 999.5 else f"{left:,.0f} {_UNITS[-1]}"


def count(number: int, noun: str, plural: str = "s") -> str:
    """Return how many there are of ``noun``; ``plural`` is appended to it unless there is one."""
    return f"{number:,} {noun}{'' if number == 1 else plural}"
