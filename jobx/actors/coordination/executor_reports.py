"""Turning an executor's answers into events: segments and failures."""

from __future__ import annotations

import array
from typing import Final, TypeAlias

from thespian.actors import ActorAddress

from jobx.actors.coordination import attempt_failures, request_limits
from jobx.actors.coordination.journal import Journal
from jobx.actors.executor_failures import KEEPER_GONE, unread
from jobx.actors.messages import Lost
from jobx.actors.ports import Services
from jobx.actors.request.branches import MAPPER, Chunk
from jobx.actors.request.decisions import Dispatch, Pace, RunMappers, RunReducer, chunk_of
from jobx.actors.request.events import Done, Failed, Kind, Mapped, Notes, Retried
from jobx.actors.request.retry import next_delay_s
from jobx.actors.request.spans import Span
from jobx.actors.request.state import RequestState
from jobx.errors import InvalidInput
from jobx.model import Failure, Retry
from jobx.payload import Payload, StageData, unpack_offsets
from jobx.segments import (
    FailedRun,
    MappedChunk,
    Reduced,
    Returned,
    Segment,
    Unstarted,
    read_notes,
)

#: The node where a segment comes from, empty if it is the coordinator's, its span, and what the
#: stages of its batch yielded: the last fields of an event.
Where: TypeAlias = tuple[str, Span | None, StageData | None]
HERE: Final[Where] = ("", None, None)
NOTHING: Final[tuple[Notes, Where]] = ({}, HERE)


class ExecutorReports:
    """Turns answers of executors into events of one request."""

    def __init__(self, journal: Journal, state: RequestState, pace: Pace, node: Services) -> None:
        self._journal = journal
        self._state = state
        self._plan = state.plan
        self._pace = pace
        self._node = node
        self._limits = node.settings.requests
        self._metrics = node.metrics

    def take(
        self, work: Dispatch, actor: ActorAddress, segment: Segment, where: Where = HERE
    ) -> None:
        """Take one segment of an answer, and where and when it came about."""
        if isinstance(segment, Unstarted):
            self.give_back(work, segment.vertex, segment.vertex + segment.count)
            return
        try:
            notes = read_notes(segment.notes)
        except InvalidInput as error:
            self.attempt_failed(work, segment.vertex, unread(str(error)))
            count = segment.count if isinstance(segment, Returned) else 1
            self.give_back(work, segment.vertex + 1, segment.vertex + count)
            return
        left = notes, where
        excess = request_limits.excess(self._limits, self._state.passed_bytes)
        if isinstance(segment, FailedRun):
            self._ended(actor, segment.vertex)
            self.attempt_failed(work, segment.vertex, segment.failure, left, segment.stage)
        elif excess is not None:
            self.attempt_failed(work, segment.vertex, excess, left)
        elif isinstance(segment, Returned):
            self._returned(work, segment, notes, where)
        elif isinstance(segment, MappedChunk):
            self._mapped(work, actor, segment, notes, where)
        elif isinstance(segment, Reduced):
            self._reduced(work, segment, notes, where)

    def _ended(self, actor: ActorAddress, vertex: int) -> None:
        """Ask a mapper for nothing more that an earlier segment of its answer left suspended."""
        if self._state.ready.suspended.get(vertex) == actor:
            del self._state.ready.suspended[vertex]

    def give_back(self, work: Dispatch, start: int, stop: int) -> None:
        """Make invocations of a batch that got no result ready again."""
        if isinstance(work, RunMappers) and start < stop:
            self._state.ready.give_back(work.chunk.start, start, stop - start)

    def lose(self, work: Dispatch, lost: Lost) -> None:
        """Handle work that was lost: its executor died or gave it up."""
        culprit = lost.culprit
        if isinstance(work, RunMappers):
            stop = work.first + work.count
            self.give_back(work, work.first, stop if culprit is None else culprit)
            if culprit is not None:
                self.give_back(work, culprit + 1, stop)
        elif isinstance(work, RunReducer) and culprit is None:
            self._state.ready.give_back_reduce((work.vertex, work.partition), work.gather)
        elif culprit is None:  # the suspended mapper was lost with its executor
            self.attempt_failed(work, first_vertex(work), KEEPER_GONE)
        if culprit is not None:
            self.attempt_failed(work, culprit, lost.failure, stage=lost.stage)

    def attempt_failed(
        self,
        work: Dispatch,
        vertex: int,
        failure: Failure,
        left: tuple[Notes, Where] = NOTHING,
        stage: str = "mapper",
    ) -> None:
        """Try an invocation again, or let its failure end the request.

        ``left`` is what it left, and where it ran. ``stage`` is the stage of a mapper's trip that
        failed: mapper, combiner or reducer.
        """
        chunk = chunk_of(self._state, work)
        if chunk is None:
            return
        notes, where = left
        if failure.kind == "blob" and self._is_made_again(failure):
            self.give_back(work, vertex, vertex + 1)
            return
        kind, target = attempt_failures.tried(work, vertex, stage)
        ref = attempt_failures.handler(self._plan.steps[chunk.step], kind)
        attempt = self._state.attempt(target)
        failure = attempt_failures.complete(
            failure, chunk, ref, kind, vertex, attempt=attempt.number
        )
        now = self._journal.now_at()
        delay_s = next_delay_s(ref.retry, failure, attempt, self._limits.lost_attempts)
        names = self._journal.key.workflow, chunk.step, kind
        self._metrics.unsuccessful(*names, is_retried=delay_s is not None)
        if delay_s is None:
            place = kind, chunk.start, vertex, attempt.number
            failed = Failed(now, *place, failure, notes, *where)
            self._journal.append(failed, urgent=True)
        else:
            number, partition = attempt.number + 1, max(target[1], 0)
            why = delay_s, failure, partition, attempt_failures.outputs(notes), *where
            self._journal.append(Retried(now, kind, chunk.start, vertex, 1, number, *why))

    def _returned(self, work: Dispatch, segment: Returned, notes: Notes, where: Where) -> None:
        chunk = chunk_of(self._state, work)
        if chunk is None:
            return
        first, count, durations = segment.vertex, segment.count, segment.durations
        if chunk.finished.overlaps(first, first + count):  # counts as a whole or not at all
            self.give_back(work, first, first + count)
            return
        spent_us = unpack_offsets(durations)
        self._pace.record(chunk.step, count, sum(spent_us) / 1e6)
        kinds = _KINDS[self._plan.steps[chunk.step].combiner is not None, segment.reduced]
        self._metrics.returned(self._journal.key.workflow, chunk.step, kinds, count, spent_us)
        now = self._journal.now_at()
        self._count_wait(chunk, first, count, where[1], now)
        self._journal.append(
            Done(
                now,
                "map",
                chunk.start,
                first,
                count,
                "reduced" if segment.reduced else "combined",
                tuple(map(Payload.from_wire, segment.payloads)),
                0,
                durations,
                notes,
                *where,
            )
        )

    def _mapped(
        self, work: Dispatch, actor: ActorAddress, segment: MappedChunk, notes: Notes, where: Where
    ) -> None:
        vertex, step, more = segment.vertex, segment.step, segment.more
        chunk = chunk_of(self._state, work)
        if chunk is None:
            if more:
                self._state.ready.discarded.append((actor, vertex))
            return
        if more:
            self._state.ready.suspended[vertex] = actor
        else:
            self._ended(actor, vertex)
        now = self._journal.now_at()
        if isinstance(work, RunMappers):
            self._count_wait(chunk, vertex, 1, where[1], now)
        payload = Payload.from_wire(segment.payload)
        growth = self._state.tree.growth(vertex, step, payload.count, segment.digest)
        refusal = self._refusal(chunk, step, growth)
        if refusal is not None:
            self.attempt_failed(work, vertex, refusal, (notes, where))
            return
        if payload.count:
            count, digest = payload.count, segment.digest
            start = self._state.tree.place(vertex, step, count, digest)
            self._journal.append(
                Mapped(now, chunk.start, vertex, step, start, count, payload, digest)
            )
        if more:
            return
        self._pace.record(chunk.step, 1, segment.duration_us / 1e6)
        self._succeeded(chunk.step, "map", segment.duration_us)
        packed = _pack_durations(segment.duration_us)
        done = Done(now, "map", chunk.start, vertex, 1, "mapped", (), 0, packed, notes, *where)
        self._journal.append(done)

    def _reduced(self, work: Dispatch, segment: Reduced, notes: Notes, where: Where) -> None:
        chunk = chunk_of(self._state, work)
        if chunk is None:
            return
        self._succeeded(chunk.step, "reduce", segment.duration_us)
        self._journal.append(
            Done(
                self._journal.now_at(),
                "reduce",
                chunk.start,
                segment.vertex,
                1,
                "reduced",
                tuple(map(Payload.from_wire, segment.payloads)),
                segment.partition,
                _pack_durations(segment.duration_us),
                notes,
                *where,
            )
        )

    def _succeeded(self, step: str, kind: Kind, spent_us: int) -> None:
        self._metrics.succeeded(self._journal.key.workflow, step, kind, spent_us)

    def _count_wait(
        self, chunk: Chunk, first: int, count: int, span: Span | None, now: float
    ) -> None:
        """Count how long mappers waited, unless they waited for a back-off as well."""
        if span is None or (first, MAPPER) in self._state.attempts:
            return
        waited_s = now - span.began_us / 1e6 - chunk.at
        names = self._journal.key.workflow, chunk.step
        self._metrics.waited(*names, count, waited_s, span.us / 1e6)

    def _is_made_again(self, failure: Failure) -> bool:
        """Run the origin of a missing or damaged blob again; False if that is of no use.

        Invocations that need the blob are withheld until then; a reducer is retried by itself.
        """
        blob = failure.input or ""
        if self._state.ready.is_awaited(blob):
            return True
        found = self._state.tree.producer_of(blob)
        if found is None:
            return False
        chunk, first, count = found
        attempt = self._state.attempt((first, MAPPER))
        if next_delay_s(Retry(), failure, attempt, self._limits.lost_attempts) is None:
            return False
        number = attempt.number + 1
        now = self._journal.now_at()
        self._journal.append(Retried(now, "map", chunk, first, count, number, 0.0, failure))
        return True

    def _refusal(self, chunk: Chunk, step: str, growth: int) -> Failure | None:
        """Return why a mapper may not map on to ``growth`` mappers more; None if it may."""
        if step not in self._plan.steps:
            return request_limits.unknown_step(step, self._plan.steps)
        mapped = self._state.tree.mapped_count + growth
        refusal = request_limits.growth(self._limits, chunk.depth + 1, mapped)
        accepted = self._state.accepted
        if refusal is not None or (accepted is not None and accepted.may_wait):
            return refusal
        workflow, wanted = self._journal.key.workflow, self._plan.steps[step].required
        missing = self._node.missing(workflow, wanted, is_begun=True)
        if missing is not None:
            text = f"no node offers the capability {missing!r} that step {step!r} requires"
            return Failure(kind="capability", type="NoCapability", message=text)
        return None


def first_vertex(work: Dispatch) -> int:
    """Return the vertex to blame when it is not known what killed an executor."""
    return work.first if isinstance(work, RunMappers) else work.vertex


def _pack_durations(duration_us: int) -> bytes:
    return array.array("I", [min(duration_us, 0xFFFFFFFF)]).tobytes()


#: The kinds of invocations in the trip of a mapper that returned data, by whether its step has a
#: combiner, and whether its reducer ran.
_KINDS: Final[dict[tuple[bool, bool], tuple[Kind, ...]]] = {
    (False, False): ("map",),
    (False, True): ("map", "reduce"),
    (True, False): ("map", "combine"),
    (True, True): ("map", "combine", "reduce"),
}
