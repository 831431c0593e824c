"""Finds the address of the interface that a wrong one is most like."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

#: How alike the fixed words of two addresses must be, on average.
_LEAST: Final = 0.6
#: Longest path, and most segments of it, that are compared.
_MOST_CHARACTERS: Final = 200
_MOST_SEGMENTS: Final = 8


def nearest(path: str, known: Iterable[str]) -> str | None:
    """Return the template that a path is most like, or None if it is like none.

    Args:
        path: A path that no template fits.
        known: Templates; a segment such as ``{name}`` fits every text.
    """
    words = path[:_MOST_CHARACTERS].strip("/").split("/")[:_MOST_SEGMENTS]
    found = max(known, key=lambda one: _likeness(words, _segments(one)), default=None)
    return found if found and _likeness(words, _segments(found)) >= _LEAST else None


def _segments(template: str) -> list[str]:
    return template.strip("/").split("/")


def _likeness(words: list[str], segments: list[str]) -> float:
    """Return 0 to 1; the number of segments counts as well."""
    pairs = list(zip(words, segments, strict=False))
    fixed = [_ratio(word, part) for word, part in pairs if not part.startswith("{")]
    if not fixed or min(fixed) == 0.0:
        return 0.0
    return sum(fixed) / len(fixed) - 0.1 * abs(len(words) - len(segments))


def _ratio(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one.lower(), other).ratio()
