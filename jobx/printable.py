"""Makes foreign text safe for terminals and logs.

Control characters move the cursor, rename the window or answer for the person at the keyboard.
Direction marks make text look like other text. Each becomes its escape, as in Python's literals.
"""

from __future__ import annotations

import unicodedata
from typing import Final

#: Categories of escaped characters: controls, formats, surrogates, separators.
_UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
#: Format characters that scripts and emoji need.
_JOINERS: Final = frozenset("\u200c\u200d")


class _Escapes(dict[int, str]):
    """A table for ``str.translate``, filled on demand."""

    def __init__(self, kept: str, *, as_json: bool = False) -> None:
        super().__init__({ord(char): char for char in kept})
        self._as_json = as_json

    def __missing__(self, code: int) -> str:
        char = shown = chr(code)
        if unicodedata.category(char) in _UNSAFE and char not in _JOINERS:
            shown = _json_escape(char) if self._as_json else _escape(char)
        self[code] = shown
        return shown


def line(text: str) -> str:
    """Return text as one line."""
    return text if text.isprintable() else text.translate(_Escapes(""))


def lines(text: str) -> str:
    """Return text with its line breaks and tabs."""
    return text if text.isprintable() else text.translate(_Escapes("\n\t"))


def json_text(text: str) -> str:
    """Return an equal JSON document without unsafe characters."""
    return text if text.isprintable() else text.translate(_Escapes("\n\t", as_json=True))


def _escape(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode()


def _json_escape(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{int.from_bytes(units[at : at + 2]):04x}" for at in range(0, len(units), 2))
