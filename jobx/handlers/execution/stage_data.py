"""What the stages of mappers yield, kept for people who look at a request later.

Mappers that return data are combined and reduced in the same trip, and only what is left then goes
on. What their stages yielded goes to one blob a batch, compressed: ``StageRecord``s, packed one
after the other. No invocation fails because it cannot be kept.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from jobx import values
from jobx.errors import JobxError
from jobx.handlers.blobs.blob_file import BlobFile
from jobx.handlers.pairs.grouping import Groups
from jobx.handlers.scope.invocation import Invocation
from jobx.payload import STAGE_DATA, StageData
from jobx.segments import FailedRun, Returned, Segment
from jobx.work import QUICK_NS, MapWork

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


class KeptStages:
    """Keeps what the stages of the mappers of one batch yield.

    Args:
        work: The batch.
        folder: Where the blob goes.
        stem: Its name without ``STAGE_DATA``.
        began: When the batch began, monotonic ns.
    """

    def __init__(self, work: MapWork, folder: str, stem: str, began: int) -> None:
        self._first = work.first
        self._left_bytes = work.data_bytes
        self._folder = folder
        self._name = f"{stem}{STAGE_DATA}"
        self._began = began
        self._pack = values.packer()
        self._records: list[tuple[int, bytes]] = []
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
        size_bytes = 0 if body is None else len(body)
        if body is None or size_bytes > self._left_bytes:
            self._is_cut = True
            return
        if (vertex, body) == self._last:
            body = SAME
        else:
            self._last = vertex, body
            self._left_bytes -= size_bytes
        record = self._pack((vertex, stage, invocation.attempt, body))
        self._left_bytes -= _HEAD_BYTES
        self._records.append((vertex, record))

    def close(self, segments: Sequence[Segment], now: int) -> StageData | None:
        """Write the blob of a batch that ends now with these segments; None if it needs none.

        Of a batch that was quick, only what failed invocations left is worth a blob.
        """
        failed = {one.vertex for one in segments if isinstance(one, FailedRun)}
        returned = sum([one.count for one in segments if isinstance(one, Returned)])
        if now - self._began < QUICK_NS * (returned + len(failed)):
            self._records = [one for one in self._records if one[0] in failed]
            self._is_cut = False
        if self._records:
            return self._written()
        return _NO_ROOM if self._is_cut else None

    def undo(self) -> None:
        """Remove the blob."""
        with suppress(OSError):
            os.unlink(os.path.join(self._folder, self._name))

    def _written(self) -> StageData:
        body = _compressed(b"".join([record for _, record in self._records]))
        try:
            with BlobFile(self._folder, self._name) as blob:
                blob.write(body)
        except JobxError:
            return _NO_ROOM
        return StageData(self._name, blob.size_bytes, blob.checksum)


def _compressed(body: bytes) -> bytes:
    """Return a body compressed; where repetitions are few, without the time to look for them.

    Where they are few in a large body, it is not made smaller: that takes longer than all else that
    is done with a large value.
    """
    sample = body[:_SAMPLE_BYTES]
    is_dense = 2 * len(zlib.compress(sample, _LEVEL)) > len(sample)
    level = 0 if is_dense and len(body) > _LARGE_BYTES else _LEVEL
    strategy = zlib.Z_HUFFMAN_ONLY if is_dense else zlib.Z_DEFAULT_STRATEGY
    packer = zlib.compressobj(level, strategy=strategy)
    return packer.compress(body) + packer.flush()
