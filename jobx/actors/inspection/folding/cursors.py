"""Cursors of pages: a position that only the question that it belongs to may come back with."""

from __future__ import annotations

import re
import zlib
from typing import Any

from jobx.actors.inspection.folding.view_columns import KINDS
from jobx.errors import InvalidInput, quote
from jobx.questions import OfRequest

_NAME = re.compile("([mcr])(0|[1-9][0-9]{0,17})")
#: A position is up to three times a vertex.
_CURSOR = re.compile("([0-9]{1,19})[.]([0-9a-f]{8})")


def cursor(position: int, asked: OfRequest[Any], *filters: str | None) -> str:
    """Return the cursor of a position in the answer to a question with these filters."""
    return f"{position}.{_mark(asked, filters)}"


def position(where: str, text: str, asked: OfRequest[Any], *filters: str | None) -> int:
    """Return the position of a cursor.

    Raises:
        InvalidInput: It is none of this request and these filters.
    """
    found = _CURSOR.fullmatch(text)
    if found is None or found[2] != _mark(asked, filters):
        reason = "is no cursor of this request and filter: give `next` of the page before"
        raise InvalidInput(where, quote(text), reason)
    return int(found[1])


def invocation(text: str) -> tuple[int, int] | None:
    """Return the vertex and the kind (0 to 2) of an invocation id; None if it is none."""
    found = _NAME.fullmatch(text)
    if found is None:
        return None
    return int(found[2]), [kind[0] for kind in KINDS].index(found[1])


def _mark(asked: OfRequest[Any], filters: tuple[str | None, ...]) -> str:
    words = "/".join((asked.workflow, asked.request_id, asked.verb, *map(str, filters)))
    return f"{zlib.crc32(words.encode()):08x}"
