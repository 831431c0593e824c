"""The pairs of author code: checked, grouped by key, sorted, spilled if there are many."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from types import NoneType
from typing import Any, Final

import msgspec

from jobx import values
from jobx.errors import InvalidInput
from jobx.handlers.failures import Misuse, shorten
from jobx.handlers.markers import Map, Return
from jobx.handlers.pairs.merged_groups import UNPACKED, VALUE_BYTES, Merged, ordered
from jobx.handlers.pairs.run_writer import RunWriter
from jobx.key_hashes import HashCounts
from jobx.payload import Payload
from jobx.values import Key, Pair, Value

#: The held memory is checked after this many pairs, or this much in long keys and values.
SLICE: Final = 1024
_SLICE_BYTES: Final = 4 << 20
#: Text up to this length is not measured individually.
_SHORT: Final = 128
#: Approximate memory of a key.
_KEY_BYTES: Final = 200
#: Integers up to this are values, and as keys have a hash of their own.
_SMALL_BITS: Final = 60
_IMMUTABLE: Final = frozenset({int, float, str, bytes, bool, NoneType})
_PLAIN: Final = msgspec.msgpack.Encoder()
#: Output that is larger in memory is partitioned, so that it can be reduced in parallel.
SECTIONS_BYTES: Final = 256 << 10


def snapshot(value: Value) -> Value:
    """Return ``value`` as its receiver gets it: checked, copied, tuples as lists.

    Raises:
        ValueError: It is not a value; the message has the reason.
    """
    values.check_value(value)
    return value if type(value) in _IMMUTABLE else values.unpack(values.pack(value))


def checked(pair: object, index: int) -> tuple[Key, Value, int]:
    """Return a pair as its receiver gets it: frozen key, copied value; and their weight.

    The weight is the approximate memory of long parts, in bytes.

    Raises:
        Misuse: It is not a pair, or has an invalid key or value; ``index`` is its position.
    """
    if type(pair) is tuple and len(pair) == 2:
        key, value = pair
        if _is_plain(key) and _is_plain(value):
            return key, value, 0
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise _no_pair(pair, index)
    key, value = pair
    weight_bytes = 0
    try:
        key = values.check_key(values.freeze(snapshot(key)))
        values.check_value(value)
        if type(value) not in _IMMUTABLE:
            packed = values.pack(value)
            value = values.unpack(packed)
            weight_bytes = UNPACKED * len(packed)
    except (ValueError, TypeError, ArithmeticError, RecursionError, InvalidInput) as error:
        raise Misuse("pair", f"pair {index} ({shorten(key)}): {error}", index) from error
    return key, value, weight_bytes + _long_bytes(key) + _long_bytes(value)


def _no_pair(pair: object, index: int) -> Misuse:
    hint = " (a marker comes once, first, from a mapper)" if _is_marker(pair) else ""
    return Misuse("pair", f"pair {index} is not a key and a value: {shorten(pair)}{hint}", index)


def _is_marker(pair: object) -> bool:
    return isinstance(pair, Map | Return) or pair is Map or pair is Return


def _is_plain(part: Any) -> bool:
    """Tell whether a key or value is certainly valid, immutable, and short."""
    kind = type(part)
    if kind is int:
        return bool(part.bit_length() <= _SMALL_BITS)
    return kind is str and len(part) < _SHORT and part.isascii()


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
            if weight_bytes > _SLICE_BYTES:
                break
        else:
            self.done = len(taken) < limit
        self._count += len(taken)
        return taken


class Groups:
    """Values grouped by key, in their order; groups beyond the limit are written as sorted runs.

    Args:
        writer: Writes the runs.
        spill_bytes: Limit of the estimated memory.

    Attributes:
        runs: The runs written so far.
        held_bytes: Estimated memory of the groups.
    """

    __slots__ = (
        "_hashes",
        "_is_plain",
        "_keys",
        "_lists",
        "_spill_bytes",
        "_taken",
        "_writer",
        "held_bytes",
        "runs",
    )

    def __init__(self, writer: RunWriter, spill_bytes: int) -> None:
        self._writer = writer
        self._spill_bytes = spill_bytes
        self._lists: dict[Any, list[Value]] = {}
        self._keys: dict[Any, Key] = {}  # for identities that are not the key itself
        self._hashes: HashCounts | None = None  # for keys that may share theirs, if there are any
        self._taken = 0
        #: All keys and values are of types that msgspec packs as ``values.pack`` does.
        self._is_plain = True
        self.runs: list[Payload] = []
        self.held_bytes = 0

    def fill(self, yielded: Iterator[object]) -> None:
        """Take all pairs that author code yields.

        Raises:
            Misuse: Something is not a pair, or has an invalid key or value, or too many keys have
                the same hash.
            StoreFull: There is no room for a run.
        """
        self._taken = 0
        is_more = True
        while is_more:
            is_more = self._take(yielded)
            if self.held_bytes > self._spill_bytes:
                self.spill()

    def _take(self, yielded: Iterator[object]) -> bool:
        """Take the next pairs and tell whether there may be more.

        Most pairs are a short key and a number or short text; the loop recognises those without a
        call for each, since there may be millions.
        """
        lists, before = self._lists, len(self._lists)
        listed_under = lists.get
        count = weight_bytes = 0
        is_last = False
        for pair in islice(yielded, SLICE):
            count += 1
            if type(pair) is tuple:
                try:
                    key, value = pair
                except ValueError as error:
                    raise _no_pair(pair, self._taken + count - 1) from error
                kind = type(value)
                if (
                    (kind is int and value.bit_length() <= _SMALL_BITS)
                    or (kind is str and len(value) < _SHORT and value.isascii())
                    or (kind is float and value == value)  # noqa: PLR0124 - not NaN
                    or kind is bool
                    or value is None
                ):
                    kind = type(key)
                    if kind is str or kind is int:
                        listed = listed_under(key)
                        if listed is not None:
                            listed.append(value)
                            continue
                        if (
                            key.bit_length() <= _SMALL_BITS
                            if kind is int
                            else len(key) < _SHORT and key.isascii()
                        ):
                            lists[key] = [value]
                            continue
            weight_bytes += self._take_checked(pair, self._taken + count - 1)
            if weight_bytes > _SLICE_BYTES:
                break
        else:
            is_last = count < SLICE
        self._taken += count
        self.held_bytes += count * VALUE_BYTES + (len(lists) - before) * _KEY_BYTES + weight_bytes
        return not is_last

    def _take_checked(self, pair: object, index: int) -> int:
        """Take a pair that needs a full check; return its weight in bytes."""
        self._is_plain = False
        key, value, weight_bytes = checked(pair, index)
        identity = values.key_identity(key)
        listed = self._lists.get(identity)
        if listed is not None:
            listed.append(value)
            return weight_bytes
        try:
            self._hashes = self._hashes or HashCounts()
            self._hashes.add(identity)
        except ValueError as error:
            raise Misuse("pair", f"pair {index} ({shorten(key)}): {error}", index) from error
        if identity is not key:
            self._keys[identity] = key
        self._lists[identity] = [value]
        return weight_bytes

    def absorb(self, other: Groups) -> None:
        """Take over the groups of another; its values come after the present ones."""
        if other.runs:
            self.spill()
            self.runs += other.runs
        self._is_plain &= other._is_plain
        if other._hashes is not None:
            self._join_hashes(other._hashes)
        lists = self._lists
        if lists:
            listed_under = lists.get
            for identity, more in other._lists.items():
                listed = listed_under(identity)
                if listed is None:
                    lists[identity] = more
                else:
                    listed += more
        else:
            self._lists = other._lists
        if other._keys:
            self._keys = other._keys | self._keys
        self.held_bytes += other.held_bytes
        if self.held_bytes > self._spill_bytes:
            self.spill()

    def _join_hashes(self, others: HashCounts) -> None:
        if self._hashes is not None and not self._hashes.joined(others):
            self.spill()
        if self._hashes is None:
            self._hashes = others

    def spill(self) -> None:
        """Write the groups in memory as one run, in sections."""
        self._write(in_sections=True)

    def _write(self, in_sections: bool) -> None:
        if self._lists:
            self.runs.append(self._writer.run(ordered(self._lists, self._keys), in_sections))
            self._lists = {}
            self._keys = {}
            self._hashes = None
            self.held_bytes = 0

    def grouped(self, *, in_order: bool) -> Iterable[tuple[Key, Sequence[Value]]]:
        """Return all keys with all their values; can be iterated more than once.

        Args:
            in_order: Keys are sorted; otherwise they may have any order.
        """
        if not self.runs:
            if in_order or self._keys:
                return ordered(self._lists, self._keys)
            return self._lists.items()
        self.spill()
        return Merged(self.runs, self._writer.folder, self._spill_bytes)

    def packed(self, pack: Callable[[object], bytes]) -> bytes | None:
        """Return all keys with their values, packed, in no order; None if some are in runs.

        That is a map, or a list of [key, values], for which ``pack`` is needed.
        """
        if self.runs:
            return None
        if self._is_plain:
            return _PLAIN.encode(self._lists)
        return pack(ordered(self._lists, self._keys))

    def payloads(self) -> list[Payload]:
        """Return everything as runs; no groups are left in memory."""
        self._write(in_sections=bool(self.runs) or self.held_bytes > SECTIONS_BYTES)
        return self.runs
