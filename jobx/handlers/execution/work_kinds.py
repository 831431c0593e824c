"""Each kind of work: author code in, segments out. No I/O but blobs.

A failed invocation affects no other: its pairs and blobs are dropped, and the batch continues
with the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from jobx import values
from jobx.errors import JobxError
from jobx.handlers.blobs.shared import Folder
from jobx.handlers.execution import frame_blobs
from jobx.handlers.execution.collecting import microseconds
from jobx.handlers.execution.inputs import arguments, items
from jobx.handlers.execution.state import ExecutorState
from jobx.handlers.execution.suspended import MAX_SUSPENDED, SuspendedMapper, chunk_payload, digest
from jobx.handlers.execution.trip import Trip, notes_of, now
from jobx.handlers.failures import Misuse, describe, shorten
from jobx.handlers.markers import Map, Return
from jobx.handlers.pairs.checking import yielded
from jobx.handlers.pairs.grouping import Groups
from jobx.handlers.pairs.merged_groups import Merged
from jobx.handlers.scope.arguments import Arguments
from jobx.handlers.scope.invocation import Invocation
from jobx.model import Failure
from jobx.payload import Payload
from jobx.segments import NO_NOTES, Combined, FailedRun, MappedChunk, Reduced, Segment, Unstarted
from jobx.work import CombineWork, MapWork, PullWork, ReduceWork, Work, WorkFrame

_NO_YIELD: Final = object()
#: A mapper that is pulled begins no other chunk after this, since its children can run meanwhile.
_PULL_NS: Final = 20_000_000


def run(state: ExecutorState, frame: WorkFrame) -> list[Segment]:
    """Do the work of a frame and return its segments.

    Work that cannot be done at all (its input is damaged, there is no room for its output) gives a
    failed segment for each of its invocations.
    """
    state.data = None
    trip = Trip(state, frame)
    try:
        if state.shared is not None:
            frame_blobs.fetch(trip.folder, state.page, frame)
        _RUNS[type(frame.work)](trip, frame.work)
        return trip.close()
    except JobxError as error:
        trip.abandon()
        state.note_damage(error)
        return failed(frame.work, error)
    finally:
        state.page.rest()


def abandon(state: ExecutorState, work: Work) -> None:
    """Close the mappers that work left suspended, since its answer cannot be sent."""
    state.drop(work.request.id, work.vertices)


def failed(work: Work, error: BaseException) -> list[Segment]:
    """Return failed segments for all invocations of some work."""
    failure = Failure(**describe(error), step_name=work.step)
    return [FailedRun(vertex, failure) for vertex in work.vertices]


class _Leaf:  # one for each invocation, and quicker to make than a dataclass
    """A mapper that returned data, with its output after combining and reducing."""

    __slots__ = ("durations_ns", "output", "reduced")

    def __init__(self, output: Groups, reduced: bool, durations_ns: tuple[int, int, int]) -> None:
        self.output = output
        self.reduced = reduced
        self.durations_ns = durations_ns


@dataclass(frozen=True, slots=True)
class _Chunk:
    """The next children of a mapper."""

    mapper: SuspendedMapper
    payload: Payload
    digest: str
    duration_ns: int


def _map(trip: Trip, work: MapWork) -> None:
    suspended = trip.state.suspended
    first, is_root, attempts = work.first, work.root, work.attempts
    given = items(work, trip.folder)
    give_back_at = now() + int(work.batch_s * 1e9)
    segments_bytes = trip.state.limits.segments_bytes
    is_full = False
    for vertex, item in enumerate(given, first):
        started = trip.begin(vertex)
        is_over = is_full or started > give_back_at or trip.segments.size_bytes > segments_bytes
        if not started or (is_over and vertex > first):
            trip.segments.add(Unstarted(vertex, first + len(given) - vertex))
            return
        invocation = trip.invocation(vertex, attempts.get(vertex, 1), given=item)
        outcome = trip.guard(started, invocation, _map_one, arguments(item, is_root))
        if type(outcome) is _Leaf:
            trip.segments.returned(
                vertex, outcome.output, outcome.reduced, outcome.durations_ns, invocation.notes()
            )
        elif type(outcome) is _Chunk:
            _settle(trip, outcome)
            # The first one is started in any case: suspended mappers may wait for it.
            is_full = outcome.mapper.more and len(suspended) >= MAX_SUSPENDED


def _map_one(trip: Trip, invocation: Invocation, given: Arguments) -> _Leaf | _Chunk:
    started = now()
    work = cast("MapWork", trip.work)
    mapper = trip.state.handler(work.mapper, invocation)
    pairs = yielded(mapper.run(given))
    marker = next(pairs, _NO_YIELD)
    if type(marker) is Return or marker is _NO_YIELD:
        return _return(trip, work, invocation, pairs, started)
    if type(marker) is Map:
        suspended = SuspendedMapper(
            invocation, marker.step, pairs, work.chunk_pairs, work.inline_bytes
        )
        return _next_chunk(trip, invocation, suspended)
    raise Misuse(
        "protocol",
        "a mapper yields MrConfigureToMap(step) or MrConfigureToReturn() first, then pairs; "
        f"this one began with {shorten(marker)}"
        + (", uncalled" if marker is Map or marker is Return else ""),
    )


def _return(
    trip: Trip, work: MapWork, invocation: Invocation, pairs: Iterator[object], started: int
) -> _Leaf:
    """Take a mapper's output, combine it, and reduce it unless that is better done in parts."""
    combiner, reducer = work.combiner, work.reducer
    in_parts = reducer is None or (trip.in_parts and trip.state.per_key(reducer, invocation))
    keeps = reducer is not None and trip.keeps
    last = trip.keeping if keeps else trip.out if in_parts else trip.scratch
    output = trip.groups(trip.scratch if combiner else last)
    output.fill(pairs)
    mapped = combined = now()
    stages = trip.stages
    if stages is not None:
        stages.note(invocation, "mapper", output, started, mapped)
    if combiner:
        output = trip.stage(invocation, "combiner", combiner, output, last)
        combined = now()
        if stages is not None:
            stages.note(invocation, "combiner", output, started, combined)
    reduced = False
    if reducer is not None and not ((in_parts or keeps) and output.runs):
        reduced = True
        if keeps:
            trip.keep(invocation, output, (mapped - started, combined - mapped, 0))
        output = trip.stage(invocation, "reducer", reducer, output, trip.out)
        if stages is not None:
            stages.note(invocation, "reducer", output, started, now())
    return _Leaf(output, reduced, (mapped - started, combined - mapped, now() - combined))


def _next_chunk(trip: Trip, invocation: Invocation, mapper: SuspendedMapper) -> _Chunk:
    started = now()
    taken = mapper.next_items()
    payload = chunk_payload(taken, trip.out)
    duration_ns = now() - started
    mapper.spent_s += duration_ns / 1e9
    return _Chunk(mapper, payload, digest(taken), duration_ns)


def _settle(trip: Trip, chunk: _Chunk) -> None:
    mapper = chunk.mapper
    invocation, more = mapper.invocation, mapper.more
    if more:
        trip.state.suspend(mapper)
    duration_us = microseconds(chunk.duration_ns)
    notes = NO_NOTES if more else notes_of(invocation)
    wire, vertex = chunk.payload.to_wire(), invocation.vertex
    trip.segments.add(
        MappedChunk(vertex, mapper.step, wire, chunk.digest, more, duration_us, notes)
    )


def _pull(trip: Trip, work: PullWork) -> None:
    suspended, owner = trip.state.suspended, (work.request.id, work.vertex)
    mapper = suspended.get(owner)
    if mapper is None:
        message = "the mapper is not suspended in this executor"
        lost = Failure(kind="lost", type="Lost", message=message, step_name=work.step)
        trip.segments.add(FailedRun(work.vertex, lost))
        return
    began = started = trip.begin(work.vertex) or now()  # a recall is not for a suspended mapper
    segments_bytes = trip.state.limits.segments_bytes
    for _ in range(work.chunks):
        suspended.pop(owner, None)  # until it is known to have more
        chunk = trip.guard(started, mapper.invocation, _next_chunk, mapper, spent_s=mapper.spent_s)
        started = now()
        if chunk is not None:
            _settle(trip, chunk)
        is_over = started - began > _PULL_NS or trip.segments.size_bytes > segments_bytes
        if chunk is None or not mapper.more or is_over:
            return


def _combine(trip: Trip, work: CombineWork) -> None:
    started = trip.begin(work.vertex)
    if not started:
        return
    invocation = trip.invocation(work.vertex, work.attempt, stage="combiner")
    given = work.combiner, Merged(*_inputs(trip, work))
    outcome = trip.guard(started, invocation, _over_inputs, given)
    if outcome is not None:
        payloads, duration_us = outcome
        notes = notes_of(invocation)
        trip.segments.add(Combined(invocation.vertex, payloads, duration_us, notes))


def _reduce(trip: Trip, work: ReduceWork) -> None:
    session = values.unpack(work.session)
    started = trip.begin(work.vertex)
    if not started:
        return
    invocation = trip.invocation(work.vertex, work.attempt, stage="reducer", session=session)
    part = work.partition
    given = work.reducer, Merged(*_inputs(trip, work), part, work.partitions)
    outcome = trip.guard(started, invocation, _over_inputs, given)
    if outcome is not None:
        payloads, duration_us = outcome
        notes = notes_of(invocation)
        trip.segments.add(Reduced(invocation.vertex, part, payloads, duration_us, notes))


def _inputs(trip: Trip, work: CombineWork | ReduceWork) -> tuple[list[Payload], Folder, int]:
    payloads = [Payload.from_wire(wire) for wire in work.inputs]
    return payloads, trip.folder, trip.state.limits.spill_bytes


def _over_inputs(
    trip: Trip, invocation: Invocation, given: tuple[str, Merged]
) -> tuple[list[Any], int]:
    started, (version, grouped) = now(), given
    output = trip.stage(invocation, invocation.stage, version, grouped, trip.out)
    payloads = [payload.to_wire() for payload in output.payloads()]
    return payloads, microseconds(now() - started)


_RUNS: Final[Mapping[type[Work], Callable[[Trip, Any], None]]] = {
    MapWork: _map,
    PullWork: _pull,
    CombineWork: _combine,
    ReduceWork: _reduce,
}
