"""Keys, values and pairs of author code: checked and copied as their receiver gets them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from types import GeneratorType, NoneType
from typing import Any, Final

from jobx import values
from jobx.errors import InvalidInput
from jobx.handlers.failures import Misuse, shorten
from jobx.handlers.markers import Map, Return
from jobx.values import Key, Pair, Value

#: Pairs are taken in slices of this many, or of this much in long keys and values.
SLICE: Final = 1024
SLICE_BYTES: Final = 4 << 20
#: Approximate memory of a list or map per byte of its packed form.
UNPACKED: Final = 4
#: Text up to this length is not measured individually.
SHORT: Final = 128
#: Integers below this are values, and as keys have a hash of their own.
SMALL_INT: Final = 1 << 60
#: Types of values that may be large and are packed as one piece.
TEXTS: Final = frozenset({str, bytes})
#: Lists and maps with so many members, and so many levels, are checked item by item.
_FEW: Final = 8
_FEW_LEVELS: Final = 2
_CONTAINERS: Final = frozenset({list, tuple, dict})
_NOTHING: Final[Iterator[object]] = iter(())
_IMMUTABLE: Final = frozenset({int, float, str, bytes, bool, NoneType})


def snapshot(value: Value) -> Value:
    """Return ``value`` as its receiver gets it: checked, copied, tuples as lists.

    Raises:
        ValueError: It is not a value; the message has the reason.
    """
    if type(value) in _IMMUTABLE:
        values.check_value(value)
        return value
    return values.unpack(_packed(value))


def _packed(value: Value) -> bytes:
    """Return a value packed, after all checks; raises as ``snapshot``.

    Nothing is packed before a look at it: of a list in itself msgpack writes 511 copies.
    """
    if _are_few(value) or not values.is_sound(value):
        values.check_value(value)
        return values.pack(value)
    try:
        return values.packer()(value)
    except ValueError:
        values.check_value(value)  # which says what is wrong
        raise


def _are_few(value: Value, levels: int = _FEW_LEVELS) -> bool:
    """Return whether the items of a value are so few that each can be checked on its own."""
    if type(value) not in _CONTAINERS:
        return True
    if not levels or len(value) > _FEW:
        return False
    members = value.values() if type(value) is dict else value
    return all(_are_few(one, levels - 1) for one in members if type(one) in _CONTAINERS)


def checked(pair: object, index: int) -> tuple[Key, Value, int]:
    """Return a pair as its receiver gets it: frozen key, copied value; and their weight.

    The weight is the approximate memory of long parts, in bytes.

    Raises:
        Misuse: It is not a pair, or has an invalid key or value; ``index`` is its position.
    """
    if type(pair) is tuple and len(pair) == 2:
        key, value = pair
        if is_plain(key) and is_plain(value):
            return key, value, 0
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise no_pair(pair, index)
    key, value = pair
    weight_bytes = 0
    try:
        key = values.check_key(values.freeze(snapshot(key)))
        if type(value) in _IMMUTABLE:
            values.check_value(value)
        else:
            packed = _packed(value)
            value = values.unpack(packed)
            weight_bytes = UNPACKED * len(packed)
    except (ValueError, TypeError, ArithmeticError, RecursionError, InvalidInput) as error:
        raise Misuse("pair", f"pair {index} ({shorten(key)}): {error}", index) from error
    return key, value, weight_bytes + _long_bytes(key) + _long_bytes(value)


def no_pair(pair: object, index: int) -> Misuse:
    """Return the error of something at a position that is not a pair."""
    hint = " (a marker comes once, first, from a mapper)" if _is_marker(pair) else ""
    return Misuse("pair", f"pair {index} is not a key and a value: {shorten(pair)}{hint}", index)


def _is_marker(pair: object) -> bool:
    return isinstance(pair, Map | Return) or pair is Map or pair is Return


def yielded(result: Any) -> Iterator[object]:
    """Return the result of a handler as an iterator; None means no pairs.

    Raises:
        Misuse: It cannot be iterated.
    """
    kind = type(result)
    if kind is GeneratorType or kind is chain:  # as most are; the check below takes longer
        found: Iterator[object] = result
        return found
    if result is None:
        return _NOTHING
    if not isinstance(result, Iterable):
        raise Misuse("protocol", f"a handler yields or returns pairs, not {shorten(result)}")
    return iter(result)


def is_plain(part: Any) -> bool:
    """Tell whether a key or value is certainly valid, immutable, and short."""
    if type(part) is int:
        return -SMALL_INT < part < SMALL_INT
    return type(part) is str and len(part) < SHORT and part.isascii()


def _long_bytes(value: Value) -> int:
    return len(value) if isinstance(value, str | bytes) else 0


class PairReader:
    """Takes pairs from author code in order and checks each.

    Attributes:
        done: Author code has yielded its last pair.
    """

    __slots__ = ("_count", "_pairs", "done")

    def __init__(self, pairs: Iterator[object]) -> None:
        self._pairs = pairs
        self._count = 0
        self.done = False

    def take(self, limit: int = SLICE) -> list[Pair]:
        """Return the next pairs, at most ``limit``; fewer if they are long or the last ones.

        Raises:
            Misuse: Something is not a pair, or has an invalid key or value.
        """
        taken: list[Pair] = []
        weight_bytes = 0
        for index, pair in enumerate(islice(self._pairs, limit), self._count):
            key, value, long_bytes = checked(pair, index)
            taken.append((key, value))
            weight_bytes += long_bytes
            if weight_bytes > SLICE_BYTES:
                break
        else:
            self.done = len(taken) < limit
        self._count += len(taken)
        return taken
