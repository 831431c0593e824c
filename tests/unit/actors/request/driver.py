"""Runs a made-up request over the pure state, in any order and with any luck.

A node of the tree is a number (a mapper that returns data) or a tuple of nodes (one that maps on).
What comes out says which reducer saw what and in which order: ``(2(4)6)``.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import TypeAlias

from hypothesis import strategies as st

from jobx.actors.request.branches import MAPPER, ROOT, Chunk, Target
from jobx.actors.request.decisions import (
    Dispatch,
    Finish,
    Pace,
    PullMapper,
    RunMappers,
    RunReducer,
    Wait,
    chunk_of,
    decide,
)
from jobx.actors.request.events import (
    Accepted,
    Adopted,
    Done,
    Event,
    Finished,
    Kind,
    Mapped,
    Retried,
)
from jobx.actors.request.state import RequestState
from jobx.model import Failure, HandlerRef, Plan, PlanStep
from jobx.payload import Payload, pack_offsets

Node: TypeAlias = "int | tuple[Node, ...]"

NEVER = 1 << 60
REF = HandlerRef(handler_name="h", version="v", per_key=True)
PLAN = Plan(steps={"s": PlanStep(mapper=REF, reducer=REF)})
ADOPTED = Adopted(0.0, "node", 2)
AUTHOR = Failure(kind="author", type="ValueError", message="")
CRASH = Failure(kind="crash", type="Crash", message="")
KEEPER = "who keeps it"
COMBINED = Plan(steps={"s": PlanStep(mapper=REF, combiner=REF, reducer=REF)})
LOST = Failure(kind="lost", type="Lost", message="")

trees: st.SearchStrategy[Node] = st.recursive(
    st.integers(0, 9), lambda inner: st.lists(inner, max_size=4).map(tuple), max_leaves=20
)


def inline(body: bytes) -> Payload:
    """Return an output of one pair, or of none when there is no body, in one section."""
    return Payload(int(bool(body)), len(body), body, sections=(len(body),))


def items(count: int, size_bytes: int = 1) -> Payload:
    """Return a chunk of items of a size."""
    ends = [size_bytes * n for n in range(1, count + 1)]
    return Payload(count, size_bytes * count, b"." * ends[-1], offsets=pack_offsets(ends))


def accepted(state: RequestState, partition_bytes: int = NEVER) -> None:
    """Begin the request."""
    state.apply(Accepted(0.0, "j", "s", "p", items(1), 60.0, partition_bytes))


def mapped(parent: int, start: int, count: int, *, chunk: int = ROOT, digest: str = "") -> Mapped:
    return Mapped(0.0, chunk, parent, "s", start, count, items(count), digest)


def done(
    chunk: int, first: int, count: int = 1, outcome: str = "reduced", body: bytes = b""
) -> Done:
    return Done(0.0, "map", chunk, first, count, outcome, (inline(body),) if body else ())


def reduced(chunk: int, vertex: int, partition: int = 0, body: bytes = b"r") -> Done:
    return Done(0.0, "reduce", chunk, vertex, 1, "reduced", (inline(body),), partition)


def retried(
    chunk: int,
    first: int,
    count: int = 1,
    *,
    failure: Failure = LOST,
    delay_s: float = 0.0,
    kind: Kind = "map",
    partition: int = 0,
) -> Retried:
    return Retried(0.0, kind, chunk, first, count, 2, delay_s, failure, partition)


def size(node: Node) -> int:
    """Return the number of mappers of a tree."""
    return 1 + (sum(map(size, node)) if isinstance(node, tuple) else 0)


def expected(node: Node) -> bytes:
    """Return what must come out of a tree: an odd number is reduced by itself, 0 is nothing."""
    if isinstance(node, tuple):
        return b"(%b)" % b"".join(map(expected, node))
    if not node:
        return b""
    return b"(%d)" % node if node % 2 else b"%d" % node


class Driver:
    """A coordinator with its executors in one thread; ``luck`` chooses what ends next and how."""

    def __init__(
        self, tree: Node, luck: random.Random, *, faults: float = 0.0, partition_bytes: int = NEVER
    ) -> None:
        self.luck = luck
        self.faults = faults
        self.log: list[Event] = []
        self.nodes: dict[int, Node] = {ROOT: tree}
        self.blobs: dict[str, bytes] = {}
        self._clear()
        self.apply(Accepted(0.0, "j", "s", "p", items(1), 60.0, partition_bytes))

    def _clear(self) -> None:
        self.state = RequestState(PLAN)
        self.pace = Pace()
        self.at_work: list[Dispatch] = []
        self.waiting: list[Target] = []
        self.rest: dict[int, list[Node]] = {}
        self.window = self.luck.choice((1000, 3000))

    def apply(self, event: Event) -> None:
        self.log.append(event)
        self.state.apply(event)

    def run(self) -> bytes:
        """Run until the request has finished, and return its result."""
        while self.state.finished is None:
            self.turn()
        return b"".join(item.inline or b"" for item in self.state.finished.result)

    def crash(self, kept_events: int) -> None:
        """Lose all but the beginning of the log, and take the request up again."""
        kept, self.log = self.log[:kept_events], []
        self._clear()
        for event in kept:
            self.apply(event)
        self.apply(Adopted(0.0, "n", 2))

    def turn(self) -> None:
        """Start what may be started, then end one thing."""
        for decision in decide(self.state, self.pace, room=4, slots=2, window=self.window):
            if isinstance(decision, Finish):
                self.apply(Finished(0.0, decision.state, decision.failure, decision.result))
                return
            if isinstance(decision, Wait):
                self.waiting.append(decision.target)
            else:
                self.at_work.append(decision)
        self.at_work = [work for work in self.at_work if chunk_of(self.state, work)]
        self._check_nothing_is_at_work_twice()
        if self.waiting and (not self.at_work or self.luck.random() < 0.3):
            self.state.ready.release(self.waiting.pop(self.luck.randrange(len(self.waiting))))
            return
        assert self.at_work, "nothing is at work, and nothing follows"
        work = self.at_work.pop(self.luck.randrange(len(self.at_work)))
        if self.luck.random() < self.faults:
            self._go_wrong(work)
        else:
            self._end(work)

    def _check_nothing_is_at_work_twice(self) -> None:
        counted: Counter[object] = Counter()
        for work in self.at_work:
            if isinstance(work, RunMappers):
                counted.update(range(work.first, work.first + work.count))
            elif isinstance(work, RunReducer):
                counted[work.vertex, work.partition] += 1
            else:
                counted[work.vertex] += 1
        assert not counted or max(counted.values()) == 1

    def _end(self, work: Dispatch) -> None:
        if isinstance(work, PullMapper):
            for number in range(self.luck.randint(1, work.chunks)):
                if number == 0 or self.rest[work.vertex]:
                    self._yield_chunk(chunk_of(self.state, work), work.vertex)
        elif isinstance(work, RunReducer):
            self._reduce(work)
        elif self._lacks(work.chunk.payload):
            for vertex in range(work.first, work.first + work.count):
                self._blob_failed(work, vertex, work.chunk.payload.blob or "")
        else:
            self._map(work)

    def _map(self, work: RunMappers) -> None:
        start, body = work.first, b""
        for vertex in range(work.first, work.first + work.count):
            node = self.nodes[vertex]
            if not isinstance(node, tuple) and node % 2 == 0:
                body += expected(node)
                continue
            self._returned(work.chunk, start, vertex, body)
            start, body = vertex + 1, b""
            if isinstance(node, tuple):
                self.rest[vertex] = list(node)
                self._yield_chunk(work.chunk, vertex)
            else:
                output = self._payload(b"%d" % node)
                self.apply(Done(0.0, "map", work.chunk.start, vertex, 1, "combined", (output,)))
        self._returned(work.chunk, start, work.first + work.count, body)

    def _returned(self, chunk: Chunk, start: int, stop: int, body: bytes) -> None:
        if start < stop:
            outputs = (self._payload(body) if start != ROOT else inline(body),)
            self.apply(Done(0.0, "map", chunk.start, start, stop - start, "reduced", outputs))

    def _yield_chunk(self, chunk: Chunk | None, vertex: int) -> None:
        assert chunk is not None
        taken = self.rest[vertex][: self.luck.randint(1, 3)]
        del self.rest[vertex][: len(taken)]
        if taken:
            digest = repr(taken)
            start = self.state.tree.place(vertex, "s", len(taken), digest)
            self.nodes.update(enumerate(taken, start))
            payload = self._stored(items(len(taken)))
            self.apply(Mapped(0.0, chunk.start, vertex, "s", start, len(taken), payload, digest))
        if self.rest[vertex]:
            self.state.ready.suspended[vertex] = None
        else:
            self.apply(Done(0.0, "map", chunk.start, vertex, 1, "mapped"))

    def _reduce(self, work: RunReducer) -> None:
        for payload in work.inputs:
            if self._lacks(payload):
                self._blob_failed(work, work.vertex, payload.blob or "")
                return
        bodies = (self.blobs[p.blob] if p.blob else p.inline or b"" for p in work.inputs)
        body = b"(%b)" % b"".join(bodies) if work.partition == 0 else b""
        chunk = self.state.tree.branches[work.vertex].chunk.start
        output = self._payload(body) if work.vertex != ROOT else inline(body)
        done_event = Done(
            0.0, "reduce", chunk, work.vertex, 1, "reduced", (output,), work.partition
        )
        self.apply(done_event)

    def _payload(self, body: bytes) -> Payload:
        return self._stored(inline(body)) if body else inline(body)

    def _stored(self, payload: Payload) -> Payload:
        """Put a payload into a blob, now and then."""
        if not self.faults or self.luck.random() < 0.5:
            return payload
        name = f"b{self.luck.randrange(1 << 60)}"
        self.blobs[name] = payload.inline or b""
        return Payload(payload.count, payload.size_bytes, None, name, offsets=payload.offsets)

    def _lacks(self, payload: Payload) -> bool:
        return payload.blob is not None and payload.blob not in self.blobs

    def _go_wrong(self, work: Dispatch) -> None:
        if self.blobs and self.luck.random() < 0.5:
            del self.blobs[self.luck.choice(sorted(self.blobs))]
            self._end(work)
            return
        delay_s = self.luck.choice((0.0, 1.0))
        if isinstance(work, RunMappers):
            culprit = self.luck.randrange(work.first, work.first + work.count)
            stop = work.first + work.count
            self.state.ready.give_back(work.chunk.start, work.first, culprit - work.first)
            self.state.ready.give_back(work.chunk.start, culprit + 1, stop - culprit - 1)
            self.apply(retried(work.chunk.start, culprit, delay_s=delay_s))
        elif isinstance(work, PullMapper):
            self.apply(retried(self.state.tree.branches[work.vertex].chunk.start, work.vertex))
        elif self.luck.random() < 0.5:
            self.state.ready.give_back_reduce((work.vertex, work.partition), work.gather)
        else:
            self.apply(
                retried(
                    self.state.tree.branches[work.vertex].chunk.start,
                    work.vertex,
                    delay_s=delay_s,
                    kind="reduce",
                    partition=work.partition,
                )
            )

    def _blob_failed(self, work: Dispatch, vertex: int, blob: str) -> None:
        if not self.state.ready.is_awaited(blob):
            found = self.state.tree.producer_of(blob)
            assert found is not None, "nobody left the blob"
            failure = Failure(kind="blob", type="BlobDamaged", message="", input=blob)
            self.apply(retried(*found, failure=failure))
        if isinstance(work, RunMappers):
            self.state.ready.give_back(work.chunk.start, vertex, 1)


def attempts_of(state: RequestState, vertex: int) -> int:
    """Return the number of a mapper's current attempt."""
    return state.attempt((vertex, MAPPER)).number


def take(state: RequestState, most: int = 1000) -> tuple[int, int, int] | None:
    """Take a batch: its chunk, its first vertex and its size."""
    taken = state.ready.take_range(lambda _chunk, _first, _stop: most)
    return (taken[0].start, taken[1], taken[2]) if taken else None


def take_all(state: RequestState) -> list[int]:
    """Take all that is ready, vertex by vertex."""
    found = []
    while (taken := take(state)) is not None:
        found.extend(range(taken[1], taken[1] + taken[2]))
    return found


def delays(state: RequestState) -> dict[Target, float]:
    return {target: delay_s for target, (delay_s, *_) in state.ready.delayed.items()}


def blob_failure(blob: str) -> Failure:
    return Failure(kind="blob", type="BlobDamaged", message="", input=blob)


def in_blob(blob: str, count: int = 1) -> Payload:
    return Payload(count, 10, None, blob, offsets=items(count).offsets)
