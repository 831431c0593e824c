"""Foreign text as what a terminal or a log may be given: what would act on it is spelled out.

Control characters move the cursor, rename the window, answer for the person at the keyboard;
marks of direction make text read as another. Each becomes its escape, as in Python's literals.
"""

from __future__ import annotations

import unicodedata
from typing import Final

#: Categories of what is written as its escape: controls, formats, surrogates, separators.
_UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
#: Formats that scripts and emoji are written with.
_JOINERS: Final = frozenset("\u200c\u200d")


class _Escapes(dict[int, str]):
    """What ``str.translate`` puts for each character, found as it is met."""

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
    """Return text whose lines and tabs stay as they are."""
    return text if text.isprintable() else text.translate(_Escapes("\n\t"))


def json_text(text: str) -> str:
    """Return a JSON document that says the same, without a character that acts."""
    return text if text.isprintable() else text.translate(_Escapes("\n\t", as_json=True))


def _escape(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode()


def _json_escape(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{int.from_bytes(units[at : at + 2]):04x}" for at in range(0, len(units), 2))
