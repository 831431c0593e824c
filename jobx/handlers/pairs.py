"""Pairs as author code yields them: checked, grouped by key, sorted, spilled if there are many."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from types import NoneType
from typing import Any, Final

from jobx import values
from jobx.handlers import runs
from jobx.handlers.failures import Misuse, shorten
from jobx.handlers.spill import SMALL, RunWriter, SpooledValues
from jobx.payload import Payload
from jobx.values import Key, Pair, Value

#: Pairs that are taken at once at most: one by one at first, then many with one look at all.
SLICE: Final = 1024
SINGLY: Final = 32
BULK: Final = 256
#: Pairs are light, and taken many at once, while they weigh no more than this each.
_LIGHT_BYTES: Final = 1024
#: A slice ends early when its long values pass this.
_SLICE_BYTES: Final = 4 << 20
#: Text up to this length is not weighed one by one.
_SHORT: Final = 128
#: What a key and a short value take in memory, about.
_KEY_BYTES: Final = 200
_VALUE_BYTES: Final = 64
#: Memory of a list or map for each byte of its packed form, about.
_UNPACKED: Final = 4
_TUPLES: Final = {tuple}
_TWO: Final = {2}
_PLAIN_KEYS: Final = frozenset({int, str})
_PLAIN_VALUES: Final = frozenset({int, str, float, bool, NoneType})
_IMMUTABLE: Final = frozenset({int, float, str, bytes, bool, NoneType})
#: Keys of these types are not what they seem to a dict: 1 == True, (1,) == (True,).
_ODD: Final = frozenset({bool, tuple})
#: Output that is larger in memory is partitioned, so that it can be reduced in parallel.
SECTIONS_BYTES: Final = 1 << 20


def snapshot(value: Value) -> Value:
    """Return ``value`` as it arrives anywhere else: checked, copied, tuples as lists.

    Raises:
        ValueError: It is not a value; the message says why.
    """
    values.check_value(value)
    return value if type(value) in _IMMUTABLE else values.unpack(values.pack(value))


class Intake:
    """Takes pairs from author code and checks each.

    Attributes:
        odd: Some key was of a type that needs ``values.key_identity``.
        weight_bytes: Memory of the long keys and values of the last slice.
        done: Author code has no more.
    """

    __slots__ = ("_count", "_is_bulk", "_pairs", "done", "odd", "weight_bytes")

    def __init__(self, pairs: Iterator[object]) -> None:
        self._pairs = pairs
        self._count = 0
        self._is_bulk = False
        self.odd = False
        self.weight_bytes = 0
        self.done = False

    def take(self, limit: int = SLICE) -> list[Pair]:
        """Return the next pairs, ``limit`` at most, fewer when they are long or there are no more.

        Raises:
            Misuse: Something is not a pair, or holds what cannot be a key or a value.
        """
        if not self._is_bulk:
            return self._take_singly(limit)
        wanted = min(limit, BULK)
        taken: list[Any] = list(islice(self._pairs, wanted))
        self.done = len(taken) < wanted
        text_bytes = _plain_bytes(taken) if taken else 0
        self.weight_bytes = text_bytes or 0
        if text_bytes is None:
            taken = [self._one(pair, index) for index, pair in enumerate(taken)]
        self._settle(taken)
        return taken

    def _take_singly(self, limit: int) -> list[Pair]:
        """Take the first few, and those that are long, one by one: they end at a weight."""
        wanted = min(limit, SINGLY)
        taken: list[Pair] = []
        append = taken.append
        self.weight_bytes = 0
        for pair in islice(self._pairs, wanted):
            if type(pair) is tuple and len(pair) == 2:  # as in _one; a call for each would tell
                key, value = pair
                if type(key) is int and type(value) is int:
                    append(pair)
                    continue
            append(self._one(pair, len(taken)))
            if self.weight_bytes > _SLICE_BYTES:
                break
        else:
            self.done = len(taken) < wanted
        self._settle(taken)
        return taken

    def _settle(self, taken: list[Pair]) -> None:
        self._count += len(taken)
        self._is_bulk = self.weight_bytes <= _LIGHT_BYTES * len(taken)

    def _one(self, pair: Any, index: int) -> Pair:
        if type(pair) is tuple and len(pair) == 2:
            key, value = pair
            kind = type(key)
            if kind is int or (kind is str and len(key) < _SHORT and key.isascii()):
                kind = type(value)
                if (
                    kind is int
                    or (kind is str and len(value) < _SHORT and value.isascii())
                    or (kind is float and value == value)  # noqa: PLR0124 - not NaN
                    or kind is bool
                    or value is None
                ):
                    return pair
        return self._checked(pair, index)

    def _checked(self, pair: object, index: int) -> Pair:
        index += self._count
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise Misuse("pair", f"pair {index} is not a key and a value: {shorten(pair)}", index)
        key, value = pair
        try:
            key = values.check_key(values.freeze(snapshot(key)))
            values.check_value(value)
            if type(value) not in _IMMUTABLE:
                packed = values.pack(value)
                value = values.unpack(packed)
                self.weight_bytes += _UNPACKED * len(packed)
        except (ValueError, RecursionError) as error:
            raise Misuse("pair", f"pair {index} ({shorten(key)}): {error}", index) from error
        self.odd = self.odd or type(key) in _ODD
        self.weight_bytes += _long(key) + _long(value)
        return key, value


def _plain_bytes(pairs: Sequence[Any]) -> int | None:
    """Return the characters of all text in pairs, or None when each needs a look of its own.

    None means that something is not a tuple of two, or not of the types that are valid, immutable
    and what they seem: then ``values.check_key`` and ``values.check_value`` decide.
    """
    if set(map(type, pairs)) != _TUPLES or set(map(len, pairs)) != _TWO:
        return None
    keys, listed = zip(*pairs, strict=True)
    key_kinds, kinds = set(map(type, keys)), set(map(type, listed))
    if not (kinds <= _PLAIN_VALUES and key_kinds <= _PLAIN_KEYS):
        return None
    if float in kinds and any(map(_is_nan, listed)):
        return None
    texts = [_text_of(column, of) for column, of in ((keys, key_kinds), (listed, kinds))]
    is_valid = all(text.isascii() or not _has_surrogates(text) for text in texts)
    return sum(map(len, texts)) if is_valid else None


def _text_of(column: Sequence[Value], kinds: set[type]) -> str:
    if str not in kinds:
        return ""
    if len(kinds) == 1:
        return "".join(column)
    return "".join(part for part in column if type(part) is str)


def _is_nan(value: object) -> bool:
    return value != value  # noqa: PLR0124 - the test for NaN


def _has_surrogates(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _long(value: Value) -> int:
    return len(value) if isinstance(value, str | bytes) else 0


class Groups:
    """Values grouped by key, in the order they came; more than fits is written as sorted runs.

    Args:
        writer: Writes the runs.
        spill_bytes: What may be held in memory, by estimate.

    Attributes:
        runs: What was written so far.
        held_bytes: Estimate of what is in memory.
    """

    __slots__ = (
        "_is_distinct",
        "_keys",
        "_lists",
        "_spill_bytes",
        "_writer",
        "held_bytes",
        "runs",
    )

    def __init__(self, writer: RunWriter, spill_bytes: int) -> None:
        self._writer = writer
        self._spill_bytes = spill_bytes
        self._lists: defaultdict[Any, list[Value]] = defaultdict(list)
        self._keys: dict[Any, Key] = {}  # of those identities that are not the key itself
        self._is_distinct = True  # until a key comes twice: then there is a quicker way no more
        self.runs: list[Payload] = []
        self.held_bytes = 0

    def fill(self, yielded: Iterator[object]) -> None:
        """Take all pairs that author code yields.

        Raises:
            Misuse: Something is not a pair, or holds what cannot be a key or a value.
            StoreFull: There is no room for a run.
        """
        intake = Intake(yielded)
        while not intake.done:
            taken = intake.take()
            before = len(self._lists)
            self._add_odd(taken) if intake.odd else self._add(taken)
            self.held_bytes += (
                len(taken) * _VALUE_BYTES
                + (len(self._lists) - before) * _KEY_BYTES
                + intake.weight_bytes
            )
            if self.held_bytes > self._spill_bytes:
                self.spill()

    def _add(self, taken: Sequence[Pair]) -> None:
        lists = self._lists
        if self._is_distinct and len(taken) > SINGLY:
            fresh = {key: [value] for key, value in taken}
            if len(fresh) == len(taken) and lists.keys().isdisjoint(fresh):
                lists.update(fresh)
                return
            self._is_distinct = False
        for key, value in taken:
            lists[key].append(value)

    def _add_odd(self, taken: Sequence[Pair]) -> None:
        for key, value in taken:
            identity = values.key_identity(key)
            if identity is not key:
                self._keys.setdefault(identity, key)
            self._lists[identity].append(value)

    def absorb(self, other: Groups) -> None:
        """Take over what another has; its values come after those that are here."""
        if other.runs:
            self.spill()
            self.runs += other.runs
        lists = self._lists
        if lists:
            for identity, listed in other._lists.items():
                lists[identity] += listed
        else:
            self._lists = other._lists
        if other._keys:
            self._keys = other._keys | self._keys
        self.held_bytes += other.held_bytes
        if self.held_bytes > self._spill_bytes:
            self.spill()

    def _held(self) -> Iterator[tuple[Key, list[Value]]]:
        """Return what is in memory, sorted by key."""
        lists, names = self._lists, self._keys
        if not names:
            keys = values.sort_keys(lists)
            return zip(keys, map(lists.__getitem__, keys), strict=True)
        keys = values.sort_keys(names.get(identity, identity) for identity in lists)
        return zip(keys, map(lists.__getitem__, map(values.key_identity, keys)), strict=True)

    def spill(self) -> None:
        """Write what is in memory as one run, in sections."""
        self._write(in_sections=True)

    def _write(self, in_sections: bool) -> None:
        if self._lists:
            self.runs.append(self._writer.run(self._held(), in_sections))
            self._lists = defaultdict(list)
            self._keys = {}
            self.held_bytes = 0

    def grouped(self) -> Iterable[tuple[Key, Sequence[Value]]]:
        """Return all keys in order with all their values; can be iterated more than once."""
        if not self.runs:
            return list(self._held())
        self.spill()
        return Merged(self.runs, self._writer.folder, self._spill_bytes)

    def payloads(self) -> list[Payload]:
        """Return everything as runs; nothing is held afterwards."""
        self._write(in_sections=bool(self.runs) or self.held_bytes > SECTIONS_BYTES)
        return self.runs


class Merged:
    """Keys in order with their values, read from runs; can be iterated more than once.

    Args:
        payloads: The runs.
        blob_dir: The folder of those in blobs.
        spill_bytes: Values of one key that pass this are spooled to a file.
        partition: Only the keys of this partition; None means all.
        partitions: How many partitions there are.
    """

    def __init__(
        self,
        payloads: Sequence[Payload],
        blob_dir: str,
        spill_bytes: int,
        partition: int | None = None,
        partitions: int = 1,
    ) -> None:
        self._source = (payloads, blob_dir, partition, partitions)
        self._spill_bytes = spill_bytes

    def __iter__(self) -> Iterator[tuple[Key, Sequence[Value]]]:
        gathered: _Gathered | None = None
        for key, lists, is_again in runs.grouped(*self._source):
            if gathered is None or not is_again:
                if gathered is not None:
                    yield gathered.key, gathered.values
                gathered = _Gathered(key, self._spill_bytes)
            gathered.add(lists)
        if gathered is not None:
            yield gathered.key, gathered.values


class _Gathered:
    """One key and its values, spooled to a file once they are too many."""

    __slots__ = ("_spill_bytes", "_weight_bytes", "key", "values")

    def __init__(self, key: Key, spill_bytes: int) -> None:
        self.key = key
        self.values: list[Value] | SpooledValues = []
        self._spill_bytes = spill_bytes
        self._weight_bytes = 0

    def add(self, lists: Sequence[list[Value]]) -> None:
        more = lists[0] if len(lists) == 1 else list(chain.from_iterable(lists))
        if self.values:
            self.values.extend(more)
        else:
            self.values = more
        self._weight_bytes += _weight_bytes(more)
        if self._weight_bytes > self._spill_bytes and isinstance(self.values, list):
            spooled = SpooledValues()
            spooled.extend(self.values)
            self.values = spooled


def _weight_bytes(listed: Sequence[Value]) -> int:
    """Return what values take in memory, about."""
    if SMALL.issuperset(map(type, listed)):
        return len(listed) * _VALUE_BYTES
    return len(listed) * _VALUE_BYTES + len(values.pack(listed)) * _UNPACKED
