"""Items one after the other, packed and unpacked at once: an array of msgpack without its head."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

from jobx import values

_HEAD: Final = struct.Struct(">BI")
_ARRAY_32: Final = 0xDD
#: Most items with a head of one byte, and of three.
_SHORT: Final = 16
_MEDIUM: Final = 1 << 16


def pack(packer: Callable[[object], bytes], items: Sequence[object]) -> memoryview:
    """Return the items, packed one after the other with a function of ``values.packer``."""
    count = len(items)
    head_bytes = 1 if count < _SHORT else 3 if count < _MEDIUM else _HEAD.size
    return memoryview(packer(items))[head_bytes:]  # they may be large, so they are not copied


def unpack(body: bytes | memoryview, count: int) -> list[Any]:
    """Return ``count`` packed items.

    Raises:
        InvalidInput: It does not contain that many.
    """
    if count == 1:  # which may be large, so it is not copied
        return [values.unpack(body)]
    items: list[Any] = values.unpack(_HEAD.pack(_ARRAY_32, count) + body)
    return items
