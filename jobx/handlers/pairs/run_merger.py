"""Merging runs into one in key order, in bounded memory.

A merge works in rounds. Each run reads a block of items ahead. All items below the smallest last
key of the blocks have been read, so they are sorted together by the C sort, which exploits existing
order. That is several times faster than a heap with a Python comparison per item.
"""

from __future__ import annotations

import operator
import tempfile
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain, groupby
from typing import Any, Final

from jobx import values
from jobx.handlers.blobs.shared import Folder
from jobx.handlers.pairs.run_reader import BLOCK_BYTES, BY_KEY, Item, Source, blocks, sources_of
from jobx.handlers.pairs.run_writer import write_run
from jobx.payload import Payload
from jobx.system.errors import translated
from jobx.values import Key, Pair, Value

#: Most runs of one merge; more are merged in several passes.
FAN_IN: Final = 128
#: Runs up to this total size are merged in one pass, whatever their number.
_SMALL_BYTES: Final = 8 << 20
_VALUES: Final = operator.itemgetter(1)
#: Keys of these types may be equal but not identical: 1 == True, (1,) == (True,).
_ODD: Final = frozenset({bool, tuple})


def merge(
    payloads: Iterable[Payload], blob_dir: Folder, partition: int | None = None, partitions: int = 1
) -> Iterator[Item]:
    """Yield ``[key, some of its values]`` of runs in key order.

    Items of one key follow each other, in the order of payloads.

    Args:
        payloads: Runs, with or without sections.
        blob_dir: The folder of those in blobs.
        partition: Only the keys of this partition; None means all.
        partitions: How many partitions there are.

    Raises:
        BlobDamaged: A blob is missing or not what was written; found at its end at the latest.
        BlobUnreadable: A blob is there and cannot be read.
        StoreFull: There is no room for the passes between.
    """
    return chain.from_iterable(_merged(payloads, blob_dir, partition, partitions))


def grouped(
    payloads: Iterable[Payload], blob_dir: Folder, partition: int | None = None, partitions: int = 1
) -> Iterator[tuple[Key, list[list[Value]], bool]]:
    """Yield keys in order, each with lists of its values, and whether it is the key of before.

    A key whose values are many comes several times. Takes and raises what ``merge`` does.
    """
    last: Key = None
    is_first = True
    for block in _merged(payloads, blob_dir, partition, partitions):
        is_odd = bool(set(map(type, map(BY_KEY, block))) & _ODD)
        is_again = not is_first and same_key(last, block[0][0])
        for _, group in groupby(block, _identity_of_item if is_odd else BY_KEY):
            items = list(group)
            last = items[0][0]
            yield last, list(map(_VALUES, items)), is_again
            is_again = False
        is_first = False


def pairs(payloads: Iterable[Payload], blob_dir: Folder) -> Iterator[Pair]:
    """Yield the pairs of runs in key order.

    Raises:
        BlobDamaged: A blob is missing or not what was written.
    """
    for key, listed in merge(payloads, blob_dir):
        for value in listed:
            yield key, value


def ahead_bytes(payloads: Iterable[Payload]) -> int:
    """Return the approximate number of bytes that a merge reads ahead."""
    ahead = [
        min(source.size, 2 * max(BLOCK_BYTES, source.payload.size_bytes // source.payload.count))
        for source in sources_of(payloads, "", None, 1)
        if source.payload.count
    ]
    return sum(sorted(ahead, reverse=True)[:FAN_IN])


def _merged(
    payloads: Iterable[Payload], blob_dir: Folder, partition: int | None, partitions: int
) -> Iterator[list[Item]]:
    """Yield blocks of items, none of them empty, all in key order."""
    sources = list(sources_of(payloads, blob_dir, partition, partitions))
    if len(sources) == 1:
        return blocks(sources[0])
    if len(sources) <= FAN_IN or sum(source.size for source in sources) <= _SMALL_BYTES:
        return filter(None, _merge(sources))
    return _merge_in_passes(sources)


def same_key(left: Key, right: Key) -> bool:
    """Tell whether two frozen keys are the same key."""
    return bool(left == right) and values.key_identity(left) == values.key_identity(right)


def _identity_of_item(item: Item) -> object:
    return values.key_identity(item[0])


class _Stream:
    """A run in a merge: the items that were read ahead."""

    __slots__ = ("_block_length", "_blocks", "ended", "items", "kinds")

    def __init__(self, blocks: Iterator[list[Item]]) -> None:
        self._blocks = blocks
        self._block_length = 1
        self.items: list[Item] = []
        self.kinds: set[type] = set()
        self.ended = False

    def fill(self) -> None:
        """Read the next block when less than half a block is left."""
        if not self.ended and 2 * len(self.items) < self._block_length:
            self._read()

    def _read(self) -> None:
        block = next(self._blocks, None)
        if block is None:
            self.ended = True
            return
        kinds = set(map(type, map(BY_KEY, block)))
        self.kinds = self.kinds | kinds if self.items else kinds
        self.items += block
        self._block_length = len(block)

    def below(self, bound: Any, order: Callable[[Item], Any]) -> list[Item]:
        """Remove and return the items before ``bound``."""
        end = bisect_left(self.items, bound, key=order)
        below = self.items[:end]
        del self.items[:end]
        return below

    def of_key(self, key: Key) -> Iterator[list[Item]]:
        """Remove and yield the items of a key, which may extend into further blocks."""
        while self.items and same_key(self.items[0][0], key):
            end = 1
            while end < len(self.items) and same_key(self.items[end][0], key):
                end += 1
            yield self.items[:end]
            del self.items[:end]
            if not self.items and not self.ended:
                self._read()

    def rest(self) -> Iterator[list[Item]]:
        """Yield everything that is left."""
        while self.items:
            yield self.items
            self.items = []
            self._read()


def _merge(sources: Iterable[Source]) -> Iterator[list[Item]]:
    streams = [_Stream(blocks(source)) for source in sources]
    while True:
        for stream in streams:
            stream.fill()
        streams = [stream for stream in streams if stream.items]
        if len(streams) <= 1:
            break
        order = _order(set[type]().union(*(stream.kinds for stream in streams)))
        last = [stream.items[-1] for stream in streams if not stream.ended]
        if not last:
            yield sorted(chain.from_iterable(stream.items for stream in streams), key=order)
            return
        bound = min(last, key=order)
        below = [stream.below(order(bound), order) for stream in streams]
        yield sorted(chain.from_iterable(below), key=order)
        for stream in streams:
            yield from stream.of_key(bound[0])
    for stream in streams:
        yield from stream.rest()


def _order(kinds: set[type]) -> Callable[[Item], Any]:
    if kinds <= {int, float} or kinds == {str}:
        return BY_KEY
    return _sort_key_of_item


def _sort_key_of_item(item: Item) -> Any:
    return values.sort_key(item[0])


def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="merge-", ignore_cleanup_errors=True)


def _merge_in_passes(sources: Sequence[Source]) -> Iterator[list[Item]]:
    """Merge neighbours into runs on disk until few enough are left."""
    with ExitStack() as folders:
        while len(sources) > FAN_IN:
            with translated("the temporary folder"):
                folder = folders.enter_context(_temporary())
            merged: list[Source] = []
            rest = list(sources)
            while rest and (excess := len(merged) + len(rest) - FAN_IN) > 0:
                width = min(FAN_IN, excess + 1)
                items = chain.from_iterable(_merge(rest[:width]))
                run = write_run(folder, f"{len(merged)}", items)
                merged.append(Source(run, folder))
                rest = rest[width:]
            sources = merged + rest
        yield from filter(None, _merge(sources))
