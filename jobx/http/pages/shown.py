"""How values look on a page: instants, durations, sizes and numbers, as short text."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from typing import Any, Final

from jobx import amounts, printable

NOTHING: Final = "-"


class Given(str):
    """Text that a form sends back, or that people copy: it is shown as it was given."""

    __slots__ = ()


def text(value: Any) -> Any:
    """Return what a page shows of a value: of foreign text what cannot be seen is escaped.

    Else characters that turn the direction of text make it look like other text, also in sources.
    """
    return printable.lines(value) if type(value) is str else value


def instant(at: float | None) -> str:
    """Return a wall-clock instant to the second, in UTC."""
    moment = _moment(at)
    return NOTHING if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"


def iso(at: float | None) -> str:
    """Return a wall-clock instant in the form of HTML's ``datetime``."""
    moment = _moment(at)
    return "" if moment is None else f"{moment:%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"


def duration(duration_s: float | None) -> str:
    """Return a duration in the unit that fits."""
    return NOTHING if duration_s is None else amounts.duration(duration_s)


def number(value: float | None) -> str:
    """Return a number with its thousands apart."""
    return NOTHING if value is None else f"{value:,}"


def size(size_bytes: int | None) -> str:
    """Return a size in the unit that fits."""
    return NOTHING if size_bytes is None else amounts.size(size_bytes)


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
