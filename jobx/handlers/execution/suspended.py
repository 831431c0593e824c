"""Mappers that map on: their pairs are cut into chunks, and they are suspended in between."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final

from jobx import values
from jobx.handlers.pairs.checking import PairReader
from jobx.handlers.pairs.run_writer import RunWriter
from jobx.handlers.scope.invocation import Invocation
from jobx.payload import Payload, pack_offsets

#: A batch that suspends a mapper ends when its executor holds this many suspended mappers.
MAX_SUSPENDED: Final = 256


class SuspendedMapper:
    """A mapper that yielded ``Map(step)``.

    Chunks end by number of pairs and by bytes only, so a mapper that yields the same pairs gives
    the same chunks. One pair more than a chunk is read, to know whether there are more.

    Args:
        invocation: The invocation.
        step: The step that it maps to.
        pairs: The pairs that it yields after the marker.
        chunk_pairs: Most pairs of a chunk.
        chunk_bytes: Most bytes of a chunk, unless a single pair is larger.

    Attributes:
        spent_s: Seconds that its code has run so far.
    """

    def __init__(
        self,
        invocation: Invocation,
        step: str,
        pairs: Iterator[object],
        chunk_pairs: int,
        chunk_bytes: int,
    ) -> None:
        self.invocation = invocation
        self.step = step
        self.spent_s = 0.0
        self._pairs = pairs
        self._intake = PairReader(pairs)
        self._chunk_pairs = chunk_pairs
        self._chunk_bytes = chunk_bytes
        self._ahead: deque[bytes] = deque()

    @property
    def more(self) -> bool:
        """Whether there are further pairs."""
        return bool(self._ahead) or not self._intake.done

    def next_items(self) -> list[bytes]:
        """Run the mapper for the next chunk and return its packed items.

        Raises:
            Misuse: It yields something that is not a pair.
            BaseException: Whatever author code raises.
        """
        items: list[bytes] = []
        size = 0
        pack = values.packer()
        ahead = self._ahead
        while True:
            while ahead and len(items) < self._chunk_pairs:
                if items and size + len(ahead[0]) > self._chunk_bytes:
                    return items
                size += len(ahead[0])
                items.append(ahead.popleft())
            if ahead or self._intake.done:
                return items
            wanted = self._chunk_pairs + 1 - len(items)
            ahead.extend(map(pack, self._intake.take(wanted)))

    def close(self) -> None:
        """Close the author's generator.

        Raises:
            BaseException: Whatever author code raises meanwhile.
        """
        close: Callable[[], Any] | None = getattr(self._pairs, "close", None)
        if close is not None:
            close()


def chunk_payload(items: list[bytes], writer: RunWriter) -> Payload:
    """Return packed items as a chunk."""
    ends = []
    end = 0
    for item in items:
        end += len(item)
        ends.append(end)
    return writer.chunk(items, pack_offsets(ends))


def digest(items: list[bytes]) -> str:
    """Return the digest of a chunk's items, 16 hexadecimal digits."""
    return hashlib.blake2b(b"".join(items), digest_size=8).hexdigest()
