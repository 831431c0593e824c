"""Instants as people write them: RFC 3339, or how long ago."""

from __future__ import annotations

import datetime
import re
from typing import Final

from jobx.errors import InvalidInput, quote

_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_AGO: Final = re.compile(r"([0-9]{1,9})([smhdw])")
#: RFC 3339, also with a space, since addresses have that in place of a plus sign.
_INSTANT: Final = re.compile(
    r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?)([Zz]|[-+ ]\d\d:\d\d)", re.ASCII
)
#: The form of either, for descriptions.
PATTERN: Final = (
    r"^([0-9]{1,9}[smhdw]|[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}"
    r"([.][0-9]{1,9})?([Zz]|[-+ ][0-9]{2}:[0-9]{2}))$"
)
_REASON: Final = "is an instant such as 2026-02-01T12:00:00Z, or how long ago, such as 90s, 2h, 7d"


def read_instant(where: str, text: str, now_at: float) -> float:
    """Return the wall-clock instant of a text, in seconds since 1970.

    Args:
        where: What the text is, for the error.
        text: RFC 3339 (``2026-02-01T12:00:00Z``), or how long ago: ``90s``, ``5m``, ``2h``, ``7d``,
            ``1w``.
        now_at: The wall clock.

    Raises:
        InvalidInput: It is neither.
    """
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return now_at - int(ago[1]) * _UNITS_S[ago[2]]
    match = _INSTANT.fullmatch(text)
    try:
        if match is not None:
            zone = "+00:00" if match[2] in "Zz" else match[2].replace(" ", "+")
            day = match[1].upper().replace(" ", "T")
            return datetime.datetime.fromisoformat(f"{day}{zone}").timestamp()
    except (ValueError, OverflowError):  # the 30th of February, or a year beyond all clocks
        pass
    raise InvalidInput(where, quote(text), _REASON)
