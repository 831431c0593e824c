"""Grouped pairs read back from runs: keys in order, each with all its values."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

from jobx import values
from jobx.handlers.blobs.shared import Folder
from jobx.handlers.pairs import run_merger, run_reader
from jobx.handlers.pairs.run_writer import SMALL
from jobx.handlers.pairs.spooled import SpooledValues
from jobx.key_hashes import LEAST_SHARED, HashCounts
from jobx.payload import Payload
from jobx.values import Key, Value

#: Approximate memory of a short value.
VALUE_BYTES: Final = 64
#: Approximate memory of a list or map per byte of its packed form.
UNPACKED: Final = 4
#: Runs up to this total size are collected in memory instead of merged, which is quicker.
_COLLECTED_BYTES: Final = 1 << 20
_BY_KEY: Final = operator.itemgetter(0)


def ordered(
    lists: Mapping[Any, list[Value]], names: Mapping[Any, Key]
) -> list[tuple[Key, list[Value]]]:
    """Return keys in order with their values.

    Args:
        lists: Values by the identity of their key.
        names: The keys of identities that are not the key itself.
    """
    if names:
        return _ordered_by_type(lists, names)
    try:
        return sorted(lists.items(), key=_BY_KEY)
    except TypeError:  # they are of types that do not compare
        return _ordered_by_type(lists, names)


def _ordered_by_type(
    lists: Mapping[Any, list[Value]], names: Mapping[Any, Key]
) -> list[tuple[Key, list[Value]]]:
    keys = values.sort_keys(names.get(identity, identity) for identity in lists)
    return [(key, lists[values.key_identity(key)]) for key in keys]


def _collected(blocks: Iterable[list[run_reader.Item]]) -> list[tuple[Key, list[Value]]]:
    """Return the keys of blocks of items in order, each with its values in their order.

    Raises:
        ValueError: Too many keys have the same hash.
    """
    hashes = HashCounts()
    lists: dict[Any, list[Value]] = {}
    names: dict[Any, Key] = {}
    listed_under = lists.get
    for block in blocks:
        for key, more in block:
            kind = type(key)
            identity = key
            if kind is not str and kind is not int:
                identity = values.key_identity(key)
                if identity is not key:
                    names.setdefault(identity, key)
            listed = listed_under(identity)
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
        gathered: _Gathered | None = None
        for key, lists, is_again in run_merger.grouped(self._payloads, self._blob_dir, *self._part):
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
    """Return the approximate memory of values."""
    if SMALL.issuperset(map(type, listed)):
        return len(listed) * VALUE_BYTES
    return len(listed) * VALUE_BYTES + len(values.pack(listed)) * UNPACKED
