"""Merging runs into one in key order, in bounded memory.

A merge works in rounds. Each run reads a block of items ahead. All items below the smallest last
key of the blocks have been read, so they are sorted together by the C sort, which exploits existing
order. That is several times faster than a heap with a Python comparison per item.
"""

from __future__ import annotations

import tempfile
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain
from typing import Any, Final, TypeAlias

from jobx import values
from jobx.errors import BlobDamaged
from jobx.handlers.blobs.shared import Folder
from jobx.handlers.pairs.columns import Block
from jobx.handlers.pairs.ordering import Columns, sort_columns
from jobx.handlers.pairs.run_reader import BLOCK_BYTES, Item, Source, blocks, sources_of
from jobx.handlers.pairs.run_writer import write_run
from jobx.payload import Payload
from jobx.system.errors import translated
from jobx.values import Key, Pair

#: Returns what a key sorts by; None means the key itself.
_Order: TypeAlias = Callable[[Key], Any] | None

#: Most runs of one merge; more are merged in several passes.
FAN_IN: Final = 128
#: Runs up to this total size are merged in one pass, whatever their number.
_SMALL_BYTES: Final = 8 << 20


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
    found = merged(payloads, blob_dir, partition, partitions)
    return chain.from_iterable(block.items() for block in found)


def pairs(payloads: Iterable[Payload], blob_dir: Folder) -> Iterator[Pair]:
    """Yield the pairs of runs in key order.

    Raises:
        BlobDamaged: A blob is missing or not what was written.
    """
    found = merged(payloads, blob_dir)
    return chain.from_iterable(block.pairs() for block in found)


def ahead_bytes(payloads: Iterable[Payload]) -> int:
    """Return the approximate number of bytes that a merge reads ahead."""
    ahead = [
        min(source.size, 2 * max(BLOCK_BYTES, source.payload.size_bytes // source.payload.count))
        for source in sources_of(payloads, "", None, 1)
        if source.payload.count
    ]
    return sum(sorted(ahead, reverse=True)[:FAN_IN])


def merged(
    payloads: Iterable[Payload], blob_dir: Folder, partition: int | None = None, partitions: int = 1
) -> Iterator[Block]:
    """Yield blocks of items, none of them empty, all in key order.

    Takes and raises what ``merge`` does.
    """
    sources = list(sources_of(payloads, blob_dir, partition, partitions))
    if len(sources) == 1:
        return blocks(sources[0])
    if len(sources) <= FAN_IN or sum(source.size for source in sources) <= _SMALL_BYTES:
        return _merge(sources)
    return _merge_in_passes(sources)


def same_key(left: Key, right: Key) -> bool:
    """Tell whether two frozen keys are the same key."""
    return bool(left == right) and values.key_identity(left) == values.key_identity(right)


class _Stream:
    """A run in a merge: the items that were read ahead, as the columns of a block."""

    __slots__ = ("_block_length", "_blocks", "are_pairs", "ended", "held", "keys", "kinds")

    def __init__(self, blocks: Iterator[Block]) -> None:
        self._blocks = blocks
        self._block_length = 1
        self.keys: list[Key] = []
        self.held: list[Any] = []
        self.are_pairs = True
        self.kinds: set[type] = set()
        self.ended = False

    def fill(self) -> None:
        """Read the next block when less than half a block is left."""
        if not self.ended and 2 * len(self.keys) < self._block_length:
            self._read()

    def _read(self) -> None:
        block = next(self._blocks, None)
        if block is None:
            self.ended = True
            return
        kinds = set(map(type, block.keys))
        if self.keys:
            self.kinds = self.kinds | kinds
            held = block.held
            if self.are_pairs != block.are_pairs:
                self.list_values()
                held = block.lists()
            self.keys += block.keys
            self.held += held
        else:
            self.kinds = kinds
            self.keys, self.held, self.are_pairs = block
        self._block_length = len(block.keys)

    def list_values(self) -> None:
        """Have a list of values for each key."""
        self.held = Block(self.keys, self.held, self.are_pairs).lists()
        self.are_pairs = False

    def below(self, bound: Any, order: _Order) -> Columns:
        """Remove and return the items before ``bound``."""
        return self._first(bisect_left(self.keys, bound, key=order))

    def _first(self, end: int) -> Columns:
        """Remove and return the first items."""
        first = self.keys[:end], self.held[:end]
        del self.keys[:end], self.held[:end]
        return first

    def of_key(self, key: Key) -> Iterator[Block]:
        """Remove and yield the items of a key, which may extend into further blocks."""
        while self.keys and same_key(self.keys[0], key):
            end = 1
            while end < len(self.keys) and same_key(self.keys[end], key):
                end += 1
            yield Block(*self._first(end), self.are_pairs)
            if not self.keys and not self.ended:
                self._read()

    def rest(self) -> Iterator[Block]:
        """Yield everything that is left."""
        while self.keys:
            yield Block(self.keys, self.held, self.are_pairs)
            self.keys, self.held = [], []
            self._read()


def _merge(sources: Iterable[Source]) -> Iterator[Block]:
    return (block for block in _rounds(sources) if block.keys)


def _rounds(sources: Iterable[Source]) -> Iterator[Block]:
    streams = [_Stream(blocks(source)) for source in sources]
    while True:
        for stream in streams:
            stream.fill()
        streams = [stream for stream in streams if stream.keys]
        if len(streams) <= 1:
            break
        are_pairs = all(stream.are_pairs for stream in streams)
        if not are_pairs:
            for stream in streams:
                stream.list_values()
        order = _order(set[type]().union(*(stream.kinds for stream in streams)))
        last = [stream.keys[-1] for stream in streams if not stream.ended]
        if not last:
            found = [(stream.keys, stream.held) for stream in streams]
            yield Block(*_in_order(found, order), are_pairs)
            return
        yield from _up_to(min(last, key=order), streams, order, are_pairs)
    for stream in streams:
        yield from stream.rest()


def _up_to(key: Key, streams: Sequence[_Stream], order: _Order, are_pairs: bool) -> Iterator[Block]:
    """Remove and yield all items up to a key, which is the last one that some stream has read."""
    bound = key if order is None else order(key)
    below = [stream.below(bound, order) for stream in streams]
    found = [columns for columns in below if columns[0]]
    is_stuck = not found
    yield Block(*_in_order(found, order), are_pairs)
    for stream in streams:
        for block in stream.of_key(key):
            is_stuck = False
            yield block
    if is_stuck:  # where keys are in order, there is an item at least
        raise BlobDamaged("a run", "its keys are not in order")


def _in_order(found: Sequence[Columns], order: _Order) -> Columns:
    """Return columns as one, by key; equal keys are in the order in which they are given."""
    if len(found) == 1:
        return found[0]
    keys = list(chain.from_iterable([keys for keys, _ in found]))
    held = list(chain.from_iterable([held for _, held in found]))
    sort_columns(keys, held, order)
    return keys, held


def _order(kinds: set[type]) -> _Order:
    return None if kinds <= {int, float} or kinds == {str} else values.sort_key


def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="merge-", ignore_cleanup_errors=True)


def _merge_in_passes(sources: Sequence[Source]) -> Iterator[Block]:
    """Merge neighbours into runs on disk until few enough are left."""
    with ExitStack() as folders:
        while len(sources) > FAN_IN:
            with translated("the temporary folder"):
                folder = folders.enter_context(_temporary())
            merged: list[Source] = []
            rest = list(sources)
            while rest and (excess := len(merged) + len(rest) - FAN_IN) > 0:
                width = min(FAN_IN, excess + 1)
                run = write_run(folder, f"{len(merged)}", _merge(rest[:width]))
                merged.append(Source(run, folder))
                rest = rest[width:]
            sources = merged + rest
        yield from _merge(sources)
