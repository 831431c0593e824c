"""Executors of a simulation: they do what the world says, late, twice, or not at all."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from msgspec import structs
from thespian.actors import ActorAddress

from jobx import values
from jobx.actors.messages import Lost, Pull, Ran, RequestKey, Run, SuspendedLost, TakenBack
from jobx.actors.request.standing import Busy, Whereabouts
from jobx.actors.runtime.system import LoopSystemBase
from jobx.model import Failure
from jobx.payload import Payload
from jobx.work import MapWork, ReduceWork
from tests.simulation.world import World, chunk, items, run_of
from tests.support import frames
from tests.support.virtual_time import VirtualScheduler

CRASH = Failure(kind="crash", type="ExecutorCrashed", message="simulated")
GONE = Failure(kind="lost", type="ExecutorLost", message="simulated")
AUTHOR = {"kind": "author", "type": "ValueError", "message": "simulated"}
#: Pairs of one chunk: few, so that mappers are kept and asked for more.
CHUNK_PAIRS = 2


@dataclass
class Faults:
    """How often things go wrong, as probabilities."""

    crash: float = 0.0
    author: float = 0.0
    #: A combiner or reducer raises, in the trip of its mapper or alone.
    later: float = 0.0
    duplicate: float = 0.0
    #: An executor leaves the rest of its batch.
    unstarted: float = 0.0
    #: The end of a batch is taken back while the rest goes on.
    taken_back: float = 0.0
    #: A blob is gone when it is read.
    blob: float = 0.0


@dataclass
class SimulatedExecutors:
    """Runs work frames in virtual time.

    Attributes:
        pace_s: How long work lasts at most.
        kept: What kept mappers have not yielded yet: step and pairs.
        blobs: Large values by name; shared with the nodes that come after, but for losses.
        offered: What they can do of work of this node; None: all.
        foreign: Work that waits for other nodes, with its owners.
    """

    world: World
    rng: random.Random
    scheduler: VirtualScheduler
    faults: Faults
    blobs: dict[str, bytes]
    base: LoopSystemBase | None = None
    slots: int = 2
    pace_s: float = 0.5
    offered: frozenset[str] | None = None
    foreign: list[tuple[Run, ActorAddress]] = field(default_factory=list)
    is_dead: bool = False
    executed: int = 0
    kept: dict[tuple[RequestKey, int], tuple[ActorAddress, str, list[Any]]] = field(
        default_factory=dict
    )
    abandoned: list[ActorAddress] = field(default_factory=list)

    def run(self, run: Run, owner: ActorAddress) -> None:
        if self.offered is not None and not self.offered.issuperset(run.requires):
            self.foreign.append((run, owner))
            return
        self._later(lambda: self._begin(run, owner))

    def pull(self, pull: Pull, owner: ActorAddress) -> None:
        self._later(lambda: self._pull(pull, owner))

    def discard(self, key: RequestKey, vertex: int, owner: ActorAddress) -> None:
        entry = self.kept.get((key, vertex))
        if entry is not None and entry[0] == owner:
            del self.kept[key, vertex]

    def abandon(self, key: RequestKey, owner: ActorAddress) -> None:
        self.abandoned.append(owner)
        self.foreign = [one for one in self.foreign if one[1] != owner]
        for kept in [k for k, entry in self.kept.items() if entry[0] == owner]:
            del self.kept[kept]

    def give_away(self, may_leave: Callable[[Run], bool]) -> None:
        """Let owners create foreign work anew that may leave."""
        leaving = [one for one in self.foreign if may_leave(one[0])]
        self.foreign = [one for one in self.foreign if one not in leaving]
        for run, owner in leaving:
            self._deliver(owner, Lost(run.ticket, None, GONE))

    def places(self, _owners: Any) -> dict[tuple[ActorAddress, int], Whereabouts]:
        return {}

    def busy(self) -> dict[RequestKey, Busy]:
        return {}

    def _later(self, call: Any) -> None:
        delay_s = self.rng.choice((0.0, 0.001, 0.01, self.pace_s))
        self.scheduler.call_later(delay_s, lambda: None if self.is_dead else call())

    def _deliver(self, owner: ActorAddress, message: object) -> None:
        assert self.base is not None
        self.base.deliver(owner, message)
        if isinstance(message, Ran) and self.rng.random() < self.faults.duplicate:
            self.base.deliver(owner, message)

    def _begin(self, run: Run, owner: ActorAddress) -> None:
        work = run.work
        count = len(work.vertices)
        if (
            isinstance(work, ReduceWork)
            or count == 1
            or self.rng.random() >= self.faults.taken_back
        ):
            self._run(run, owner)
            return
        left = self.rng.randrange(1, count)
        self._deliver(owner, TakenBack(run.ticket, work.first + left))
        rest = structs.replace(run, work=structs.replace(work, count=left))
        self._later(lambda: self._run(rest, owner))

    def _run(self, run: Run, owner: ActorAddress) -> None:
        if owner in self.abandoned:
            return
        if self.rng.random() < self.faults.crash:
            self._crash(run, owner)
            return
        work = run.work
        is_map = isinstance(work, MapWork)
        segments = self._map(run.key, work, owner) if is_map else [self._reduce(work)]
        self._deliver(owner, Ran(run.ticket, frames.read(segments), "sim"))

    def _crash(self, run: Run | Pull, owner: ActorAddress) -> None:
        """Die at a random place of the work, or before it, and with some kept mappers."""
        vertices = run.work.vertices
        vertex = vertices.start + self.rng.randrange(len(vertices))
        culprit = self.rng.choice((None, vertex))
        self._deliver(owner, Lost(run.ticket, culprit, CRASH))
        for key in list(self.kept):
            if self.rng.random() < 0.5 and not (isinstance(run, Pull) and key[1] == culprit):
                self.lose(key)

    def lose(self, key: tuple[RequestKey, int]) -> None:
        """Lose a suspended mapper with its executor."""
        owner, *_ = self.kept.pop(key)
        self._deliver(owner, SuspendedLost((key[1],), GONE))

    def _map(self, key: RequestKey, work: MapWork, owner: ActorAddress) -> list[list[Any]]:
        body = self._items(work)
        if body is None:
            assert work.blob is not None
            return [_blob_lost(vertex, work.blob.name) for vertex in work.vertices]
        segments = []
        batch = work.vertices
        for vertex, item in zip(batch, items(body), strict=False):
            if self.rng.random() < self.faults.unstarted:
                segments.append(["unstarted", vertex, batch.stop - vertex])
                break
            self.executed += 1
            attempt = work.attempts.get(vertex, 1)
            if attempt == 1 and self.rng.random() < self.faults.author:
                segments.append(["failed", vertex, AUTHOR, 1, {}])
                continue
            value = dict(item)["seed"] if work.root else item[1]
            step, pairs = self.world.outcome(value)
            if step is None:
                segments += self._trip(work, vertex, pairs)
            else:
                segments.append(self._mapped(key, owner, vertex, step, pairs))
        return segments

    def _trip(self, work: MapWork, vertex: int, pairs: list[Any]) -> list[list[Any]]:
        """Combine and reduce what a mapper returned, unless one of both raises at its first try."""
        failed = ["failed", vertex, AUTHOR, 1, {}]
        if self._raises(work, vertex, "combiner"):
            return [[*failed, "combiner"]]
        if self._raises(work, vertex, "reducer"):
            kept = self._returned(work, vertex, pairs, is_reduced=False)
            return [kept, [*failed, "reducer"]]
        return [self._returned(work, vertex, pairs)]

    def _raises(self, work: MapWork, vertex: int, stage: str) -> bool:
        attempt = work.later_attempts.get(stage, {}).get(vertex, 1)
        return attempt == 1 and self.rng.random() < self.faults.later

    def _returned(
        self, work: MapWork, vertex: int, pairs: list[Any], *, is_reduced: bool = True
    ) -> list[Any]:
        totals: dict[str, int] = defaultdict(int)
        for key, value in pairs:
            totals[key] += value
        body = run_of({key: [total] for key, total in totals.items()})
        payload = self._payload(len(totals), body, work.sync)
        notes = {vertex: {"output": "seen"}} if pairs else {}
        return ["returned", vertex, 1, [payload.to_wire()], is_reduced, b"\0" * 12, notes]

    def _mapped(
        self, key: RequestKey, owner: ActorAddress, vertex: int, step: str, pairs: list[Any]
    ) -> list[Any]:
        now, later = pairs[:CHUNK_PAIRS], pairs[CHUNK_PAIRS:]
        self.kept.pop((key, vertex), None)
        if later:
            self.kept[key, vertex] = (owner, step, later)
        payload, digest = chunk(now)
        if now and self.rng.random() < 0.3:
            assert payload.inline is not None
            name = self._write(payload.inline)
            payload = structs.replace(payload, inline=None, blob=name)
        return ["mapped", vertex, step, payload.to_wire(), digest, bool(later), 1, {}]

    def _pull(self, pull: Pull, owner: ActorAddress) -> None:
        if self.rng.random() < self.faults.crash:
            self.kept.pop((pull.key, pull.work.vertex), None)
            self._crash(pull, owner)
            return
        segments: list[Any] = []
        for _ in range(self.rng.randint(1, pull.work.chunks)):
            entry = self.kept.get((pull.key, pull.work.vertex))
            if entry is not None and entry[0] == owner:
                found = self._mapped(pull.key, owner, pull.work.vertex, entry[1], entry[2])
                segments.append(found)
        if not segments:
            failure = {"kind": "lost", "type": "MapperLost", "message": "simulated"}
            segments = [["failed", pull.work.vertex, failure, 1, {}]]
        self._deliver(owner, Ran(pull.ticket, frames.read(segments), "sim"))

    def _reduce(self, work: ReduceWork) -> list[Any]:
        if work.attempt == 1 and self.rng.random() < self.faults.later:
            return ["failed", work.vertex, AUTHOR, 1, {}]
        totals: dict[str, int] = defaultdict(int)
        for wire in work.inputs:
            payload = Payload.from_wire(wire)
            body = payload.inline if payload.blob is None else self._read(payload.blob)
            if body is None:
                return _blob_lost(work.vertex, payload.blob)
            for key, numbers in items(body):
                totals[key] += sum(numbers)
        body = run_of({key: [total] for key, total in totals.items()})
        payload = self._payload(len(totals), body, work.sync)
        return ["reduced", work.vertex, work.partition, [payload.to_wire()], 1, {}]

    def _payload(self, count: int, body: bytes, is_synced: bool) -> Payload:
        if is_synced or not count or self.rng.random() > 0.3:
            return Payload(count, len(body), body)
        return Payload(count, len(body), None, self._write(body))

    def _items(self, work: MapWork) -> bytes | None:
        """Return the items of a batch, None when the blob that holds them is gone."""
        if work.blob is None:
            return work.pairs
        body = self._read(work.blob.name)
        return None if body is None else body[work.blob.start : work.blob.stop]

    def _write(self, body: bytes) -> str:
        name = f"b{self.rng.randrange(1 << 60):x}"
        self.blobs[name] = body
        return name

    def _read(self, name: str) -> bytes | None:
        if self.rng.random() < self.faults.blob:
            self.blobs.pop(name, None)
        return self.blobs.get(name)


def _blob_lost(vertex: int, name: str | None) -> list[Any]:
    failure = {"kind": "blob", "type": "BlobDamaged", "message": "it is missing", "input": name}
    return ["failed", vertex, failure, 1, {}]


def unpack_result(payloads: tuple[Payload, ...]) -> dict[str, int]:
    """Return the pairs of a result."""
    result: dict[str, int] = {}
    for payload in payloads:
        stream = values.unpacker(max_bytes=1 << 20)
        stream.feed(payload.inline or b"")
        for key, numbers in stream:
            result[key] = sum(numbers)
    return result
