"""JSON bodies: counted, checked and decoded in native passes, since they may be large.

What decodes them is jiter. It accepts no more than ``values.read_json`` and makes the same of it,
except for infinite numbers. What it refuses goes to ``read_json``, which says what is wrong, and
where.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

import jiter
import msgspec

from jobx import values
from jobx.errors import InvalidInput, TooLarge

#: What begins items in JSON.
_SEPARATORS: Final = (b",", b":", b"[", b"{")
_BRACKETS: Final = b"[]{}"
_ROUND: Final = bytes.maketrans(b"{}", b"[]")
_ENCODER: Final = msgspec.msgpack.Encoder()
#: Levels from a body to its arguments.
_TO_ARGUMENTS: Final = 2
#: Characters that are so few are found quicker than counted.
_FEW: Final = 64
#: What begins a packed number that may be infinite, and two such numbers; texts may hold these
#: bytes as well.
_FLOAT: Final = b"\xcb"
_INFINITE: Final = (b"\xcb\x7f\xf0" + bytes(6), b"\xcb\xff\xf0" + bytes(6))


def count_items(body: bytes, most: int) -> int:
    """Return about how many lists, maps and members are in a body: no less than there are.

    Raises:
        TooLarge: There are more than ``most``.
    """
    count = sum(_count(body, mark) for mark in _SEPARATORS)
    if count > most:  # in texts, too
        body = _unescaped(body)
        strings = body.count(b'"') // 2
        count = strings if strings > most else len(_outside(body, b"".join(_SEPARATORS)))
    if count > most:
        raise TooLarge("body", f"{count} items", f"may have at most {most} items")
    return count


def decode(body: bytes, max_depth: int) -> Any:
    """Return the content of a JSON body.

    Raises:
        InvalidInput: It is malformed or nests deeper than ``max_depth``.
    """
    if _is_deeper(body, max_depth):
        raise InvalidInput("body", shown(body), f"nests deeper than {max_depth}")
    try:
        return _read(body)
    except json.JSONDecodeError as error:
        place = f"{error.msg} at line {error.lineno}, column {error.colno}"
        raise InvalidInput("body", shown(body), f"is not JSON: {place}") from error
    except UnicodeDecodeError as error:
        raise InvalidInput("body", shown(body), f"is not UTF-8: {error.reason}") from error
    except ValueError as error:
        raise InvalidInput("body", shown(body), str(error)) from error


def shown(body: bytes) -> str:
    """Return the beginning of a body for an error."""
    return repr(body[:80])[:80]


def _read(body: bytes) -> Any:
    try:
        found = jiter.from_json(
            body, allow_inf_nan=False, cache_mode="keys", catch_duplicate_keys=True
        )
        packed = _ENCODER.encode(_with_numbers(found))
    except (ValueError, OverflowError):  # msgspec packs no integers beyond 64 bits
        return values.read_json(body.decode())
    if _FLOAT in packed and any(infinite in packed for infinite in _INFINITE):
        return values.read_json(body.decode())
    return found


def _with_numbers(found: Any) -> list[Any]:
    """Return what may hold numbers in a value: all but the texts that are arguments.

    Texts are as they must be, and may be megabytes.
    """
    parts = [found]
    for _ in range(_TO_ARGUMENTS):
        parts = [inner for part in parts for inner in _members(part) if type(inner) is not str]
    return parts


def _members(part: Any) -> Iterable[Any]:
    if isinstance(part, dict):
        return part.values()
    return part if isinstance(part, list) else (part,)


def _is_deeper(body: bytes, max_depth: int) -> bool:
    """Return whether brackets nest deeper than ``max_depth``, in time linear in the body.

    Removing each ``[]`` lowers the depth by one. Brackets that remain are not balanced. The parser
    finds that, unless there are so many that the parser itself would recurse too deep.
    """
    if _count(body, b"[") + _count(body, b"{") <= max_depth:
        return False
    left = _outside(_unescaped(body), _BRACKETS).translate(_ROUND)
    for _ in range(max_depth):
        shorter = left.replace(b"[]", b"")
        if len(shorter) == len(left):
            return left.count(b"[") > max_depth
        left = shorter
    return b"[" in left


def _unescaped(body: bytes) -> bytes:
    """Return a body without escaped backslashes and quotes, so that quotes delimit strings."""
    if b"\\" not in body:
        return body
    return body.replace(b"\\\\", b"").replace(b'\\"', b"")


def _outside(body: bytes, wanted: bytes) -> bytes:
    """Return the wanted characters of an unescaped body that are in no string.

    A character is in a string if the number of quotes before it is odd. Two quotes that follow each
    other can be left out, as that changes no such number; few are left then.
    """
    others = bytes(byte for byte in range(256) if byte not in b'"' + wanted)
    marks = body.translate(None, others).replace(b'""', b"")
    return b"".join(marks.split(b'"')[::2])


def _count(body: bytes, mark: bytes) -> int:
    """Return how often a character is in a body, of most of which it may not be part."""
    at = -1
    for found in range(_FEW):
        at = body.find(mark, at + 1)
        if at < 0:
            return found
    return body.count(mark)
