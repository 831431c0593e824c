"""The state of one request: what its events add up to. No I/O, no clock, no randomness.

``RequestState.apply`` takes an event and nothing else changes what is true about the request; the
same events give the same state, so a coordinator that starts anew reads the log and goes on.
Beside it the state keeps what is ready to be started. What was started is only in memory: it is
taken with ``take_*`` and given back with ``give_back`` when an executor dies under it; ``Adopted``
makes all of it ready again.

Sizes: children are kept as chunks (up to a thousand siblings each) and ranges, so a million
children are a thousand small objects. A vertex has an object of its own, a ``Branch``, only while
its reducer is still to come.
"""

from __future__ import annotations

import bisect
import heapq
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

from jobx.actors.request.events import (
    Accepted,
    Adopted,
    Cancelled,
    Done,
    Event,
    Failed,
    Finished,
    Mapped,
    Retried,
)
from jobx.actors.request.retry import FIRST, Attempt
from jobx.actors.request.tree import Branch, Chunk, Output
from jobx.model import Failure, Plan, PlanStep
from jobx.payload import Payload

ROOT: Final = 0
#: Partitions of a reduction that is too large for one; fixed, so that results depend on no node.
PARTITIONS: Final = 8

#: What is tried: a mapper (vertex, -1) or one partition of a reducer (vertex, partition).
Target: TypeAlias = tuple[int, int]
MAPPER: Final = -1


class RequestState:
    """What the events of one request add up to."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.partition_bytes = 0
        self.accepted: Accepted | None = None
        self.finished: Finished | None = None
        self.failure: Failure | None = None
        self.cancelled: str | None = None
        self.result: tuple[Payload, ...] | None = None
        self.chunks: dict[int, Chunk] = {}
        self.branches: dict[int, Branch] = {}
        self.attempts: dict[Target, Attempt] = {}
        self.events = 0
        self.next_vertex = 0
        self.mapped_count = 0
        self.finished_count = 0
        self.retried_count = 0
        self.invocation_count = 0
        #: Inline bytes that wait for reducers.
        self.held_bytes = 0
        #: Targets that wait for their back-off, with the seconds; emptied by ``decide``.
        self.delayed: dict[Target, float] = {}
        #: Mappers that have more to yield and are not being asked; filled by the coordinator.
        self.pulls: dict[int, None] = {}
        #: Vertices whose kept mappers are no longer wanted; taken by the coordinator.
        self.discarded: list[int] = []
        self._starts: list[int] = []  # of all chunks ever, ascending
        self._ready: list[tuple[int, int]] = []  # heap of (-depth, chunk): deepest first
        self._reduces: deque[Target] = deque()
        self._lost: set[str] = set()  # blobs that are gone and whose invocations run again

    def apply(self, event: Event) -> None:
        """Take the next event of the log."""
        _APPLY[type(event)](self, event)
        self.events += 1

    # What is asked by the coordinator

    @property
    def is_running(self) -> bool:
        """Whether work may still be started."""
        return self.failure is None and self.cancelled is None and self.result is None

    def step(self, name: str) -> PlanStep:
        """Return a step of the plan, which must have it."""
        return self.plan.steps[name]

    def attempt(self, target: Target) -> Attempt:
        """Return where the tries of a target stand."""
        return self.attempts.get(target, FIRST)

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

    def take_range(self, most: Callable[[Chunk, int], int]) -> tuple[Chunk, int, int] | None:
        """Take siblings that are ready, deepest first; ``most(chunk, first)`` bounds their number.

        Returns the chunk, the first vertex and the count, or None.
        """
        while self._ready:
            chunk = self.chunks.get(self._ready[0][1])
            if chunk is None or not chunk.ready or chunk.payload.blob in self._lost:
                heapq.heappop(self._ready)
                continue
            first, stop = chunk.ready.popleft()
            count = min(stop - first, max(1, most(chunk, first)))
            if first + count < stop:
                chunk.ready.appendleft((first + count, stop))
            return chunk, first, count
        return None

    @property
    def is_at_last_chunk(self) -> bool:
        """Whether nothing is known to follow the siblings that are ready next."""
        return len(self._ready) == 1 and not self.pulls

    def take_reduce(self) -> Target | None:
        """Take a reduction that is ready: (vertex, partition), or None."""
        while self._reduces:
            vertex, partition = self._reduces.popleft()
            branch = self.branches.get(vertex)
            if branch is not None and partition in branch.idle:
                branch.idle.remove(partition)
                return vertex, partition
        return None

    def take_pull(self, window: int, chunk_pairs: int) -> int | None:
        """Take a mapper that has more to yield and room for it in its window, or None."""
        for vertex in self.pulls:
            branch = self.branches[vertex]
            # What an earlier attempt yielded is open already, and may wait for being yielded again.
            if branch.earlier or branch.open + chunk_pairs <= window:
                del self.pulls[vertex]
                return vertex
        return None

    def give_back(self, chunk_start: int, first: int, count: int) -> None:
        """Make siblings ready again that were taken and got no result."""
        chunk = self.chunks.get(chunk_start)
        if chunk is None:
            return
        for start, stop in chunk.finished.gaps(first, first + count):
            self._make_ready(chunk, start, stop)

    def give_back_reduce(self, target: Target, gather: int) -> None:
        """Make a reduction ready again that was taken, from that gather, and got no result."""
        branch = self.branches.get(target[0])
        if branch is not None and branch.partitions and branch.gathers == gather:
            branch.idle.add(target[1])
            self._reduces.appendleft(target)

    def release(self, target: Target) -> None:
        """End the back-off of a target: it is ready."""
        vertex, partition = target
        if partition == MAPPER:
            chunk = self.chunk_of(vertex)
            if chunk is not None:
                self._make_ready(chunk, vertex, vertex + 1)
        else:
            self._reduces.append(target)

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

    def is_awaited(self, blob: str) -> bool:
        """Whether a blob that is gone will be replaced: what left it is to run again already.

        From then on nothing is started that needs the blob.
        """
        if any(chunk.payload.blob == blob for b in self.branches.values() for chunk in b.earlier):
            self._lost.add(blob)
        return blob in self._lost

    # What events do

    def _accepted(self, event: Accepted) -> None:
        self.accepted = event
        self.partition_bytes = event.partition_bytes
        root = Mapped(event.at, ROOT, MAPPER, event.step, ROOT, 1, event.arguments, "")
        self._add_chunk(Chunk(root, depth=0))

    def _mapped(self, event: Mapped) -> None:
        parent_chunk = self.chunks.get(event.chunk)
        if parent_chunk is None:
            return
        branch = self.branches.get(event.parent)
        if branch is not None and branch.earlier and branch.earlier[0].start == event.start:
            branch.chunks.append(self._take_over(branch, event))
            return
        if event.start < self.next_vertex:
            return  # a duplicate
        if branch is None:
            branch = self.branches[event.parent] = Branch(event.parent, parent_chunk)
        self._drop_earlier(branch)
        chunk = Chunk(event, parent_chunk.depth + 1)
        self._add_chunk(chunk)
        branch.open += chunk.count
        branch.chunks.append(chunk)

    def _done(self, event: Done) -> None:
        if event.kind == "reduce":
            self._reduced(event)
            return
        chunk = self.chunks.get(event.chunk)
        if chunk is None or chunk.finished.overlaps(event.first, event.first + event.count):
            return
        combined = self.plan.steps[chunk.step].combiner is not None
        if event.outcome == "reduced":
            self.invocation_count += event.count * (2 + combined)
            self._drop_branches(event.first, event.count)
            self._settle(chunk, event.first, event.count, event.payloads)
            return
        branch = self.branches.get(event.first)
        if branch is None:
            branch = self.branches[event.first] = Branch(event.first, chunk)
        if branch.complete:
            return  # a duplicate
        if event.outcome == "combined":
            self.invocation_count += 1 + combined
            self._keep_output(branch, event.first, Output(1, event.payloads))
        else:
            self.invocation_count += 1
        self._drop_earlier(branch)
        branch.complete = True
        branch.session = event.notes.get(event.first, {}).get("session", {})
        self._gather(branch)

    def _reduced(self, event: Done) -> None:
        branch = self.branches.get(event.first)
        if branch is None or not branch.partitions or event.partition in branch.parts:
            return
        self.invocation_count += 1
        branch.parts[event.partition] = event.payloads
        if len(branch.parts) == branch.partitions:
            parts = [item for p in sorted(branch.parts) for item in branch.parts[p]]
            self._forget(branch)
            self._settle(branch.chunk, branch.vertex, 1, tuple(parts))

    def _retried(self, event: Retried) -> None:
        self.retried_count += event.count
        chunk = self.chunks.get(event.chunk)
        if chunk is None:
            return
        if event.kind == "reduce":
            self._reduce_retried(event)
            return
        if event.failure.kind == "blob":
            self._note_lost(event)
        if chunk.finished.overlaps(event.first, event.first + event.count):
            self._unsettle(chunk, event.first, event.count)
        for vertex in range(event.first, event.first + event.count):
            target = (vertex, MAPPER)
            self.attempts[target] = self.attempt(target).after(event.failure)
            if vertex in self.branches:
                self._restart(self.branches[vertex])
            if event.delay_s:
                self.delayed[target] = event.delay_s
        if not event.delay_s:
            self._make_ready(chunk, event.first, event.first + event.count)

    def _note_lost(self, event: Retried) -> None:
        """Note a blob that is gone when the retried invocations are those that left it."""
        blob = event.failure.input or ""
        if self.producer_of(blob) == (event.chunk, event.first, event.count):
            self._lost.add(blob)

    def _reduce_retried(self, event: Retried) -> None:
        target = (event.first, event.partition)
        self.attempts[target] = self.attempt(target).after(event.failure)
        branch = self.branches.get(event.first)
        if branch is None or not branch.partitions:
            return
        branch.idle.add(event.partition)
        if event.delay_s:
            self.delayed[target] = event.delay_s
        else:
            self._reduces.append(target)

    def _failed(self, event: Failed) -> None:
        if self.failure is None:
            self.failure = event.failure

    def _cancelled(self, event: Cancelled) -> None:
        self.cancelled = event.reason

    def _adopted(self, event: Adopted) -> None:
        """Make ready whatever has no result: nothing is at work any more."""
        self.pulls.clear()
        self.delayed.clear()
        self._ready.clear()
        self._reduces.clear()
        for branch in self.branches.values():
            if not branch.complete:
                self._restart(branch)
                target = (branch.vertex, MAPPER)
                lost = Failure(kind="lost", type="NodeRestarted", message="the node was restarted")
                self.attempts[target] = self.attempt(target).after(lost)
            elif branch.partitions:
                self._queue_reduces(branch)
        mapped = sorted(v for v, branch in self.branches.items() if branch.complete)
        for chunk in self.chunks.values():
            chunk.ready.clear()
            for start, stop in chunk.finished.gaps(chunk.start, chunk.start + chunk.count):
                self._make_ready_between(chunk, start, stop, mapped)

    def _finished(self, event: Finished) -> None:
        self.finished = event
        self.failure = event.failure

    # How

    def _add_chunk(self, chunk: Chunk) -> None:
        self.chunks[chunk.start] = chunk
        self._starts.append(chunk.start)
        self.next_vertex = max(self.next_vertex, chunk.start + chunk.count)
        self.mapped_count += chunk.count
        heapq.heappush(self._ready, (-chunk.depth, chunk.start))

    def _make_ready(self, chunk: Chunk, start: int, stop: int) -> None:
        chunk.ready.append((start, stop))
        heapq.heappush(self._ready, (-chunk.depth, chunk.start))

    def _make_ready_between(self, chunk: Chunk, start: int, stop: int, mapped: list[int]) -> None:
        """Make a range ready but for the vertices in ``mapped`` (ascending)."""
        for position in range(bisect.bisect_left(mapped, start), bisect.bisect_left(mapped, stop)):
            if start < mapped[position]:
                self._make_ready(chunk, start, mapped[position])
            start = mapped[position] + 1
        if start < stop:
            self._make_ready(chunk, start, stop)

    def _take_over(self, branch: Branch, event: Mapped) -> Chunk:
        """Return the chunk of an earlier attempt that is yielded again, with all done for it."""
        chunk = branch.earlier.popleft()
        chunk.payload = event.payload
        if chunk.ready:  # it may have waited for the payload
            heapq.heappush(self._ready, (-chunk.depth, chunk.start))
        return chunk

    def _settle(self, chunk: Chunk, first: int, count: int, payloads: tuple[Payload, ...]) -> None:
        """Give siblings their final result, and their parent what they left."""
        chunk.finished.add(first, first + count)
        self.finished_count += count
        if chunk.parent == MAPPER:
            self.result = payloads
            return
        parent = self.branches[chunk.parent]
        if any(item.count for item in payloads):
            self._keep_output(parent, first, Output(count, payloads))
        parent.open -= count
        self._gather(parent)

    def _unsettle(self, chunk: Chunk, first: int, count: int) -> None:
        """Take a final result back whose blob is gone."""
        chunk.finished.remove(first, first + count)
        self.finished_count -= count
        parent = self.branches[chunk.parent]
        self._drop_output(parent, first)
        parent.open += count
        parent.ungather()

    def _keep_output(self, branch: Branch, first: int, output: Output) -> None:
        branch.outputs[first] = output
        self.held_bytes += output.inline_bytes

    def _drop_output(self, branch: Branch, first: int) -> None:
        output = branch.outputs.pop(first, None)
        if output is not None:
            self.held_bytes -= output.inline_bytes

    def _gather(self, branch: Branch) -> None:
        """Make the reducer of a branch ready once nothing of its input is missing."""
        if not branch.complete or branch.open or branch.partitions:
            return
        size = sum(item.size_bytes for out in branch.outputs.values() for item in out.payloads)
        large = size > self.partition_bytes and self.step(branch.step).reducer.per_key
        branch.partitions = PARTITIONS if large else 1
        branch.gathers += 1
        self._queue_reduces(branch)

    def _queue_reduces(self, branch: Branch) -> None:
        for partition in range(branch.partitions):
            if partition not in branch.parts:
                branch.idle.add(partition)
                self._reduces.append((branch.vertex, partition))

    def _restart(self, branch: Branch) -> None:
        """Begin a new attempt of a mapper, keeping its children for when it yields them again."""
        branch.earlier = deque([*branch.chunks, *branch.earlier])
        branch.chunks = []
        branch.complete = False
        branch.ungather()
        branch.session = {}
        self._drop_output(branch, branch.vertex)
        self.pulls.pop(branch.vertex, None)

    def _drop_earlier(self, branch: Branch) -> None:
        """Drop the children that the current attempt did not yield again."""
        for chunk in branch.earlier:
            branch.open -= chunk.count - chunk.finished.size
            for vertex in range(chunk.start, chunk.start + chunk.count):
                self._drop_output(branch, vertex)
        self._drop_chunks(branch.earlier)
        branch.earlier = deque()

    def _drop_chunks(self, chunks: Iterable[Chunk]) -> None:
        """Drop chunks and all below them."""
        waiting = list(chunks)
        while waiting:  # a loop, since a tree may be deeper than the stack
            chunk = waiting.pop()
            del self.chunks[chunk.start]
            self.mapped_count -= chunk.count
            self.finished_count -= chunk.finished.size
            for vertex in range(chunk.start, chunk.start + chunk.count):
                if vertex in self.branches:
                    waiting += self._drop_branch(vertex)

    def _drop_branches(self, first: int, count: int) -> None:
        """Drop what vertices mapped in earlier attempts, now that they returned."""
        if self.attempts:
            for vertex in range(first, first + count):
                if vertex in self.branches:
                    self._drop_chunks(self._drop_branch(vertex))

    def _drop_branch(self, vertex: int) -> list[Chunk]:
        """Drop a branch and return the chunks below it."""
        branch = self.branches.pop(vertex)
        self.pulls.pop(vertex, None)
        self.discarded.append(vertex)
        self.held_bytes -= branch.inline_bytes
        return [*branch.chunks, *branch.earlier]

    def _forget(self, branch: Branch) -> None:
        """Remove a reduced branch; its children's results are in its own now."""
        del self.branches[branch.vertex]
        self.held_bytes -= branch.inline_bytes
        for chunk in branch.chunks:
            del self.chunks[chunk.start]


_APPLY: Final[dict[type[Event], Callable[[RequestState, Any], None]]] = {
    Accepted: RequestState._accepted,
    Mapped: RequestState._mapped,
    Done: RequestState._done,
    Retried: RequestState._retried,
    Failed: RequestState._failed,
    Cancelled: RequestState._cancelled,
    Adopted: RequestState._adopted,
    Finished: RequestState._finished,
}
