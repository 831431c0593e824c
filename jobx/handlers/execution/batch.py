"""Running one work frame: author code in, segments out. No I/O but blobs.

A failed invocation affects no other: its pairs and blobs are dropped, and the batch continues
with the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from jobx.errors import JobxError
from jobx.frames import Frame
from jobx.handlers.blobs.shared import Folder
from jobx.handlers.execution import sharing
from jobx.handlers.execution.collecting import microseconds
from jobx.handlers.execution.frame_run import FrameRun, notes_of, now
from jobx.handlers.execution.inputs import arguments, items
from jobx.handlers.execution.protocol import MAX_SUSPENDED, vertices_of
from jobx.handlers.execution.state import ExecutorState
from jobx.handlers.execution.suspended import SuspendedMapper, chunk_payload, digest
from jobx.handlers.failures import Misuse, describe, shorten
from jobx.handlers.languages import yielded
from jobx.handlers.markers import Map, Return
from jobx.handlers.pairs.grouping import Groups
from jobx.handlers.pairs.merged_groups import Merged
from jobx.handlers.scope.arguments import Arguments
from jobx.handlers.scope.invocation import Invocation
from jobx.model import Failure
from jobx.payload import Payload
from jobx.segments import NO_NOTES, Combined, FailedRun, MappedChunk, Reduced, Segment, Unstarted

_NO_YIELD: Final = object()


def run(state: ExecutorState, frame: Frame) -> list[Segment]:
    """Run a work frame and return its segments.

    A frame that cannot be run at all (its input is damaged, there is no room for its output)
    gives a failed segment for each of its invocations.
    """
    work = FrameRun(state, frame)
    try:
        if state.shared is not None:
            sharing.fetch(work.folder, state.page, frame)
        _RUNS[frame["t"]](work)
        return work.close()
    except JobxError as error:
        work.abandon()
        return failed(frame, error)
    finally:
        state.page.rest()


def abandon(state: ExecutorState, frame: Frame) -> None:
    """Close the mappers that a frame suspended, since its answer cannot be sent."""
    state.drop(frame["request"]["id"], vertices_of(frame))


def failed(frame: Frame, error: BaseException) -> list[Segment]:
    """Return failed segments for all invocations of a work frame."""
    failure = Failure(**describe(error), step_name=frame["step"])
    return [FailedRun(vertex, failure) for vertex in vertices_of(frame)]


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


def _map(work: FrameRun) -> None:
    frame, suspended = work.frame, work.state.suspended
    first, is_root = frame["first"], frame["root"]
    attempts: Mapping[int, int] = frame.get("attempts") or {}
    given = items(frame, work.folder)
    give_back_at = now() + int(frame["batch_s"] * 1e9)
    segments_bytes = work.state.limits.segments_bytes
    is_full = False
    for vertex, item in enumerate(given, first):
        started = work.begin(vertex)
        is_over = is_full or started > give_back_at or work.segments.size_bytes > segments_bytes
        if not started or (is_over and vertex > first):
            work.segments.add(Unstarted(vertex, first + len(given) - vertex))
            return
        invocation = work.invocation(vertex, attempts.get(vertex, 1), given=item)
        outcome = work.guard(started, invocation, _map_one, arguments(item, is_root))
        if type(outcome) is _Leaf:
            work.segments.returned(
                vertex, outcome.output, outcome.reduced, outcome.durations_ns, invocation.notes()
            )
        elif type(outcome) is _Chunk:
            _settle(work, outcome)
            # The first one is started in any case: suspended mappers may wait for it.
            is_full = outcome.mapper.more and len(suspended) >= MAX_SUSPENDED


def _map_one(work: FrameRun, invocation: Invocation, given: Arguments) -> _Leaf | _Chunk:
    started = now()
    mapper = work.state.handler(work.frame["mapper"], invocation)
    pairs = yielded(mapper.run(given))
    marker = next(pairs, _NO_YIELD)
    if type(marker) is Return or marker is _NO_YIELD:
        return _return(work, invocation, pairs, started)
    if type(marker) is Map:
        frame = work.frame
        suspended = SuspendedMapper(
            invocation, marker.step, pairs, frame["chunk_pairs"], frame["inline_bytes"]
        )
        return _next_chunk(work, invocation, suspended)
    raise Misuse(
        "protocol",
        "a mapper yields MrConfigureToMap(step) or MrConfigureToReturn() first, then pairs; "
        f"this one began with {shorten(marker)}"
        + (", uncalled" if marker is Map or marker is Return else ""),
    )


def _return(work: FrameRun, invocation: Invocation, pairs: Iterator[object], started: int) -> _Leaf:
    """Take a mapper's output, combine it, and reduce it unless that is better done in parts."""
    frame = work.frame
    combiner, reducer = frame["combiner"], frame["reducer"]
    in_parts = reducer is None or (work.in_parts and work.state.per_key(reducer, invocation))
    keeps = reducer is not None and work.keeps
    last = work.keeping if keeps else work.out if in_parts else work.scratch
    output = work.groups(work.scratch if combiner else last)
    output.fill(pairs)
    mapped = combined = now()
    if combiner:
        output = work.stage(invocation, "combiner", combiner, output, last)
        combined = now()
    reduced = reducer is not None and not ((in_parts or keeps) and output.runs)
    if reduced and keeps:
        work.keep(invocation, output, (mapped - started, combined - mapped, 0))
    if reduced:
        output = work.stage(invocation, "reducer", reducer, output, work.out)
    return _Leaf(output, reduced, (mapped - started, combined - mapped, now() - combined))


def _next_chunk(work: FrameRun, invocation: Invocation, mapper: SuspendedMapper) -> _Chunk:
    started = now()
    taken = mapper.next_items()
    payload = chunk_payload(taken, work.out)
    duration_ns = now() - started
    mapper.spent_s += duration_ns / 1e9
    return _Chunk(mapper, payload, digest(taken), duration_ns)


def _settle(work: FrameRun, chunk: _Chunk) -> None:
    mapper = chunk.mapper
    invocation, more = mapper.invocation, mapper.more
    if more:
        work.state.suspend(mapper)
    duration_us = microseconds(chunk.duration_ns)
    notes = NO_NOTES if more else notes_of(invocation)
    wire, vertex = chunk.payload.to_wire(), invocation.vertex
    work.segments.add(
        MappedChunk(vertex, mapper.step, wire, chunk.digest, more, duration_us, notes)
    )


def _pull(work: FrameRun) -> None:
    frame = work.frame
    mapper = work.state.suspended.pop((frame["request"]["id"], frame["vertex"]), None)
    if mapper is None:
        message = "the mapper is not suspended in this executor"
        lost = Failure(kind="lost", type="Lost", message=message, step_name=frame["step"])
        work.segments.add(FailedRun(frame["vertex"], lost))
        return
    started = (
        work.begin(mapper.invocation.vertex) or now()
    )  # a recall is not for a suspended mapper
    chunk = work.guard(started, mapper.invocation, _next_chunk, mapper, spent_s=mapper.spent_s)
    if chunk is not None:
        _settle(work, chunk)


def _combine(work: FrameRun) -> None:
    frame = work.frame
    started = work.begin(frame["vertex"])
    if not started:
        return
    invocation = work.invocation(frame["vertex"], frame["attempt"], stage="combiner")
    outcome = work.guard(started, invocation, _over_inputs, Merged(*_inputs(work)))
    if outcome is not None:
        payloads, duration_us = outcome
        notes = notes_of(invocation)
        work.segments.add(Combined(invocation.vertex, payloads, duration_us, notes))


def _reduce(work: FrameRun) -> None:
    frame = work.frame
    session = frame.get("session") or {}
    started = work.begin(frame["vertex"])
    if not started:
        return
    invocation = work.invocation(
        frame["vertex"], frame["attempt"], stage="reducer", session=session
    )
    part = frame.get("partition", 0)
    grouped = Merged(*_inputs(work), part, frame.get("partitions") or 1)
    outcome = work.guard(started, invocation, _over_inputs, grouped)
    if outcome is not None:
        payloads, duration_us = outcome
        notes = notes_of(invocation)
        work.segments.add(Reduced(invocation.vertex, part, payloads, duration_us, notes))


def _inputs(work: FrameRun) -> tuple[list[Payload], Folder, int]:
    payloads = [Payload.from_wire(wire) for wire in work.frame["inputs"]]
    return payloads, work.folder, work.state.limits.spill_bytes


def _over_inputs(work: FrameRun, invocation: Invocation, grouped: Merged) -> tuple[list[Any], int]:
    started, stage = now(), invocation.stage
    output = work.stage(invocation, stage, work.frame[stage], grouped, work.out)
    payloads = [payload.to_wire() for payload in output.payloads()]
    return payloads, microseconds(now() - started)


_RUNS: Final[Mapping[str, Callable[[FrameRun], None]]] = {
    "map": _map,
    "pull": _pull,
    "combine": _combine,
    "reduce": _reduce,
}
