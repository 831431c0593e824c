"""What the tree of a request is made of: chunks of siblings, and branches with their outputs.

Sizes: children are kept as chunks (up to a thousand siblings each) and ranges, so a million
children are a thousand small objects. A vertex has an object of its own, a ``Branch``, only while
its reducer is still to come.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final, TypeAlias

from msgspec import Struct

from jobx.actors.request.events import Mapped
from jobx.actors.request.ranges import Ranges
from jobx.payload import Payload

ROOT: Final = 0

#: What is tried: a mapper (vertex, -1), its combiner (vertex, -2) or one partition of its reducer
#: (vertex, partition); a reducer in the trip of its mapper is partition 0.
Target: TypeAlias = tuple[int, int]
MAPPER: Final = -1
COMBINER: Final = -2


class Output(Struct, frozen=True):
    """What ``count`` sibling vertices left for their parent's reducer."""

    count: int
    payloads: tuple[Payload, ...]

    @property
    def inline_bytes(self) -> int:
        """Bytes of it that are held in memory."""
        return sum(len(item.inline) for item in self.payloads if item.inline)


class Chunk:
    """Siblings that one ``Mapped`` event announced at ``at`` (or the root, alone)."""

    __slots__ = (
        "at",
        "count",
        "depth",
        "digest",
        "finished",
        "held_bytes",
        "parent",
        "payload",
        "ready",
        "start",
        "step",
    )

    def __init__(self, event: Mapped, depth: int) -> None:
        self.at = event.at
        self.start = event.start
        self.count = event.count
        self.parent = event.parent
        self.step = event.step
        self.payload = event.payload
        self.held_bytes = len(event.payload.inline or b"")
        self.digest = event.digest
        self.depth = depth
        self.finished = Ranges()
        self.ready: deque[tuple[int, int]] = deque([(event.start, event.start + event.count)])

    @property
    def ready_count(self) -> int:
        """Siblings that are ready."""
        return sum(stop - first for first, stop in self.ready)


class Branch:
    """A mapper whose reducer is still to come.

    Attributes:
        chunks: Its children, as far as the current attempt yielded them.
        earlier: Children that an earlier attempt yielded beyond that. When the new attempt yields
            the same chunk again, it is taken over with all that was done for it.
        complete: The mapper will yield no more.
        open: Children without a final result.
        outputs: What children left, by their first vertex.
        parts: What the partitions of the reducer left.
        partitions: Partitions of the reducer, 0 until it can run.
        idle: Partitions that are neither done nor at work.
        gathers: How often its input was complete; tells a reduction of an older one apart.
    """

    __slots__ = (
        "chunk",
        "chunks",
        "complete",
        "earlier",
        "gathers",
        "idle",
        "open",
        "outputs",
        "partitions",
        "parts",
        "session",
        "step",
        "vertex",
    )

    def __init__(self, vertex: int, chunk: Chunk) -> None:
        self.vertex = vertex
        self.chunk = chunk
        self.step = chunk.step
        self.chunks: list[Chunk] = []
        self.earlier: deque[Chunk] = deque()
        self.complete = False
        self.open = 0
        self.outputs: dict[int, Output] = {}
        self.parts: dict[int, tuple[Payload, ...]] = {}
        self.partitions = 0
        self.gathers = 0
        self.idle: set[int] = set()
        self.session: dict[str, Any] = {}

    def take_over(self, payload: Payload) -> Chunk:
        """Return the next chunk of an earlier attempt, which was yielded again as ``payload``."""
        chunk = self.earlier.popleft()
        chunk.payload = payload
        self.chunks.append(chunk)
        return chunk

    def gather(self, partitions: int) -> None:
        """Begin the reduction: its input is complete."""
        self.partitions = partitions
        self.gathers += 1

    def ungather(self) -> None:
        """Begin the reduction anew: some of its input is missing again."""
        self.partitions = 0
        self.parts = {}
        self.idle = set()

    def inputs(self) -> list[Payload]:
        """Return what the reducer reads, in the order of the children."""
        ordered = sorted(self.outputs.items())
        return [item for _, output in ordered for item in output.payloads if item.count]

    @property
    def size_bytes(self) -> int:
        """Bytes that the reducer reads, as far as partitions help: each reads all without sections.

        What has none has few keys, and counts a quarter.
        """
        items = [item for output in self.outputs.values() for item in output.payloads]
        return sum(item.size_bytes if item.sections else item.size_bytes // 4 for item in items)

    @property
    def inline_bytes(self) -> int:
        """Bytes that wait for the reducer in memory."""
        return sum(output.inline_bytes for output in self.outputs.values())
