"""What the tree of a request is made of: chunks of siblings, and branches that are still open."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from jobx.actors.request.events import Mapped
from jobx.actors.request.ranges import Ranges
from jobx.payload import Payload


@dataclass(frozen=True, slots=True)
class Output:
    """What ``count`` sibling vertices left for their parent's reducer."""

    count: int
    payloads: tuple[Payload, ...]

    @property
    def inline_bytes(self) -> int:
        """Bytes of it that are held in memory."""
        return sum(len(item.inline) for item in self.payloads if item.inline)


class Chunk:
    """Siblings that one ``Mapped`` event announced (or the root, alone)."""

    __slots__ = (
        "count",
        "depth",
        "digest",
        "finished",
        "parent",
        "payload",
        "ready",
        "start",
        "step",
    )

    def __init__(self, event: Mapped, depth: int) -> None:
        self.start = event.start
        self.count = event.count
        self.parent = event.parent
        self.step = event.step
        self.payload = event.payload
        self.digest = event.digest
        self.depth = depth
        self.finished = Ranges()
        self.ready: deque[tuple[int, int]] = deque([(event.start, event.start + event.count)])


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
    def inline_bytes(self) -> int:
        """Bytes that wait for the reducer in memory."""
        return sum(output.inline_bytes for output in self.outputs.values())
