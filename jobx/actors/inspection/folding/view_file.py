"""The columns of a request that has ended, in a file next to its blobs.

Blocks, a header with their places, and a trailer with the place of the header. Each has its
checksum, so a file that is cut short, damaged or older is not taken for a whole one: it is made
again from the log, which alone is the truth. Nothing of it is synced.
"""

from __future__ import annotations

import os
import struct
import tempfile
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from jobx.actors.inspection.folding.activity import Activity
from jobx.actors.inspection.folding.view_columns import (
    BLOCK,
    Block,
    Chunks,
    Columns,
    Extent,
    FailedAttempt,
    Group,
    ShortFailure,
    Total,
    column_of,
    unpack_block,
)
from jobx.errors import UNREADABLE, BlobDamaged
from jobx.system.errors import translate_read

#: Its name in the folder of a request; the ending says that it is shared with no node.
NAME: Final = "views.part"
#: Changes with what is kept, and with what it means.
VERSION: Final = 4
_MAGIC: Final = b"jobxview"
_TRAILER: Final = struct.Struct(">8sIQII")
_LEVEL: Final = 1


class _Place(Struct, array_like=True):
    """Where a block is, and what holds for it as a whole."""

    offset: int
    size: int
    checksum: int
    extent: Extent
    stages: list[tuple[int, int, int]]


class _Header(Struct):
    """What is read at once."""

    key: tuple[str, str, float]
    as_of: int
    accepted_at: float
    count: int
    chunks: list[bytes]
    totals: list[Total]
    groups: list[Group]
    failures: list[ShortFailure]
    places: list[tuple[str, int]]
    failed: list[FailedAttempt]
    activity: Activity
    blocks: list[_Place]


_DECODER: Final = msgspec.msgpack.Decoder(_Header)
_FORMS: Final = ("Q", "I", "q", "I", "d")


def write(columns: Columns, folder: Path, key: tuple[str, str, float]) -> None:
    """Write the columns of a request that has ended.

    Args:
        columns: They.
        folder: The folder of the request.
        key: What tells the request from all others.

    Raises:
        OSError: The disk fails, or is full; an older file is still there.
    """
    descriptor, draft = tempfile.mkstemp(".part", f"{NAME}.", folder)
    try:
        with open(descriptor, "wb") as file:
            places = []
            for number in range(-(-columns.count // BLOCK)):
                body, offset = columns.block(number).pack(), file.tell()
                stages = [(*of, count) for of, count in columns.stages(number).items()]
                extent = columns.extent(number)
                places.append(_Place(offset, len(body), zlib.crc32(body), extent, stages))
                file.write(body)
            header = zlib.compress(_header(columns, key, places), _LEVEL)
            place = file.tell(), len(header), zlib.crc32(header)
            file.write(header)
            file.write(_TRAILER.pack(_MAGIC, VERSION, *place))
        os.rename(draft, folder / NAME)
    except BaseException:
        with suppress(OSError):
            os.unlink(draft)
        raise


def _header(columns: Columns, key: tuple[str, str, float], places: list[_Place]) -> bytes:
    chunks = columns.chunks
    kept = (chunks.starts, chunks.counts, chunks.parents, chunks.totals, chunks.ats)
    header = _Header(
        key, columns.as_of, columns.accepted_at, columns.count, [one.tobytes() for one in kept],
        columns.totals, columns.groups, columns.failures, columns.places, columns.failed,
        columns.activity, places,
    )  # fmt: skip
    return msgspec.msgpack.encode(header)


class ViewFile(Columns):
    """The columns of a file; blocks are read when they are needed. Close it.

    Args:
        folder: The folder of the request.
        key: As it was written.

    Raises:
        FileNotFoundError: There is none.
        BlobDamaged: It is damaged, of another version, or of another request.
        BlobUnreadable: It cannot be read.
    """

    def __init__(self, folder: Path, key: tuple[str, str, float]) -> None:
        path = folder / NAME
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise translate_read(error, NAME) from error
        try:
            self._take(self._read_header(), key)
        except BaseException:
            self.close()
            raise

    @property
    def size_bytes(self) -> int:
        """About how much memory it takes."""
        return 300_000 + 64 * len(self.chunks.starts) + 1000 * len(self._places)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def block(self, number: int) -> Block:
        """See ``Columns.block``; raises BlobDamaged."""
        place = self._places[number]
        return unpack_block(self._read(place.offset, place.size, place.checksum))

    def stages(self, number: int) -> dict[tuple[int, int], int]:
        """See ``Columns.stages``."""
        return {(total, code): count for total, code, count in self._places[number].stages}

    def extent(self, number: int) -> Extent:
        """See ``Columns.extent``."""
        return self._places[number].extent

    def _read_header(self) -> _Header:
        end = os.fstat(self._file).st_size - _TRAILER.size
        try:
            trailer = os.pread(self._file, _TRAILER.size, max(end, 0))
            magic, version, offset, size, checksum = _TRAILER.unpack(trailer)
        except struct.error as error:
            raise _damaged("it is cut short") from error
        if (magic, version, offset + size) != (_MAGIC, VERSION, end):
            raise _damaged("it is cut short, or of another version")
        packed = self._read(offset, size, checksum)
        try:
            return _DECODER.decode(zlib.decompress(packed))
        except (zlib.error, *UNREADABLE) as error:
            raise _damaged(str(error)) from error

    def _take(self, header: _Header, key: tuple[str, str, float]) -> None:
        if header.key != key:
            raise _damaged("it is of another request")
        self.is_done, self.reading = True, None
        self.as_of, self.count = header.as_of, header.count
        self.accepted_at, self.activity = header.accepted_at, header.activity
        self.totals, self.groups, self.failures = header.totals, header.groups, header.failures
        self.places, self.failed, self._places = header.places, header.failed, header.blocks
        self.chunks = chunks = Chunks()
        columns: list[Any] = list(map(column_of, _FORMS, header.chunks))
        chunks.starts, chunks.counts, chunks.parents, chunks.totals, chunks.ats = columns

    def _read(self, offset: int, size: int, checksum: int) -> bytes:
        try:
            body = os.pread(self._file, size, offset)
        except OSError as error:
            raise translate_read(error, NAME) from error
        if len(body) != size or zlib.crc32(body) != checksum:
            raise _damaged("its checksum is wrong")
        return body


def _damaged(reason: str) -> BlobDamaged:
    return BlobDamaged(NAME, reason)
