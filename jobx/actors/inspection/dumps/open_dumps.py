"""Dumps that are being read: a call gives one chunk, so that a slow reader holds up nobody."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from jobx.actors.inspection.dumps import text as dump_text
from jobx.errors import InvalidInput, NotFound, Overloaded
from jobx.kv.blobs import BlobFolder
from jobx.kv.store import Store
from jobx.questions import GetDump, ReadDump
from jobx.views import DumpChunk

#: Dumps at a time.
MOST: Final = 4
#: A dump that nobody reads for so long is dropped.
IDLE_S: Final = 60.0
#: When who is refused should ask again.
_AGAIN_S: Final = 5.0


class _Open:
    """A dump, and the chunk that was given last."""

    def __init__(self, dump_id: str, chunks: Iterator[bytes]) -> None:
        self.lock = threading.Lock()
        self.read_at = 0.0
        self._id = dump_id
        self._chunks = chunks
        self._number = -1
        self._last = b""

    def check(self, number: int) -> None:
        """Raise InvalidInput if a chunk is neither the last one nor the next."""
        if number not in (self._number, self._number + 1):
            raise InvalidInput("number", str(number), f"the next chunk is {self._number + 1}")

    def chunk(self, number: int) -> DumpChunk:
        """Return the next chunk, or the last one again; the one behind the end is empty."""
        if number != self._number:
            self._last = next(self._chunks, b"")
            self._number = number
        return DumpChunk(dump_id=self._id, data=self._last, is_last=not self._last)


class OpenDumps:
    """The open dumps of a process; its methods block, and may be called from any thread.

    Args:
        now: Monotonic seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._open: dict[str, _Open] = {}

    def begin(self, store: Store, blobs: BlobFolder, asked: GetDump) -> DumpChunk:
        """Begin a dump and return its chunk 0.

        Raises:
            Overloaded: Others are open already.
            JobxError: As ``dump_text.chunks``.
        """
        dump_id = secrets.token_hex(8)
        found = _Open(dump_id, dump_text.chunks(store, blobs, asked))
        with self._lock:
            for old in [one for one in self._open if self._is_idle(self._open[one])]:
                del self._open[old]
            if len(self._open) >= MOST:
                raise Overloaded(f"{MOST} dumps are being read", _AGAIN_S)
            found.read_at = self._now()
            self._open[dump_id] = found
        return self._chunk(dump_id, found, 0)

    def read(self, asked: ReadDump) -> DumpChunk:
        """Return a chunk of a dump.

        Raises:
            NotFound: It is not open: it was read to its end, or not for ``IDLE_S``.
            InvalidInput: The number is neither that of the last chunk nor of the next.
            JobxError: The log cannot be read on; then the dump is closed.
        """
        with self._lock:
            found = self._open.get(asked.dump_id)
        if found is None:
            raise NotFound("dump", asked.dump_id)
        return self._chunk(asked.dump_id, found, asked.number)

    def _is_idle(self, one: _Open) -> bool:
        return not one.lock.locked() and self._now() - one.read_at > IDLE_S

    def _chunk(self, dump_id: str, found: _Open, number: int) -> DumpChunk:
        with found.lock:
            found.check(number)  # a wrong one ends nothing
            is_over = True
            try:
                chunk = found.chunk(number)
                is_over = chunk.is_last
            finally:
                found.read_at = self._now()
                if is_over:
                    with self._lock:
                        self._open.pop(dump_id, None)
        return chunk
