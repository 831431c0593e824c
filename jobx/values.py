"""What a key or a value may be, in which order keys stand, and how both look as bytes and as JSON.

Values: null, booleans, integers of any size, floats but NaN, text, bytes, lists, maps, aware
timestamps, decimals. Keys: the hashable ones, a list becoming a tuple.

Two keys are the same key when ``key_identity`` says so: numbers that are equal are the same
key (``1`` and ``1.0``), but ``True`` is not ``1``. ``sort_key`` is a total order over all keys:
null, booleans, numbers, text (by code point), bytes, lists (item by item), timestamps.
"""

from __future__ import annotations

import base64
import datetime
import decimal
import math
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias

import msgpack

from jobx.errors import InvalidInput, a_kind, quote

Key: TypeAlias = Any  #: null, bool, int, float, text, bytes, tuple of keys, timestamp, decimal
Value: TypeAlias = Any  #: a key type, a list of values, or a map of keys to values
Pair: TypeAlias = tuple[Key, Value]

#: How deep lists and maps may nest inside one value.
MAX_DEPTH: Final = 64

_EXT_BIG_INT: Final = 1
_EXT_DECIMAL: Final = 2
_PLAIN: Final = frozenset({int, bytes, bool, type(None)})
_FROZEN: Final = _PLAIN | {str, float, decimal.Decimal, datetime.datetime}
#: JSON has no bytes, infinities, decimals, timestamps or maps with other keys than text: those
#: get a tag.
_TAG_BYTES: Final = "$bytes"
_TAG_FLOAT: Final = "$float"
_TAG_DECIMAL: Final = "$decimal"
_TAG_TIMESTAMP: Final = "$timestamp"
_TAG_MAP: Final = "$map"
#: What a packer begins with; it grows. msgpack's own 256 KiB take longer than most values.
_PACK_BYTES: Final = 1 << 10


def _default(value: object) -> object:
    if isinstance(value, int):
        return msgpack.ExtType(_EXT_BIG_INT, b"%x" % value)  # Python bounds decimal digits
    if isinstance(value, decimal.Decimal):
        return msgpack.ExtType(_EXT_DECIMAL, str(value).encode())
    raise TypeError(f"{a_kind(value)} cannot be a key or a value")


def ext_hook(code: int, body: bytes | memoryview) -> object:
    """Return the value that a msgpack extension of JobX stands for."""
    if code == _EXT_BIG_INT:
        return int(bytes(body), 16)
    if code == _EXT_DECIMAL:
        return decimal.Decimal(str(body, "ascii"))
    raise ValueError(f"extension type {code} is not used by JobX")


def packer() -> Callable[[object], bytes]:
    """Return a new function that packs one value; for loops, not shared between threads.

    The function raises TypeError, ValueError, OverflowError or UnicodeEncodeError for what is
    not a value.
    """
    pack: Callable[[object], bytes] = msgpack.Packer(
        default=_default, datetime=True, strict_types=False, buf_size=_PACK_BYTES
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
            body, timestamp=3, strict_map_key=False, ext_hook=ext_hook, raw=False
        )
    except (ValueError, TypeError, ArithmeticError, msgpack.UnpackException) as error:
        # An unhashable map key is a TypeError, a bad decimal or timestamp an ArithmeticError.
        raise InvalidInput("packed value", f"{len(body)} bytes", str(error)) from error


def unpacker(stream: object = None, max_bytes: int = 1 << 31) -> Any:
    """Return a msgpack Unpacker for values that follow each other in ``stream``."""
    return msgpack.Unpacker(
        stream,
        timestamp=3,
        strict_map_key=False,
        ext_hook=ext_hook,
        raw=False,
        max_buffer_size=max_bytes,
        read_size=1 << 16,
    )


def freeze(key: Key) -> Key:
    """Return ``key`` with every list in it turned into a tuple, so that it can be hashed."""
    if isinstance(key, list | tuple):
        return tuple(freeze(item) for item in key)
    return key


def check_key(key: Key, depth: int = 0) -> Key:
    """Return ``key``, lists turned into tuples.

    Raises:
        ValueError: It cannot be a key; the message says why.
    """
    kind = type(key)
    if isinstance(key, list | tuple):
        _check_depth(depth)
        return tuple(check_key(item, depth + 1) for item in key)
    check_value(key)
    if kind not in _FROZEN:
        raise ValueError(f"{a_kind(key)} cannot be a key")
    return key


def check_value(value: Value, depth: int = 0) -> None:
    """Check that ``value`` may be a value.

    Raises:
        ValueError: It may not; the message says why.
    """
    if isinstance(value, str):
        if not value.isascii():
            value.encode()  # refuses lone surrogates, which have no bytes
    elif type(value) in _PLAIN:
        return
    elif isinstance(value, float):
        if value != value:  # noqa: PLR0124 - the test for NaN
            raise ValueError("NaN is neither a key nor a value")
    elif isinstance(value, decimal.Decimal):
        if not value.is_finite():
            raise ValueError(f"the decimal {value} is neither a key nor a value")
    elif isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            raise ValueError("a timestamp needs a time zone")
    else:
        _check_container(value, depth)


def _check_depth(depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise ValueError(f"lists and maps nest deeper than {MAX_DEPTH}")


def _check_container(value: Value, depth: int) -> None:
    _check_depth(depth)
    if isinstance(value, list | tuple):
        for item in value:
            check_value(item, depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            if isinstance(key, tuple):
                raise ValueError("a list cannot be a key of a map")
            check_key(key)
            check_value(item, depth + 1)
    elif not isinstance(value, int | bytes):
        raise ValueError(f"{a_kind(value)} cannot be a value")


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
    return [partition_of(key, partitions) for key in keys]


def _numbers_hashed(key: Key) -> Key:
    """Equal numbers of different types are one key: Python gives them one fixed hash."""
    if isinstance(key, tuple):
        return tuple(map(_numbers_hashed, key))
    if isinstance(key, int | float | decimal.Decimal) and not isinstance(key, bool):
        return hash(key)
    return key


def first_repeated(names: Iterable[str]) -> str:
    """Return the first name that stands twice; empty if none does."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return ""


def to_jsonable(value: Value) -> Any:
    """Return ``value`` as what JSON can hold; ``from_jsonable`` undoes it."""
    kind = type(value)
    if kind in (str, int, bool) or value is None:
        return value
    if kind is float:
        return value if math.isfinite(value) else {_TAG_FLOAT: repr(value)}
    if isinstance(value, list | tuple):
        return [to_jsonable(item) for item in value]
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value) and not _is_tag(value):
            return {key: to_jsonable(item) for key, item in value.items()}
        return {_TAG_MAP: [[to_jsonable(k), to_jsonable(v)] for k, v in value.items()]}
    if isinstance(value, bytes):
        return {_TAG_BYTES: base64.b64encode(value).decode()}
    if isinstance(value, decimal.Decimal):
        return {_TAG_DECIMAL: str(value)}
    if isinstance(value, datetime.datetime):
        return {_TAG_TIMESTAMP: value.isoformat()}
    return value


def from_jsonable(value: Any) -> Value:
    """Return the value that ``to_jsonable`` wrote as ``value``.

    Raises:
        InvalidInput: A tag holds what it should not.
    """
    if isinstance(value, list):
        return [from_jsonable(item) for item in value]
    if not isinstance(value, dict):
        return value
    if not _is_tag(value):
        return {key: from_jsonable(item) for key, item in value.items()}
    ((tag, body),) = value.items()
    try:
        found = _FROM_TAG[tag](body)
        if tag != _TAG_MAP:  # whose items were checked
            check_value(found)
        return found
    except (TypeError, ValueError, ArithmeticError) as error:
        raise InvalidInput(f"JSON value tagged {tag}", quote(body), str(error)) from error


def _is_tag(value: dict[Any, Any]) -> bool:
    return len(value) == 1 and next(iter(value)) in _FROM_TAG


def _map_from_items(items: Any) -> dict[Key, Value]:
    return {freeze(from_jsonable(k)): from_jsonable(v) for k, v in items}


_FROM_TAG: Final[dict[str, Callable[[Any], Value]]] = {
    _TAG_BYTES: lambda body: base64.b64decode(body, validate=True),
    _TAG_FLOAT: float,
    _TAG_DECIMAL: decimal.Decimal,
    _TAG_TIMESTAMP: datetime.datetime.fromisoformat,
    _TAG_MAP: _map_from_items,
}
