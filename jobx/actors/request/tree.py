"""The tree of a request: chunks of siblings, and the branches whose reducer is still to come.

Sizes: children are kept as chunks (up to a thousand siblings each) and ranges, so a million
children are a thousand small objects. A vertex has an object of its own, a ``Branch``, only while
its reducer is still to come.
"""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from msgspec import Struct

from jobx.actors.request.census import Census
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


class Tree:
    """What is known of the mappers of a request.

    Attributes:
        chunks: Chunks by their first vertex, until their parent is reduced.
        branches: Branches by their vertex.
        next_vertex: The vertex that the next new chunk gets.
        mapped_count: Mappers that count, in all.
        finished_count: Those that have a final result.
        held_bytes: Inline bytes that wait for reducers.
        chunk_bytes: Inline bytes of the chunks.
        census: Counts by step.
    """

    def __init__(self) -> None:
        self.chunks: dict[int, Chunk] = {}
        self.branches: dict[int, Branch] = {}
        self.next_vertex = ROOT
        self.mapped_count = 0
        self.finished_count = 0
        self.held_bytes = 0
        self.chunk_bytes = 0
        self.census = Census()
        self._starts: list[int] = []  # of all chunks ever, ascending

    def place(self, parent: int, step: str, count: int, digest: str) -> int:
        """Return the first vertex that the next chunk of ``parent`` gets.

        The chunk that an earlier attempt yielded at this place keeps its vertices when it is
        the same one.
        """
        branch = self.branches.get(parent)
        if branch is not None and branch.earlier:
            chunk = branch.earlier[0]
            if (chunk.step, chunk.count, chunk.digest) == (step, count, digest):
                return chunk.start
        return self.next_vertex

    def growth(self, parent: int, step: str, count: int, digest: str) -> int:
        """Return how many mappers more there are with the next chunk of ``parent``.

        A chunk that is yielded again adds none; another one takes the place of earlier ones.
        """
        if self.place(parent, step, count, digest) < self.next_vertex:
            return 0
        branch = self.branches.get(parent)
        return count - sum(chunk.count for chunk in branch.earlier) if branch else count

    def chunk_of(self, vertex: int) -> Chunk | None:
        """Return the chunk that holds a vertex, or None when it was dropped or reduced."""
        position = bisect.bisect_right(self._starts, vertex) - 1
        return self.chunks.get(self._starts[position])

    def producer_of(self, blob: str) -> tuple[int, int, int] | None:
        """Return (chunk, first vertex, count) of the invocations that left a blob, if any."""
        for branch in self.branches.values():
            for first, output in branch.outputs.items():
                if any(item.blob == blob for item in output.payloads):
                    if first == branch.vertex:
                        return branch.chunk.start, first, 1
                    chunk = self.chunk_of(first)
                    return (chunk.start, first, output.count) if chunk else None
            for chunk in branch.chunks:
                if chunk.payload.blob == blob:
                    return branch.chunk.start, branch.vertex, 1
        return None

    def add(self, event: Mapped, parent: Branch | None) -> Chunk:
        """Add the next chunk of a branch, or the root, which has no parent."""
        chunk = Chunk(event, parent.chunk.depth + 1 if parent is not None else 0)
        self.chunks[chunk.start] = chunk
        self.chunk_bytes += chunk.held_bytes
        self._starts.append(chunk.start)
        self.next_vertex = chunk.start + chunk.count
        self.mapped_count += chunk.count
        self.census.open[chunk.step] += chunk.count
        if parent is not None:
            parent.open += chunk.count
            parent.chunks.append(chunk)
        return chunk

    def branch(self, vertex: int, chunk: Chunk) -> Branch:
        """Return the branch of a mapper of ``chunk``, a new one if need be."""
        branch = self.branches.get(vertex)
        if branch is None:
            branch = self.branches[vertex] = Branch(vertex, chunk)
        return branch

    def keep_output(self, branch: Branch, first: int, output: Output) -> None:
        """Keep what the vertices from ``first`` on left for the reducer of a branch."""
        branch.outputs[first] = output
        self.held_bytes += output.inline_bytes

    def settle(
        self, chunk: Chunk, first: int, count: int, payloads: tuple[Payload, ...]
    ) -> Branch | None:
        """Give siblings their final result.

        Returns their parent, with what they left, or None: the root has none.
        """
        chunk.finished.add(first, first + count)
        self.finished_count += count
        self.census.open[chunk.step] -= count
        if chunk.parent == MAPPER:
            return None
        parent = self.branches[chunk.parent]
        if any(item.count for item in payloads):
            self.keep_output(parent, first, Output(count, payloads))
        parent.open -= count
        return parent

    def unsettle(self, chunk: Chunk, first: int, count: int) -> None:
        """Take a final result back whose blob is gone."""
        chunk.finished.remove(first, first + count)
        self.finished_count -= count
        self.census.open[chunk.step] += count
        parent = self.branches[chunk.parent]
        self._drop_output(parent, first)
        self.census.leave(parent)
        parent.open += count
        parent.ungather()
        self.census.enter(parent)

    def complete(self, branch: Branch) -> None:
        """Note that a mapper will yield no more."""
        branch.complete = True
        self.census.enter(branch)

    def gather(self, branch: Branch, partitions: int) -> None:
        """Begin the reduction of a branch: its input is complete."""
        self.census.leave(branch)
        branch.gather(partitions)
        self.census.enter(branch)

    def restart(self, branch: Branch) -> None:
        """Begin a new attempt of a mapper, keeping its children for when it yields them again."""
        self.census.leave(branch)
        branch.earlier = deque([*branch.chunks, *branch.earlier])
        branch.chunks = []
        branch.complete = False
        branch.ungather()
        branch.session = {}
        self._drop_output(branch, branch.vertex)

    def forget(self, branch: Branch) -> None:
        """Remove a reduced branch; its children's results are in its own now."""
        del self.branches[branch.vertex]
        self.census.leave(branch)
        self.held_bytes -= branch.inline_bytes
        for chunk in branch.chunks:
            self._drop_chunk(chunk)

    def drop_earlier(self, branch: Branch) -> list[int]:
        """Drop the children that the current attempt did not yield again.

        Returns the vertices of all branches that went with them.
        """
        for chunk in branch.earlier:
            branch.open -= chunk.count - chunk.finished.size
            for vertex in range(chunk.start, chunk.start + chunk.count):
                self._drop_output(branch, vertex)
        dropped = self._drop_chunks(branch.earlier)
        branch.earlier = deque()
        return dropped

    def drop_branches(self, first: int, count: int) -> list[int]:
        """Drop what vertices mapped in earlier attempts; returns as ``drop_earlier`` does."""
        dropped = []
        for vertex in range(first, first + count):
            if vertex in self.branches:
                dropped += [vertex, *self._drop_chunks(self._drop_branch(vertex))]
        return dropped

    def _drop_chunks(self, chunks: Iterable[Chunk]) -> list[int]:
        """Drop chunks and all below them; returns the vertices of the branches."""
        dropped = []
        waiting = list(chunks)
        while waiting:  # a loop, since a tree may be deeper than the stack
            chunk = waiting.pop()
            self._drop_chunk(chunk)
            self.mapped_count -= chunk.count
            self.finished_count -= chunk.finished.size
            self.census.open[chunk.step] -= chunk.count - chunk.finished.size
            for vertex in range(chunk.start, chunk.start + chunk.count):
                if vertex in self.branches:
                    dropped.append(vertex)
                    waiting += self._drop_branch(vertex)
        return dropped

    def _drop_chunk(self, chunk: Chunk) -> None:
        del self.chunks[chunk.start]
        self.chunk_bytes -= chunk.held_bytes

    def _drop_branch(self, vertex: int) -> list[Chunk]:
        """Drop a branch and return the chunks below it."""
        branch = self.branches.pop(vertex)
        self.census.leave(branch)
        self.held_bytes -= branch.inline_bytes
        return [*branch.chunks, *branch.earlier]

    def _drop_output(self, branch: Branch, first: int) -> None:
        output = branch.outputs.pop(first, None)
        if output is not None:
            self.held_bytes -= output.inline_bytes
