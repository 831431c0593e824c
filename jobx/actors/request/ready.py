"""The work of a request that is ready to start: siblings, reductions, suspended mappers.

It is in memory only. ``take_*`` takes work to start it, and ``give_back*`` returns it when its
executor died. ``renew`` makes everything without a result ready again.
"""

from __future__ import annotations

import bisect
import heapq
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any, NamedTuple

from jobx.actors.request.branches import MAPPER, Branch, Chunk, Target
from jobx.actors.request.capabilities import HERE, Foreign, Kind
from jobx.actors.request.tree import Tree


class Delay(NamedTuple):
    """A back-off: its seconds, and the error that it follows with its kind."""

    delay_s: float
    error: str
    kind: str


class Ready:
    """The ready work in a tree.

    Work of each kind is taken by itself: what waits for another node holds up nothing else.

    Attributes:
        delayed: Targets that wait for their back-off; emptied by ``decide``.
        suspended: Mappers that have more to yield and are not being asked, with who keeps them;
            filled by the coordinator.
        discarded: Suspended mappers that are no longer wanted, after their keepers; taken by the
            coordinator.
    """

    def __init__(self, tree: Tree, foreign: Foreign = Foreign()) -> None:  # noqa: B008 - frozen
        self.delayed: dict[Target, Delay] = {}
        self.suspended: dict[int, Any] = {}
        self.discarded: list[tuple[Any, int]] = []
        self._tree = tree
        self._foreign = foreign
        #: By kind a heap of (-depth, chunk): deepest first.
        self._chunks: defaultdict[Kind, list[tuple[int, int]]] = defaultdict(list)
        self._reduces: defaultdict[Kind, deque[Target]] = defaultdict(deque)
        self._lost: set[str] = set()  # missing blobs whose invocations run again

    def take_range(
        self, most: Callable[[Chunk, int, int], int], kind: Kind = HERE
    ) -> tuple[Chunk, int, int] | None:
        """Take ready siblings of a kind, deepest first, at most ``most(chunk, first, stop)``.

        Returns the chunk, the first vertex and the count, or None.
        """
        chunks = self._chunks[kind]
        while chunks:
            chunk = self._tree.chunks.get(chunks[0][1])
            if chunk is None or not chunk.ready or chunk.payload.blob in self._lost:
                heapq.heappop(chunks)
                continue
            first, stop = chunk.ready[0]
            count = min(stop - first, max(1, most(chunk, first, stop)))
            chunk.ready.popleft()
            if first + count < stop:
                chunk.ready.appendleft((first + count, stop))
            elif not chunk.ready:
                heapq.heappop(chunks)
            return chunk, first, count
        return None

    def first_chunks(self, most: int) -> Iterator[Chunk]:
        """Yield chunks with ready siblings, so many of a kind, about in the order of their turn."""
        for _, start in chain.from_iterable(islice(one, most) for one in self._chunks.values()):
            chunk = self._tree.chunks.get(start)
            if chunk is not None and chunk.ready:
                yield chunk

    @property
    def lost_blobs(self) -> int:
        """Number of missing blobs whose invocations run again."""
        return len(self._lost)

    @property
    def is_at_last_chunk(self) -> bool:
        """Whether nothing is known to follow the siblings that are ready next."""
        return sum(map(len, self._chunks.values())) == 1 and not self.suspended

    def take_reduce(self, kind: Kind = HERE) -> Target | None:
        """Take a ready reduction of a kind, (vertex, partition), or None."""
        reduces = self._reduces[kind]
        while reduces:
            vertex, partition = reduces.popleft()
            branch = self._tree.branches.get(vertex)
            if branch is not None and partition in branch.idle:
                branch.idle.remove(partition)
                return vertex, partition
        return None

    def take_pull(self, window: int, chunk_pairs: int) -> tuple[int, Any, int] | None:
        """Take a mapper that has more to yield and room for it in its window.

        Returns the mapper, its keeper, and for how many chunks there is room.
        """
        for vertex, keeper in self.suspended.items():
            branch = self._tree.branches[vertex]
            # What an earlier attempt yielded is open already, and may wait for being yielded again.
            chunks = 1 if branch.earlier else (window - branch.open) // chunk_pairs
            if chunks > 0:
                del self.suspended[vertex]
                return vertex, keeper, chunks
        return None

    def add_chunk(self, chunk: Chunk) -> None:
        """Make what is ready of a chunk known, now that its arguments are at hand."""
        if chunk.ready:
            self._push(chunk)

    def _push(self, chunk: Chunk) -> None:
        kind = self._foreign.mappers.get(chunk.step, HERE)
        heapq.heappush(self._chunks[kind], (-chunk.depth, chunk.start))

    def _reduces_of(self, vertex: int) -> deque[Target]:
        branch = self._tree.branches.get(vertex)
        return self._reduces[self._foreign.reducers.get(branch.step, HERE) if branch else HERE]

    def add_range(self, chunk: Chunk, start: int, stop: int) -> None:
        """Make siblings of a chunk ready."""
        if not chunk.ready:
            self._push(chunk)
        elif chunk.ready[-1][1] == start:
            start, _ = chunk.ready.pop()
        chunk.ready.append((start, stop))

    def add_reduces(self, branch: Branch) -> None:
        """Make the partitions of a reducer ready that are not done."""
        reduces = self._reduces_of(branch.vertex)
        for partition in range(branch.partitions):
            if partition not in branch.parts:
                branch.idle.add(partition)
                reduces.append((branch.vertex, partition))

    def give_back(self, chunk_start: int, first: int, count: int) -> None:
        """Make taken siblings without a result ready again."""
        chunk = self._tree.chunks.get(chunk_start)
        if chunk is not None:
            for start, stop in chunk.finished.gaps(first, first + count):
                self.add_range(chunk, start, stop)

    def give_back_reduce(self, target: Target, gather: int) -> None:
        """Make a reduction ready again that was taken, from that gather, and got no result."""
        branch = self._tree.branches.get(target[0])
        if branch is not None and branch.partitions and branch.gathers == gather:
            branch.idle.add(target[1])
            self._reduces_of(target[0]).appendleft(target)

    def release(self, target: Target) -> None:
        """End the back-off of a target, which is now ready."""
        vertex, partition = target
        if partition == MAPPER:
            chunk = self._tree.chunk_of(vertex)
            if chunk is not None:
                self.add_range(chunk, vertex, vertex + 1)
        else:
            self._reduces_of(vertex).append(target)

    def withhold(self, target: Target) -> None:
        """Take back that a reduction is ready."""
        reduces = self._reduces_of(target[0])
        if target in reduces:
            reduces.remove(target)

    def renew(self) -> None:
        """Make everything without a result ready, because nothing is running."""
        self.suspended.clear()
        self.delayed.clear()
        self._chunks.clear()
        self._reduces.clear()
        branches = self._tree.branches.values()
        for branch in branches:
            self.add_reduces(branch)
        mapped = sorted(branch.vertex for branch in branches if branch.complete)
        for chunk in self._tree.chunks.values():
            chunk.ready.clear()
            for start, stop in chunk.finished.gaps(chunk.start, chunk.start + chunk.count):
                self._add_between(chunk, start, stop, mapped)

    def _add_between(self, chunk: Chunk, start: int, stop: int, mapped: list[int]) -> None:
        """Make a range ready, except the vertices in ``mapped`` (ascending)."""
        for position in range(bisect.bisect_left(mapped, start), bisect.bisect_left(mapped, stop)):
            if start < mapped[position]:
                self.add_range(chunk, start, mapped[position])
            start = mapped[position] + 1
        if start < stop:
            self.add_range(chunk, start, stop)

    def discard(self, vertices: Iterable[int]) -> None:
        """Ask these mappers for nothing more; one that is being asked goes with its answer."""
        for vertex in vertices:
            if vertex in self.suspended:
                self.discarded.append((self.suspended.pop(vertex), vertex))

    def hold_back(self, blob: str) -> None:
        """Start nothing that needs a missing blob, whose invocation runs again."""
        self._lost.add(blob)

    def is_held_back(self, blob: str | None) -> bool:
        """Whether nothing is started that needs a blob, since it is made again."""
        return blob in self._lost

    def is_awaited(self, blob: str) -> bool:
        """Whether a missing blob will be replaced, because its invocation runs again already.

        From then on nothing is started that needs the blob.
        """
        branches = self._tree.branches.values()
        if any(chunk.payload.blob == blob for branch in branches for chunk in branch.earlier):
            self.hold_back(blob)
        return blob in self._lost
