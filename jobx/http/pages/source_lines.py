"""Finds the lines of a handler that an error came from, and compares two sources."""

from __future__ import annotations

import difflib
import re
from typing import Final, NamedTuple

_AROUND: Final = 5
#: A line of a traceback, and the line of code below it.
_PLACE: Final = re.compile(r'^\s*File "<handler [^"]*>", line (\d+)[^\n]*\n\s*([^\n]+)', re.M)
#: Lines of each source that are compared; more would hold up the web worker.
MAX_COMPARED: Final = 3000


class Line(NamedTuple):
    """A line of code."""

    number: int
    text: str
    is_marked: bool = False


def around(source: str, traceback: str) -> list[Line]:
    """Return the lines around the innermost line of the traceback, which is marked.

    Empty if the source does not have that line there: it was changed since.
    """
    places = _PLACE.findall(traceback)
    if not places:
        return []
    number, text = int(places[-1][0]), places[-1][1].strip()
    lines = source.splitlines()
    if not 0 < number <= len(lines) or lines[number - 1].strip() != text:
        return []
    first = max(1, number - _AROUND)
    shown = lines[first - 1 : number + _AROUND]
    return [Line(at, line, at == number) for at, line in enumerate(shown, first)]


def difference(before: str, after: str) -> list[str] | None:
    """Return the unified difference of two sources, without its head; None if they are too long."""
    old, new = before.splitlines(), after.splitlines()
    if max(len(old), len(new)) > MAX_COMPARED:
        return None
    return list(difflib.unified_diff(old, new, lineterm="", n=3))[2:]
