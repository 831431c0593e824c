"""Makes foreign text safe for terminals and logs.

Control characters move the cursor, rename the window or answer for the person at the keyboard.
Direction marks, what has no shape and piles of marks make text look like other text. Each becomes
its escape, as in Python's literals. Joiners stay where writing needs them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Final

#: Categories of escaped characters: controls, formats, private ones, surrogates, separators.
_UNSAFE: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
#: First and last of those that have no shape, though their category is another one (Unicode's
#: Default_Ignorable_Code_Point).
_SHAPELESS: Final = (
    *((0x34F, 0x34F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x2060, 0x206F)),
    *((0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8)),
    (0xE0000, 0xE0FFF),
)
_MARKS: Final = frozenset({"Mn", "Me"})
#: Marks that one character may carry; languages need up to four.
_PILE: Final = 4
#: What joins letters or emoji, keeps letters apart, and shows a character as an emoji.
_JOINER: Final = "\u200d"
_NON_JOINER: Final = "\u200c"
_AS_EMOJI: Final = "\ufe0f"
_JOINING: Final = frozenset({_JOINER, _NON_JOINER, _AS_EMOJI})
#: Combining class of the marks behind which joiners choose how a cluster is written.
_VIRAMA: Final = 9


class _Escapes(dict[int, str]):
    """A table for ``str.translate``, filled on demand."""

    def __init__(self, kept: str, *, as_json: bool = False) -> None:
        super().__init__({ord(char): char for char in kept})
        self._as_json = as_json

    def __missing__(self, code: int) -> str:
        char = shown = chr(code)
        is_unsafe = unicodedata.category(char) in _UNSAFE or _is_shapeless(code)
        if is_unsafe and char not in _JOINING:
            shown = self.escape(char)
        self[code] = shown
        return shown

    def escape(self, char: str) -> str:
        """Return the escape of a character."""
        return _json_escape(char) if self._as_json else _escape(char)

    def show(self, text: str) -> str:
        """Return text with its escapes."""
        if text.isascii():
            return text if text.isprintable() else text.translate(self)
        return "".join(self._flat(text.translate(self)))

    def _flat(self, text: str) -> Iterator[str]:
        """Yield characters, escaping marks that are too many, and joiners that join nothing."""
        height, before = 0, ""
        for char in text:
            is_mark = char > "\u02ff" and unicodedata.category(char) in _MARKS
            height = height + 1 if is_mark else 0
            is_lost = char in _JOINING and not _joins(before, char)
            yield self.escape(char) if height > _PILE or is_lost else char
            before = char


def _joins(before: str, joiner: str) -> bool:
    """Whether a joiner stands behind what it can join: emoji, a virama, letters as in Persian.

    After RFC 5892, appendices A.1 and A.2.
    """
    if not before:
        return False
    is_emoji = unicodedata.category(before) in {"So", "Sk"}
    if joiner == _AS_EMOJI:
        return is_emoji
    if unicodedata.combining(before) == _VIRAMA:
        return True
    if joiner == _JOINER:
        return is_emoji or before == _AS_EMOJI
    return "\u0600" <= before <= "\u08ff" and unicodedata.category(before) == "Lo"


def _is_shapeless(code: int) -> bool:
    return any(first <= code <= last for first, last in _SHAPELESS)


def line(text: str) -> str:
    """Return text as one line."""
    return _Escapes("").show(text)


def lines(text: str) -> str:
    """Return text with its line breaks and tabs."""
    return _Escapes("\n\t").show(text)


def json_text(text: str) -> str:
    """Return an equal JSON document without unsafe characters."""
    return _Escapes("\n\t", as_json=True).show(text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode()


def _json_escape(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{int.from_bytes(units[at : at + 2]):04x}" for at in range(0, len(units), 2))
