"""Results in the formats of mr, for receivers that read those: ``results.format = "mr"``."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import Final

from jobx.actors.egress.writers.base import Result, json_item, pieces
from jobx.values import Key, Value

NAME: Final = "mr"
_PLAIN: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,199}")


def document(result: Result) -> Iterator[bytes]:
    """Yield the pairs as one JSON list, ``[[key, value], …]``, in pieces."""
    return pieces(b"[", (json_item(*pair) for pair in result.pairs()), b",", b"]")


def rows(result: Result) -> Iterator[bytes]:
    r"""Yield ``key value`` and CR LF for each pair, in pieces.

    A blank in either is ``\ ``: mr wrote no such result.
    """
    return pieces(b"", map(_row, result.pairs()), b"", b"")


def file_name(key: Key) -> str | None:
    """Return the name of the file of a key, or None if mr's would lead elsewhere."""
    name = str(key)
    return name if _PLAIN.fullmatch(name) else None


def text(value: Value) -> bytes:
    """Return the contents of the file of a key."""
    return value if isinstance(value, bytes) else str(value).encode()


def _row(pair: tuple[Key, Value]) -> bytes:
    line = io.StringIO()
    csv.writer(line, delimiter=" ", quoting=csv.QUOTE_NONE, escapechar="\\").writerow(pair)
    return line.getvalue().encode()
