"""Reading runs: item by item, and many of them merged into one in key order, in bounded memory.

A merge works in rounds. Each run reads a block of items ahead. All items below the smallest last
key of the blocks have been read, so they are sorted together by the C sort, which exploits existing
order. That is several times faster than a heap with a Python comparison per item.
"""

from __future__ import annotations

import operator
import os
import tempfile
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain, groupby
from typing import Any, Final, TypeAlias

from jobx import values
from jobx.errors import BlobDamaged
from jobx.handlers.blobs.shared import Folder, distrust, open_blob
from jobx.handlers.pairs.run_writer import write_run
from jobx.payload import Payload, unpack_offsets
from jobx.system.errors import translate_read, translated
from jobx.values import Key, Pair, Value

#: A key, and some of its values (run) or its value (chunk).
Item: TypeAlias = list[Any]

#: Most runs of one merge; more are merged in several passes.
FAN_IN: Final = 128
#: Runs up to this total size are merged in one pass, whatever their number.
_SMALL_BYTES: Final = 8 << 20
_BLOCK_BYTES: Final = 1 << 15
#: Packed null: unpacking it shows whether an item is incomplete.
_NIL: Final = values.pack(None)
_BY_KEY: Final = operator.itemgetter(0)
_VALUES: Final = operator.itemgetter(1)
#: Keys of these types may be equal but not identical: 1 == True, (1,) == (True,).
_ODD: Final = frozenset({bool, tuple})


def read_items(payload: Payload, blob_dir: Folder) -> Iterator[Item]:
    """Yield the items of a payload as they stand.

    Raises:
        BlobDamaged: The blob is missing or not what was written; found at its end at the latest.
    """
    return chain.from_iterable(_blocks(_Source(payload, blob_dir)))


def in_turn(
    payloads: Iterable[Payload], blob_dir: Folder, partition: int | None = None, partitions: int = 1
) -> Iterator[list[Item]]:
    """Yield blocks of items of runs as they stand, one run after the other.

    Takes and raises what ``merge`` does.
    """
    sources = _sources(payloads, blob_dir, partition, partitions)
    return chain.from_iterable(map(_blocks, sources))


def size_bytes(
    payloads: Iterable[Payload], partition: int | None = None, partitions: int = 1
) -> int:
    """Return the number of bytes to read for a partition of runs."""
    return sum(source.size for source in _sources(payloads, "", partition, partitions))


def ahead_bytes(payloads: Iterable[Payload]) -> int:
    """Return the approximate number of bytes that a merge reads ahead."""
    ahead = [
        min(source.size, 2 * max(_BLOCK_BYTES, source.payload.size_bytes // source.payload.count))
        for source in _sources(payloads, "", None, 1)
        if source.payload.count
    ]
    return sum(sorted(ahead, reverse=True)[:FAN_IN])


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
        is_odd = bool(set(map(type, map(_BY_KEY, block))) & _ODD)
        is_again = not is_first and same_key(last, block[0][0])
        for _, group in groupby(block, _identity_of_item if is_odd else _BY_KEY):
            items = list(group)
            last = items[0][0]
            yield last, list(map(_VALUES, items)), is_again
            is_again = False
        is_first = False


def _merged(
    payloads: Iterable[Payload], blob_dir: Folder, partition: int | None, partitions: int
) -> Iterator[list[Item]]:
    """Yield blocks of items, none of them empty, all in key order."""
    sources = list(_sources(payloads, blob_dir, partition, partitions))
    if len(sources) == 1:
        return _blocks(sources[0])
    if len(sources) <= FAN_IN or sum(source.size for source in sources) <= _SMALL_BYTES:
        return filter(None, _merge(sources))
    return _merge_in_passes(sources)


def _identity_of_item(item: Item) -> object:
    return values.key_identity(item[0])


def pairs(payloads: Iterable[Payload], blob_dir: Folder) -> Iterator[Pair]:
    """Yield the pairs of runs in key order.

    Raises:
        BlobDamaged: A blob is missing or not what was written.
    """
    for key, listed in merge(payloads, blob_dir):
        for value in listed:
            yield key, value


def same_key(left: Key, right: Key) -> bool:
    """Tell whether two frozen keys are the same key."""
    return bool(left == right) and values.key_identity(left) == values.key_identity(right)


@dataclass(frozen=True, slots=True)
class _Source:
    """A run, or a section of one, or the keys of a partition in one."""

    payload: Payload
    blob_dir: Folder
    start: int = 0
    stop: int | None = None
    partition: int | None = None
    partitions: int = 1
    #: CRC-32 of the section; None if it is not known.
    checksum: int | None = None

    @property
    def expected(self) -> int | None:
        """CRC-32 of the bytes to read; None if it is not known."""
        return self.payload.checksum if self.stop is None else self.checksum

    @property
    def size(self) -> int:
        return (self.payload.size_bytes if self.stop is None else self.stop) - self.start


def _sources(
    payloads: Iterable[Payload], blob_dir: Folder, partition: int | None, partitions: int
) -> Iterator[_Source]:
    if partitions <= 1:
        partition = None
    for payload in payloads:
        is_cut = partition is not None and len(payload.sections) == partitions
        for number, source in enumerate(_whole(payload, blob_dir)):
            if is_cut and number != partition:
                continue
            if source.size > 0 or not payload.sections:
                chosen = None if is_cut else partition
                yield replace(source, partition=chosen, partitions=partitions)


def _whole(payload: Payload, blob_dir: Folder) -> Iterator[_Source]:
    """Yield a run as its sections, or as a whole when it has none."""
    if not payload.sections:
        yield _Source(payload, blob_dir)
    sums = unpack_offsets(payload.sums)
    start = 0
    for number, stop in enumerate(payload.sections):
        checksum = sums[number] if sums else None
        yield _Source(payload, blob_dir, start, stop, checksum=checksum)
        start = stop


def _blocks(source: _Source) -> Iterator[list[Item]]:
    """Yield blocks of items, none of them empty, keys frozen, those of the partition only."""
    name = source.payload.blob or "inline"
    unpacker = values.unpacker()
    try:
        for chunk in _chunks(source):
            if items := _selected(_fed(unpacker, chunk, name), source, name):
                yield items
        if _fed(unpacker, _NIL, name) != [None]:
            raise BlobDamaged(name, "it ends inside an item")
    except BlobDamaged:
        distrust(source.blob_dir, name)
        raise


def _fed(unpacker: Any, chunk: bytes, name: str) -> list[Any]:
    """Return the items that are complete with ``chunk``."""
    unpacker.feed(chunk)
    try:
        return list(unpacker)
    except (ValueError, TypeError, ArithmeticError) as error:
        raise BlobDamaged(name, str(error)) from error


def _selected(items: list[Any], source: _Source, name: str) -> list[Item]:
    if set(map(type, items)) - {list} or set(map(len, items)) - {2}:
        raise BlobDamaged(name, "it contains something that is not an item")
    if list in set(map(type, map(_BY_KEY, items))):
        for item in items:
            item[0] = values.freeze(item[0])
    if source.partition is None:
        return items
    wanted, partitions = source.partition, source.partitions
    return [item for item in items if values.partition_of(item[0], partitions) == wanted]


def _chunks(source: _Source) -> Iterator[bytes]:
    payload = source.payload
    if payload.inline is not None:
        body = payload.inline[source.start : source.stop]
        for at in range(0, len(body), _BLOCK_BYTES):
            yield body[at : at + _BLOCK_BYTES]
        return
    checksum = 0
    for chunk in _blob_chunks(source, payload.blob or ""):
        checksum = zlib.crc32(chunk, checksum)
        yield chunk
    if source.expected not in (None, checksum):
        raise BlobDamaged(payload.blob or "", "its checksum is wrong")


def _blob_chunks(source: _Source, name: str) -> Iterator[bytes]:
    """Yield the content of a blob; the file is open only while a chunk is read.

    So it may be removed from here meanwhile, if it is in a shared place too.
    """
    payload = source.payload
    at, stop = source.start, source.start + source.size
    while True:
        try:
            blob = open_blob(source.blob_dir, name, payload.size_bytes, payload.checksum)
            try:
                size = os.fstat(blob).st_size
                chunk = os.pread(blob, min(_BLOCK_BYTES, stop - at), at)
            finally:
                os.close(blob)
        except OSError as error:
            raise translate_read(error, name) from error
        if size != payload.size_bytes:
            raise BlobDamaged(name, "its size is wrong")
        if not chunk and at < stop:
            raise BlobDamaged(name, "it is too short")
        yield chunk
        at += len(chunk)
        if at >= stop:
            return


def verify(payloads: Iterable[Payload], blob_dir: Folder) -> None:
    """Read all blobs of payloads and check them, without unpacking anything.

    A damaged copy of what is in a shared place is fetched again.

    Raises:
        BlobDamaged: A blob is missing or not what was written.
        BlobUnreadable: A blob is there and cannot be read.
    """
    for source in _sources(payloads, blob_dir, None, 1):
        blob = source.payload.blob
        if blob is None:
            continue
        try:
            _read_through(source)
        except BlobDamaged:
            if not distrust(source.blob_dir, blob):
                raise
            _read_through(source)


def _read_through(source: _Source) -> None:
    for _ in _chunks(source):
        pass


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
        kinds = set(map(type, map(_BY_KEY, block)))
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


def _merge(sources: Iterable[_Source]) -> Iterator[list[Item]]:
    streams = [_Stream(_blocks(source)) for source in sources]
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
        return _BY_KEY
    return _sort_key_of_item


def _sort_key_of_item(item: Item) -> Any:
    return values.sort_key(item[0])


def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="merge-", ignore_cleanup_errors=True)


def _merge_in_passes(sources: Sequence[_Source]) -> Iterator[list[Item]]:
    """Merge neighbours into runs on disk until few enough are left."""
    with ExitStack() as folders:
        while len(sources) > FAN_IN:
            with translated("the temporary folder"):
                folder = folders.enter_context(_temporary())
            merged: list[_Source] = []
            rest = list(sources)
            while rest and (excess := len(merged) + len(rest) - FAN_IN) > 0:
                width = min(FAN_IN, excess + 1)
                items = chain.from_iterable(_merge(rest[:width]))
                run = write_run(folder, f"{len(merged)}", items)
                merged.append(_Source(run, folder))
                rest = rest[width:]
            sources = merged + rest
        yield from filter(None, _merge(sources))
