"""What the stages of mappers yield, kept for people who look at a request later.

Mappers that return data are combined and reduced in the same trip, and only what is left then goes
on. What their stages yielded goes to one blob a batch: ``StageRecord``s, packed one after the
other. No invocation fails because it cannot be kept.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import chain
from typing import Final, NamedTuple

from jobx import values
from jobx.errors import JobxError
from jobx.handlers.blobs.blob_file import BlobFile
from jobx.handlers.pairs.grouping import Groups
from jobx.handlers.scope.invocation import Invocation
from jobx.payload import IN_PAYLOADS, STAGE_DATA, Payload, StageData
from jobx.segments import FailedRun, Returned, Segment
from jobx.system.processes import time_used
from jobx.work import QUICK_NS, MapWork

#: msgpack: bytes with a 32-bit length, and what no bytes are.
_BYTES_32: Final = struct.Struct(">BI")
_BYTES_32_CODE: Final = 0xC6
_NO_BYTES: Final = b"\xc4\x00"
#: What a blob takes on a busy machine, about: it is not worth it for a batch that takes less.
BLOB_NS: Final = 1_000_000
#: In place of what a stage yields that yields the same as the one before it.
SAME: Final = b""
#: What a record takes at most beyond what was yielded.
_HEAD_BYTES: Final = 40
#: The quickest level; more costs more time than it saves space.
_LEVEL: Final = 1
#: By these first bytes it is seen whether to look for repetitions: words have few.
_SAMPLE_BYTES: Final = 16 << 10
_LARGE_BYTES: Final = 1 << 20
_NO_ROOM: Final = StageData()


class _Record(NamedTuple):
    """What a stage of a mapper yielded, packed; see ``StageData``."""

    vertex: int
    stage: str
    attempt: int
    body: bytes


class KeptStages:
    """Keeps what the stages of the mappers of one batch yield.

    Args:
        work: The batch.
        folder: Where the blob goes.
        stem: Its name without ``STAGE_DATA``.
        began: When the batch began, monotonic ns.
        used: Returns the processor time of this process so far, in ns, and how often it waited.
    """

    def __init__(
        self,
        work: MapWork,
        folder: str,
        stem: str,
        began: int,
        used: Callable[[], tuple[int, int]] = time_used,
    ) -> None:
        self._first = work.first
        self._left_bytes = work.data_bytes
        self._folder = folder
        self._name = f"{stem}{STAGE_DATA}"
        self._began = began
        self._used = used
        self._used_ns, self._waits = used()
        self._pack = values.packer()
        self._last_stage = "combiner" if work.combiner else "mapper"
        self._records: list[_Record] = []
        #: What the stage before has yielded.
        self._last = (-1, b"")
        #: There was no room for something.
        self._is_cut = False

    def note(
        self, invocation: Invocation, stage: str, output: Groups, started: int, now: int
    ) -> None:
        """Keep what a stage of an invocation that started then has yielded by now.

        Of quick ones nothing is kept while those before them were quick, too.
        """
        vertex = invocation.vertex
        is_quick = now - started < QUICK_NS
        if is_quick and now - self._began < QUICK_NS * (vertex - self._first + 1):
            return
        body = output.packed(self._pack)
        if body is not None and (vertex, body) == self._last:
            body = SAME
        elif body is None or len(body) > self._left_bytes:
            self._is_cut = True
            return
        else:
            self._last = vertex, body
            self._left_bytes -= len(body)
        self._left_bytes -= _HEAD_BYTES
        self._records.append(_Record(vertex, stage, invocation.attempt, body))

    def close(self, segments: Sequence[Segment], now: int) -> StageData | None:
        """Write the blob of a batch that ends now with these segments; None if it needs none.

        Of a batch that was quick, only what failed invocations left is worth a blob.
        """
        failed = {one.vertex for one in segments if isinstance(one, FailedRun)}
        returned = sum([one.count for one in segments if isinstance(one, Returned)])
        if self._was_quick(BLOB_NS + QUICK_NS * (returned + len(failed)), now):
            self._records = [one for one in self._records if one.vertex in failed]
            self._is_cut = False
        if self._records:
            self._refer(segments)
            return self._written()
        return _NO_ROOM if self._is_cut else None

    def _was_quick(self, limit_ns: int, now: int) -> bool:
        """Tell whether the batch took less than a limit, without what it waited for a processor.

        Otherwise a busy machine would have more to do, the busier it is.
        """
        if now - self._began < limit_ns:
            return True
        used_ns, waits = self._used()
        return waits == self._waits and used_ns - self._used_ns < limit_ns

    def undo(self) -> None:
        """Remove the blob."""
        with suppress(OSError):
            os.unlink(os.path.join(self._folder, self._name))

    def _refer(self, segments: Sequence[Segment]) -> None:
        """Name the payloads instead of what is large and in blobs that go out with a segment."""
        going = {one.vertex: one for one in segments if isinstance(one, Returned)}
        last = {record.vertex: place for place, record in enumerate(self._records)}
        for vertex, place in last.items():
            segment = going.get(vertex)
            if segment is None or not _is_large(segment):
                continue
            stage = "reducer" if segment.reduced else self._last_stage
            if self._records[place].stage == stage:
                first = self._first_of_same(place)
                body = self._pack((IN_PAYLOADS, segment.payloads))
                self._records[first] = self._records[first]._replace(body=body)

    def _first_of_same(self, place: int) -> int:
        """Return the place of the record that has what the one at ``place`` stands for."""
        while self._records[place].body == SAME:
            place -= 1
        return place

    def _written(self) -> StageData:
        pieces = chain.from_iterable(map(self._pieces, self._records))
        try:
            with BlobFile(self._folder, self._name) as blob:
                for piece in _compressed(list(pieces)):
                    blob.write(piece)
        except JobxError:
            return _NO_ROOM
        return StageData(self._name, blob.size_bytes, blob.checksum)

    def _pieces(self, record: _Record) -> tuple[bytes, bytes]:
        """Return a record packed; what was yielded may be large, and is not copied."""
        head = self._pack(record._replace(body=b"")).removesuffix(_NO_BYTES)
        return head + _BYTES_32.pack(_BYTES_32_CODE, len(record.body)), record.body


def _is_large(segment: Returned) -> bool:
    """Tell whether one mapper has left much, all of it in blobs."""
    payloads = list(map(Payload.from_wire, segment.payloads))
    is_in_blobs = all(one.blob is not None for one in payloads)
    size_bytes = sum([one.size_bytes for one in payloads])
    return segment.count == 1 and is_in_blobs and size_bytes > _LARGE_BYTES


def _compressed(pieces: Sequence[bytes]) -> Iterable[bytes]:
    """Return pieces compressed; where repetitions are few, without the time to look for them.

    Where they are few and the pieces large, they stay as they are: to make them smaller takes
    longer than all else that is done with a large value.
    """
    sample = _begin(pieces)
    is_dense = 2 * len(zlib.compress(sample, _LEVEL)) > len(sample)
    if is_dense and sum(map(len, pieces)) > _LARGE_BYTES:
        return pieces
    strategy = zlib.Z_HUFFMAN_ONLY if is_dense else zlib.Z_DEFAULT_STRATEGY
    packer = zlib.compressobj(_LEVEL, strategy=strategy)
    packed = list(map(packer.compress, pieces))  # all, before it is flushed
    packed.append(packer.flush())
    return packed


def _begin(pieces: Iterable[bytes]) -> bytes:
    """Return the first bytes of pieces."""
    sample = b""
    for piece in pieces:
        sample += piece[: _SAMPLE_BYTES - len(sample)]
        if len(sample) >= _SAMPLE_BYTES:
            break
    return sample
