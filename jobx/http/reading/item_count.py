"""Counts the items in msgpack bytes without decoding them.

A decoder allocates room for as many items as a list announces. So the announced number is checked
against the bytes before a decoder sees them.
"""

from __future__ import annotations

from typing import Final

from jobx.errors import InvalidInput, TooLarge

#: Size of tokens that their first byte determines: single values and extensions.
_SIZES: Final = (
    dict.fromkeys((*range(128), *range(224, 256), 192, 194, 195), 1)
    | dict.fromkeys(range(128, 160), 1)
    | {byte: 1 + (byte & 31) for byte in range(0xA0, 0xC0)}
    | {0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9, 0xD0: 2, 0xD1: 3, 0xD2: 5, 0xD3: 9, 0xCA: 5, 0xCB: 9}
    | {0xD4: 3, 0xD5: 4, 0xD6: 6, 0xD7: 10, 0xD8: 18}
)
#: Items that a token announces that its first byte determines.
_ANNOUNCED: Final = {byte: byte & 15 for byte in range(0x90, 0xA0)} | {
    byte: 2 * (byte & 15) for byte in range(0x80, 0x90)
}
#: Both by first byte, 0 for others: there may be hundreds of thousands of tokens.
_BY_FIRST: Final = tuple(
    tuple(of.get(first, 0) for first in range(256)) for of in (_SIZES, _ANNOUNCED)
)
#: Size of the length after the first byte, for bytes, text and extensions.
_LENGTHS: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4, 0xC7: 1, 0xC8: 2, 0xC9: 4}
_EXTENSIONS: Final = frozenset({0xC7, 0xC8, 0xC9})
#: Size of the length, and items for each counted one, for lists and maps.
_CONTAINERS: Final = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}


def count_items(body: bytes, most: int) -> int:
    """Return the number of values, lists, maps and keys in msgpack bytes.

    Raises:
        TooLarge: There are more than ``most``.
        InvalidInput: They announce more than they have, or are not msgpack.
    """
    at = count = 0
    owed, end = 1, len(body)
    sizes, announced = _BY_FIRST
    while at < end and owed:
        first = body[at]
        size, inner = sizes[first], announced[first]
        if not size:
            size, inner = _token(body, at)
        at += size
        owed += inner - 1
        count += 1
        if owed > end - at:
            raise InvalidInput("packed value", f"{len(body)} bytes", "announces more than it has")
        if count > most:
            raise TooLarge("body", f"over {most} items", f"may have at most {most} items")
    return count


def _token(body: bytes, at: int) -> tuple[int, int]:
    """Return the size of a token with a length, and the number of items that it announces."""
    first = body[at]
    width = _LENGTHS.get(first)
    if width is not None:
        length = int.from_bytes(body[at + 1 : at + 1 + width])
        return 1 + width + length + (first in _EXTENSIONS), 0
    if first not in _CONTAINERS:
        raise InvalidInput("packed value", f"the byte {first:#x}", "is no msgpack")
    width, each = _CONTAINERS[first]
    return 1 + width, int.from_bytes(body[at + 1 : at + 1 + width]) * each
