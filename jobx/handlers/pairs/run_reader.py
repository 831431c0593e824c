"""Reading runs and chunks item by item, in bounded memory, with all checks of what is read."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, compress
from types import NoneType
from typing import Any, Final, TypeAlias, TypeVar

from jobx import values
from jobx.errors import BlobDamaged
from jobx.handlers.blobs.shared import Folder, distrust, open_blob
from jobx.handlers.pairs.columns import Block, block_of
from jobx.payload import Payload, unpack_offsets
from jobx.system.errors import translate_read

R = TypeVar("R")

#: A key, and some of its values (run) or its value (chunk).
Item: TypeAlias = Sequence[Any]

#: Bytes that are read at once.
BLOCK_BYTES: Final = 1 << 15
#: Bytes that are read at once where nothing of them is kept.
_PASSED_BYTES: Final = 1 << 18
#: Whatever is unpacked as one of these types can be a key.
_SURE: Final = frozenset({str, int, bool, bytes, NoneType})
#: Packed null: unpacking it shows whether an item is incomplete.
_NIL: Final = values.pack(None)


def in_turn(
    payloads: Iterable[Payload], blob_dir: Folder, partition: int | None = None, partitions: int = 1
) -> Iterator[Block]:
    """Yield blocks of items of runs as they stand, one run after the other.

    Takes and raises what ``run_merger.merge`` does.
    """
    sources = sources_of(payloads, blob_dir, partition, partitions)
    return chain.from_iterable(map(blocks, sources))


def size_bytes(
    payloads: Iterable[Payload], partition: int | None = None, partitions: int = 1
) -> int:
    """Return the number of bytes to read for a partition of runs."""
    return sum(source.size for source in sources_of(payloads, "", partition, partitions))


def verify(payloads: Iterable[Payload], blob_dir: Folder) -> None:
    """Read all blobs of payloads and check them, without unpacking anything.

    A damaged copy of what is in a shared place is fetched again.

    Raises:
        BlobDamaged: A blob is missing or not what was written.
        BlobUnreadable: A blob is there and cannot be read.
    """
    for source in sources_of(payloads, blob_dir, None, 1):
        if source.payload.blob is not None:
            _trusted(source, _read_through)


def whole(run: Payload, blob_dir: Folder) -> bytes:
    """Return the packed items of a run, read at once and checked; raises as ``verify`` does."""
    if run.inline is not None:
        return run.inline
    return _trusted(Source(run, blob_dir), _read_whole)


def _trusted(source: Source, read: Callable[[Source], R]) -> R:
    """Return what is read of a blob; if its copy here is damaged, of what is fetched again."""
    try:
        return read(source)
    except BlobDamaged:
        if not distrust(source.blob_dir, source.payload.blob or ""):
            raise
        return read(source)


def _read_through(source: Source) -> None:
    for _ in _chunks(source, _PASSED_BYTES):
        pass


def _read_whole(source: Source) -> bytes:
    return b"".join(_chunks(source, source.size))


@dataclass(frozen=True, slots=True)
class Source:
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
        """Number of bytes to read."""
        return (self.payload.size_bytes if self.stop is None else self.stop) - self.start


def sources_of(
    payloads: Iterable[Payload], blob_dir: Folder, partition: int | None, partitions: int
) -> Iterator[Source]:
    """Yield what is to be read of runs: of a partition only its sections, where they have some."""
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


def _whole(payload: Payload, blob_dir: Folder) -> Iterator[Source]:
    """Yield a run as its sections, or as a whole when it has none."""
    if not payload.sections:
        yield Source(payload, blob_dir)
    sums = unpack_offsets(payload.sums)
    start = 0
    for number, stop in enumerate(payload.sections):
        checksum = sums[number] if sums else None
        yield Source(payload, blob_dir, start, stop, checksum=checksum)
        start = stop


def blocks(source: Source) -> Iterator[Block]:
    """Yield blocks of items, none of them empty, keys frozen, those of the partition only."""
    name = source.payload.blob or "inline"
    # What is damaged may say that it has more members than there are bytes.
    unpacker = values.unpacker(max(source.size, BLOCK_BYTES) + len(_NIL))
    try:
        for chunk in _chunks(source):
            block = _selected(_fed(unpacker, chunk, name), source, name)
            if block.keys:
                yield block
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


def _selected(found: list[Any], source: Source, name: str) -> Block:
    try:
        keys, held, are_pairs = block_of(found)
        if set(map(type, keys)) - _SURE:
            keys = list(map(values.check_key, keys))
    except ValueError as error:
        raise BlobDamaged(name, str(error)) from error
    if source.partition is not None:
        parts = values.partitions_of(keys, source.partitions)
        chosen = list(map(source.partition.__eq__, parts))
        keys, held = list(compress(keys, chosen)), list(compress(held, chosen))
    return Block(keys, held, are_pairs)


def _chunks(source: Source, block_bytes: int = BLOCK_BYTES) -> Iterator[bytes]:
    payload = source.payload
    if payload.inline is not None:
        body = payload.inline[source.start : source.stop]
        if len(body) != source.size:
            raise BlobDamaged("inline", "its size is wrong")
        for at in range(0, len(body), BLOCK_BYTES):
            yield body[at : at + BLOCK_BYTES]
        return
    checksum = 0
    for chunk in _blob_chunks(source, payload.blob or "", block_bytes):
        checksum = zlib.crc32(chunk, checksum)
        yield chunk
    if source.expected not in (None, checksum):
        raise BlobDamaged(payload.blob or "", "its checksum is wrong")


def _blob_chunks(source: Source, name: str, block_bytes: int) -> Iterator[bytes]:
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
                chunk = os.pread(blob, min(block_bytes, stop - at), at)
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
