"""The tree of a request: what is known of its mappers, and how that changes."""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Iterable

from jobx.actors.request.branches import MAPPER, ROOT, Branch, Chunk, Output
from jobx.actors.request.census import Census
from jobx.actors.request.events import Mapped
from jobx.payload import Payload


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
