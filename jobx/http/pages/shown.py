"""How values look on a page: instants, durations, sizes and numbers, as short text."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from typing import Any, Final

_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86_400
_KIB: Final = 1024
_UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB")
NOTHING: Final = "-"


def instant(at: float | None) -> str:
    """Return a wall-clock instant to the second, in UTC."""
    moment = _moment(at)
    return NOTHING if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"


def iso(at: float | None) -> str:
    """Return a wall-clock instant in the form of HTML's ``datetime``."""
    moment = _moment(at)
    return "" if moment is None else f"{moment:%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"


def duration(seconds: float | None) -> str:
    """Return a duration in the unit that fits, with two or three digits."""
    if seconds is None:
        return NOTHING
    if seconds < 0.001:
        return f"{max(0.0, seconds) * 1e6:.0f} µs"
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms" if seconds < 0.9995 else "1 s"
    if seconds < _MINUTE_S:
        return f"{seconds:.3g} s"
    whole = int(seconds)
    if seconds < _HOUR_S:
        return f"{whole // _MINUTE_S} min {whole % _MINUTE_S:02d} s"
    if seconds < _DAY_S:
        return f"{whole // _HOUR_S} h {whole % _HOUR_S // _MINUTE_S:02d} min"
    return f"{whole // _DAY_S} d {whole % _DAY_S // _HOUR_S:02d} h"


def number(value: float | None) -> str:
    """Return a number with its thousands apart."""
    return NOTHING if value is None else f"{value:,}"


def size(count: int | None) -> str:
    """Return a number of bytes in the unit that fits."""
    if count is None:
        return NOTHING
    left = float(count)
    for unit in _UNITS:
        if left < _KIB or unit == _UNITS[-1]:
            break
        left /= _KIB
    return f"{count} bytes" if unit == "bytes" else f"{left:.3g} {unit}"


def as_json(value: Any) -> str:
    """Return a value as indented JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def query(current: Mapping[str, str | None], **changed: str | int | None) -> dict[str, str]:
    """Return the parameters of a query with some changed; None and empty ones are left out."""
    merged = {**current, **changed}
    return {name: str(value) for name, value in merged.items() if value not in (None, "")}


def _moment(at: float | None) -> datetime.datetime | None:
    if at is None:
        return None
    try:
        return datetime.datetime.fromtimestamp(at, datetime.UTC)
    except (OverflowError, OSError, ValueError):  # a clock that was far off
        return None
