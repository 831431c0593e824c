"""The header ``traceparent`` of W3C Trace Context: which trace a request belongs to."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_FORM: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_SAMPLED: Final = 1


class Traceparent(NamedTuple):
    """The trace of a caller, and its span there."""

    trace_id: int
    span_id: int
    is_sampled: bool


def read(text: object) -> Traceparent | None:
    """Return what a header says; None: it is none of version 00."""
    found = _FORM.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return None
    trace_id, span_id, flags = (int(part, 16) for part in found.groups())
    return Traceparent(trace_id, span_id, bool(flags & _SAMPLED)) if trace_id and span_id else None
