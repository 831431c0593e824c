"""Grouped pairs read back from runs: keys in order, each with all its values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, compress, count, islice
from operator import ne
from typing import Any, Final

from jobx import values
from jobx.handlers.blobs.shared import Folder
from jobx.handlers.pairs import run_merger, run_reader
from jobx.handlers.pairs.checking import UNPACKED
from jobx.handlers.pairs.columns import Block
from jobx.handlers.pairs.held import VALUE_BYTES
from jobx.handlers.pairs.ordering import are_distinct, ordered
from jobx.handlers.pairs.run_writer import SMALL
from jobx.handlers.pairs.spooled import SpooledValues
from jobx.key_hashes import LEAST_SHARED, HashCounts
from jobx.payload import Payload
from jobx.values import Key, Value

#: Runs up to this total size are collected in memory instead of merged, which is quicker.
_COLLECTED_BYTES: Final = 1 << 20
#: Keys of these types may be equal but not identical: 1 == True, (1,) == (True,).
_ODD: Final = frozenset({bool, tuple})


def _collected(blocks: Iterable[Block]) -> list[tuple[Key, list[Value]]]:
    """Return the keys of blocks of items in order, each with its values in their order.

    Raises:
        ValueError: Too many keys have the same hash.
    """
    hashes = HashCounts()
    lists: dict[Any, list[Value]] = {}
    names: dict[Any, Key] = {}
    for block in blocks:
        for key, more in block.items():
            kind = type(key)
            identity = key
            if kind is not str and kind is not int:
                identity = values.key_identity(key)
                if identity is not key:
                    names.setdefault(identity, key)
            listed = lists.get(identity)
            if listed is not None:
                listed += more
                continue
            lists[identity] = more
            if kind is not str and (kind is not int or abs(key) >= LEAST_SHARED):
                hashes.add(identity)
    return ordered(lists, names)


class Merged:
    """Keys in order with their values, read from runs; can be iterated more than once.

    Args:
        payloads: The runs.
        blob_dir: The folder of blobs.
        spill_bytes: Values of one key beyond this size are spooled to a file.
        partition: Only the keys of this partition; None means all.
        partitions: Number of partitions.
    """

    def __init__(
        self,
        payloads: Sequence[Payload],
        blob_dir: Folder,
        spill_bytes: int,
        partition: int | None = None,
        partitions: int = 1,
    ) -> None:
        self._payloads = payloads
        self._blob_dir = blob_dir
        self._part = (partition, partitions)
        self._spill_bytes = spill_bytes

    def grouped(self, *, in_order: bool) -> Merged:
        """Return this."""
        return self

    def __iter__(self) -> Iterator[tuple[Key, Sequence[Value]]]:
        size_bytes = run_reader.size_bytes(self._payloads, *self._part)
        if size_bytes > min(_COLLECTED_BYTES, self._spill_bytes):
            return self._merged()
        try:
            return iter(_collected(run_reader.in_turn(self._payloads, self._blob_dir, *self._part)))
        except ValueError:  # keys with the same hash, which are quickly grouped only by sorting
            return self._merged()

    def _merged(self) -> Iterator[tuple[Key, Sequence[Value]]]:
        return chain.from_iterable(self._groups())

    def _groups(self) -> Iterator[Iterable[tuple[Key, Sequence[Value]]]]:
        """Yield keys with all their values, several at once."""
        last: _Gathered | None = None  # it may go on in the next block
        for block in run_merger.merged(self._payloads, self._blob_dir, *self._part):
            if last is not None and not run_merger.same_key(last.key, block.keys[0]):
                yield (last.group(),)
                last = None
            if last is None and block.are_pairs and are_distinct(block.keys):
                last = _Gathered(block.keys.pop(), self._spill_bytes)
                last.add([block.held.pop()])
                yield block.items()
                continue
            is_new = last is None
            for key, more in _grouped(block):
                if last is not None and is_new:
                    yield (last.group(),)
                if last is None or is_new:
                    last = _Gathered(key, self._spill_bytes)
                last.add(more)
                is_new = True
        if last is not None:
            yield (last.group(),)


class _Gathered:
    """One key and its values, spooled to a file once they are too many."""

    __slots__ = ("_spill_bytes", "_weight_bytes", "key", "values")

    def __init__(self, key: Key, spill_bytes: int) -> None:
        self.key = key
        self.values: list[Value] | SpooledValues = []
        self._spill_bytes = spill_bytes
        self._weight_bytes = 0

    def group(self) -> tuple[Key, Sequence[Value]]:
        return self.key, self.values

    def add(self, more: list[Value]) -> None:
        if self.values:
            self.values.extend(more)
        else:
            self.values = more
        self._weight_bytes += _weight_bytes(more)
        if self._weight_bytes > self._spill_bytes and isinstance(self.values, list):
            spooled = SpooledValues()
            spooled.extend(self.values)
            self.values = spooled


def _grouped(block: Block) -> Iterator[tuple[Key, list[Value]]]:
    """Yield the keys of a merged block in order, each with all values that it has there."""
    keys, held = block.keys, block.held
    is_odd = bool(set(map(type, keys)) & _ODD)
    same = list(map(values.key_identity, keys)) if is_odd else keys
    starts = [0, *compress(count(1), map(ne, same, islice(same, 1, None)))]
    lists: Iterable[Any] = map(held.__getitem__, map(slice, starts, [*starts[1:], len(keys)]))
    if not block.are_pairs:
        lists = map(list, map(chain.from_iterable, lists))
    return zip(map(keys.__getitem__, starts), lists, strict=True)


def _weight_bytes(listed: Sequence[Value]) -> int:
    """Return the approximate memory of values."""
    if SMALL.issuperset(map(type, listed)):
        return len(listed) * VALUE_BYTES
    return len(listed) * VALUE_BYTES + len(values.pack(listed)) * UNPACKED
