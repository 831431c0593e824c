"""Keys and values as bytes, which keys are the same, and in which order they stand.

What a key or a value may be is in ``value_rules``, how they look as JSON in ``tagged_json``. What
``pack`` takes ``unpack`` gives.

Two keys are the same key when ``key_identity`` says so: numbers that are equal are the same
key (``1`` and ``1.0``), but ``True`` is not ``1``. ``sort_key`` is a total order over all keys:
null, booleans, numbers, text (by code point), bytes, lists (item by item), timestamps.
"""

from __future__ import annotations

import datetime
import decimal
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgpack

from jobx import foreign_values
from jobx.errors import InvalidInput, a_kind, quote
from jobx.json_reading import NotJson, first_repeated, read_json
from jobx.listed import Listed
from jobx.tagged_json import from_jsonable, to_jsonable
from jobx.value_rules import (
    BEYOND,
    MAX_DEPTH,
    MAX_DIGITS,
    TOO_DEEP,
    Key,
    Pair,
    Value,
    check_integer,
    check_key,
    check_map_key,
    check_value,
    decimal_of,
    decimal_text,
    freeze,
    is_sound,
    map_of_pairs,
    nests_far,
    since_epoch,
    too_many_digits,
)

__all__ = [
    "MAX_DEPTH",
    "MAX_DIGITS",
    "Key",
    "NotJson",
    "Pair",
    "Value",
    "check_key",
    "check_map_key",
    "check_value",
    "ext_hook",
    "first_items",
    "first_repeated",
    "freeze",
    "from_jsonable",
    "is_sound",
    "key_identity",
    "nests_far",
    "outline",
    "pack",
    "packer",
    "partition_of",
    "partitions_of",
    "read_json",
    "sort_key",
    "sort_keys",
    "to_jsonable",
    "unpack",
    "unpack_foreign",
    "unpacker",
]

#: Maps of so many keys are built by msgpack itself, larger ones with a look at their keys.
_QUICK_KEYS: Final = 128
_MAX_HEX: Final = len(f"-{BEYOND:x}")
_DAY_S: Final = 86_400
#: What packed lists of less than sixteen items begin with.
_SHORT_LISTS: Final = range(0x90, 0xA0)
#: What other lists begin with, and maps.
_LONG_LISTS: Final = range(0xDC, 0xDE)
_SHORT_MAPS: Final = range(0x80, 0x90)
_LONG_MAPS: Final = range(0xDE, 0xE0)
#: Members of a pair.
_PAIR: Final = 2

#: Shorter integers are msgpack's own.
_WORD_BITS: Final = 64
_EXT_BIG_INT: Final = 1
_EXT_DECIMAL: Final = 2
#: What a packer begins with; it grows. msgpack's own 256 KiB take longer than most values.
_PACK_BYTES: Final = 1 << 10
#: What an unpacker begins with; it grows. A merge has thousands of them, which mostly read little.
_FEED_BYTES: Final = 1 << 12


def _default(value: object) -> object:
    if isinstance(value, int):
        check_integer(value)
        return msgpack.ExtType(_EXT_BIG_INT, b"%x" % value)
    if isinstance(value, decimal.Decimal):
        return msgpack.ExtType(_EXT_DECIMAL, decimal_text(value).encode())
    if isinstance(value, datetime.datetime):
        since = since_epoch(value)
        return msgpack.Timestamp(since.days * _DAY_S + since.seconds, since.microseconds * 1000)
    if isinstance(value, Listed):
        return list(value)
    scalar = foreign_values.scalar(value)
    if scalar is value:
        raise TypeError(f"{a_kind(value)} cannot be a key or a value{foreign_values.hint(value)}")
    # Of a result, msgpack asks no more than once.
    is_asked = isinstance(scalar, decimal.Decimal | datetime.datetime)
    is_asked = is_asked or (isinstance(scalar, int) and scalar.bit_length() >= _WORD_BITS)
    return _default(scalar) if is_asked else scalar


def ext_hook(code: int, body: bytes | memoryview) -> object:
    """Return the value of a msgpack extension of JobX."""
    if code == _EXT_BIG_INT:
        if len(body) > _MAX_HEX:
            raise too_many_digits("an integer")
        number = int(bytes(body), 16)
        check_integer(number)
        return number
    if code == _EXT_DECIMAL:
        return decimal_of(str(body, "ascii"))
    raise ValueError(f"extension type {code} is not used by JobX")


def packer() -> Callable[[object], bytes]:
    """Return a new function that packs one value; for loops, not shared between threads.

    The function raises TypeError, ValueError, OverflowError or UnicodeEncodeError for what is
    not a value.
    """
    # Timestamps are not left to msgpack, which packs some that it does not unpack.
    pack: Callable[[object], bytes] = msgpack.Packer(
        default=_default, datetime=False, strict_types=False, buf_size=_PACK_BYTES
    ).pack
    return pack


def pack(value: object) -> bytes:
    """Return ``value`` as msgpack bytes.

    Raises:
        InvalidInput: It is not a value.
    """
    try:
        return packer()(value)
    except (TypeError, ValueError, OverflowError, UnicodeEncodeError) as error:
        raise InvalidInput("value", quote(value), str(error)) from error


def unpack(body: bytes | bytearray | memoryview) -> Any:
    """Return the value that ``pack`` made bytes of; tuples come back as lists.

    Raises:
        InvalidInput: The bytes are not one packed value.
    """
    try:
        return msgpack.unpackb(
            body,
            timestamp=3,
            strict_map_key=False,
            ext_hook=ext_hook,
            raw=False,
            max_map_len=_QUICK_KEYS,
        )
    except (ValueError, TypeError, ArithmeticError, msgpack.UnpackException):
        return unpack_foreign(body)  # which sees large maps through, and lists that are keys


def unpack_foreign(body: bytes | bytearray | memoryview) -> Any:
    """Return the value of bytes that ``pack`` need not have made, as ``unpack`` does.

    Raises:
        InvalidInput: The bytes are not one packed value; also when a map has a key twice.
    """
    try:
        return msgpack.unpackb(
            body,
            timestamp=3,
            strict_map_key=False,
            ext_hook=ext_hook,
            raw=False,
            object_pairs_hook=map_of_pairs,
        )
    except msgpack.StackError as error:  # which says nothing
        raise InvalidInput("packed value", f"{len(body)} bytes", TOO_DEEP) from error
    except (ValueError, TypeError, ArithmeticError, msgpack.UnpackException) as error:
        # An unhashable map key is a TypeError, a bad decimal or timestamp an ArithmeticError.
        reason = str(error) or "is not msgpack"  # which is all that msgpack means by nothing
        raise InvalidInput("packed value", f"{len(body)} bytes", reason) from error


def unpacker(max_bytes: int = 1 << 31, *, is_foreign: bool = False) -> Any:
    """Return a msgpack Unpacker for values that follow each other in what it is fed.

    Args:
        max_bytes: What may be held of one that is not complete.
        is_foreign: ``pack`` need not have made them: their maps are looked at.
    """
    return msgpack.Unpacker(
        timestamp=3,
        strict_map_key=False,
        ext_hook=ext_hook,
        raw=False,
        max_buffer_size=max_bytes,
        read_size=_FEED_BYTES,
        object_pairs_hook=map_of_pairs if is_foreign else None,
    )


def first_items(body: bytes | bytearray | memoryview, count: int) -> list[Any]:
    """Return up to ``count`` items with which a packed list begins, or keys and values of a map.

    There are fewer where it has fewer or the bytes end, and none when it is neither.
    """
    reader = unpacker()
    reader.feed(body)
    found: list[Any] = []
    try:
        is_list = bool(body) and body[0] in _SHORT_LISTS
        length = reader.read_array_header() if is_list else 2 * reader.read_map_header()
        for _ in range(min(count, length)):
            found.append(reader.unpack())
    except (ValueError, TypeError, ArithmeticError, msgpack.UnpackException):
        return found
    return found


def outline(body: bytes) -> dict[Key, Any]:
    """Return packed pairs as a map, lists and maps in it without what is in them.

    What is left out is skipped, not looked at.

    Raises:
        InvalidInput: The bytes are no list of pairs.
    """
    reader, found = unpacker(is_foreign=True), {}
    reader.feed(body)
    try:
        for _ in range(reader.read_array_header()):
            if reader.read_array_header() != _PAIR:
                raise ValueError("it has something else than pairs")
            key = reader.unpack()
            empty = _empty(body[reader.tell()])
            if empty is None:
                found[key] = reader.unpack()
            else:
                reader.skip()
                found[key] = empty
    except (ValueError, TypeError, IndexError, ArithmeticError, msgpack.UnpackException) as error:
        raise InvalidInput("packed pairs", f"{len(body)} bytes", str(error)) from error
    return found


def _empty(first: int) -> Value:
    """Return an empty list or map, if that is what a packed value with this first byte is."""
    if first in _SHORT_LISTS or first in _LONG_LISTS:
        return []
    return {} if first in _SHORT_MAPS or first in _LONG_MAPS else None


def key_identity(key: Key) -> object:
    """Return what two frozen keys must share to be the same key."""
    kind = type(key)
    if kind is str or kind is int:
        return key
    if kind is bool:
        return (bool, key)
    if kind is tuple:
        return (tuple, *map(key_identity, key))
    return key


def sort_key(key: Key) -> tuple[int, Any]:
    """Return what a frozen key sorts by among keys of all types."""
    kind = type(key)
    if kind is str:
        return (3, key)
    if key is None:
        return (0, 0)
    if kind is bool:
        return (1, key)
    if isinstance(key, int | float | decimal.Decimal):
        return (2, key)
    if isinstance(key, bytes):
        return (4, key)
    if isinstance(key, tuple):
        return (5, tuple(sort_key(item) for item in key))
    if isinstance(key, datetime.datetime):
        return (6, key)
    return (3, key)


def sort_keys(keys: Iterable[Key]) -> list[Key]:
    """Return frozen keys in the order of ``sort_key``."""
    listed = list(keys)
    kinds = set(map(type, listed))
    if kinds <= {int} or kinds <= {str}:
        listed.sort()
    else:
        listed.sort(key=sort_key)
    return listed


def partition_of(key: Key, partitions: int) -> int:
    """Return the partition of a frozen key: the same on every machine and in every run."""
    if type(key) is str:
        return zlib.crc32(key.encode()) % partitions
    return zlib.crc32(pack(_numbers_hashed(key))) % partitions


def partitions_of(keys: Sequence[Key], partitions: int) -> list[int]:
    """Return the partitions of many keys at once."""
    if set(map(type, keys)) == {str}:
        return [checksum % partitions for checksum in map(zlib.crc32, map(str.encode, keys))]
    pack = packer()
    packed = [key.encode() if type(key) is str else pack(_numbers_hashed(key)) for key in keys]
    return [checksum % partitions for checksum in map(zlib.crc32, packed)]


def _numbers_hashed(key: Key) -> Key:
    """Equal numbers of different types are one key: Python gives them one fixed hash."""
    if isinstance(key, tuple):
        return tuple(map(_numbers_hashed, key))
    if isinstance(key, int | float | decimal.Decimal) and not isinstance(key, bool):
        return hash(key)
    return key
