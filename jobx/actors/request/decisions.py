"""What a request does next: pure decisions over its state.

A decision takes ready work from the state, so each comes once. The coordinator carries it out and
returns events, or gives it back.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from msgspec import Struct

from jobx.actors.request.branches import MAPPER, Chunk, Target
from jobx.actors.request.capabilities import HERE, Kind
from jobx.actors.request.ready import Ready
from jobx.actors.request.state import RequestState
from jobx.model import Failure
from jobx.payload import Payload, cut

#: Largest number of pairs of one mapped chunk, and of invocations of one batch.
CHUNK_PAIRS: Final = 1000
#: Most chunks that a mapper is asked for at once.
MAX_CHUNKS: Final = 8
#: Largest size of the arguments of one batch.
BATCH_BYTES: Final = 256 << 10
#: A reduction by key of more input than this is partitioned and runs in parallel.
PARTITION_BYTES: Final = 1 << 20
#: How long a batch should take …
BATCH_S: Final = 1.0
#: … and after how long an executor gives back what it has not started.
BATCH_LIMIT_S: Final = 2.0


class RunMappers(Struct, frozen=True):
    """Run ``count`` sibling mappers from vertex ``first`` on, as one batch."""

    chunk: Chunk
    first: int
    count: int


class PullMapper(Struct, frozen=True):
    """Ask a suspended mapper, in its attempt ``attempt``, for its next chunks."""

    vertex: int
    attempt: int
    keeper: Any = None
    chunks: int = 1


class RunReducer(Struct, frozen=True):
    """Run one partition of a reducer on the input that was complete for the ``gather``-th time."""

    vertex: int
    partition: int
    partitions: int
    gather: int
    inputs: tuple[Payload, ...]


class Wait(Struct, frozen=True):
    """Release a target after its back-off, which follows an error of that kind."""

    target: Target
    delay_s: float
    error: str = ""
    kind: str = ""


class Finish(Struct, frozen=True):
    """End the request."""

    state: str
    failure: Failure | None
    result: tuple[Payload, ...]


Dispatch: TypeAlias = RunMappers | PullMapper | RunReducer
Decision: TypeAlias = Dispatch | Wait | Finish


class Pace:
    """The measured pace of a request's steps, which limits the size of their batches."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    def record(self, step: str, count: int, seconds: float) -> None:
        """Record the duration of a batch of ``count`` invocations."""
        each = seconds / count
        known = self._seconds.get(step)
        self._seconds[step] = each if known is None else 0.7 * known + 0.3 * each

    def batch(self, step: str) -> int:
        """Return how many invocations of a step take BATCH_S, as far as is known."""
        each = self._seconds.get(step, 0.0)
        return max(1, int(BATCH_S / each)) if each * CHUNK_PAIRS > BATCH_S else CHUNK_PAIRS


def decide(
    state: RequestState,
    pace: Pace,
    *,
    room: int,
    slots: int,
    window: int,
    is_asking: bool = False,
    kind: Kind = HERE,
) -> list[Decision]:
    """Take the next decisions from the state; there may be more behind a PullMapper.

    Args:
        state: The state of the request.
        pace: Measured durations.
        room: Largest number of works of the kind to start now.
        slots: Number of executors that share siblings.
        window: Largest number of open children of one mapper.
        is_asking: A mapper is being asked for its next chunk.
        kind: Which work is started. A suspended mapper is with its keeper, so that can be done.
    """
    if state.finished is not None:
        return []
    if not state.is_running:
        return [_finish(state)]
    decisions: list[Decision] = [
        Wait(target, *delay) for target, delay in state.ready.delayed.items()
    ]
    state.ready.delayed.clear()
    batches = _Batches(state.ready, pace, slots, is_asking)
    for _ in range(room):
        work = _next(state, batches, window, kind)
        if work is None:
            break
        decisions.append(work)
        if isinstance(work, PullMapper):
            break  # its keeper is to be asked before it gets a batch
    return decisions


class _Batches:
    """Sizes the batches that start together.

    Attributes:
        is_asking: A mapper is being asked for more siblings.
    """

    def __init__(self, ready: Ready, pace: Pace, slots: int, is_asking: bool) -> None:
        self.is_asking = is_asking
        self._ready = ready
        self._pace = pace
        self._slots = slots
        self._shares: dict[int, int] = {}

    def fitting(self, chunk: Chunk, first: int, stop: int) -> int:
        """Return how many of the siblings from ``first`` to ``stop`` make one batch.

        The last ones of a request are shared evenly among all executors.
        """
        if stop - first == 1:
            return 1
        count = min(self._pace.batch(chunk.step), stop - first)
        if self._ready.is_at_last_chunk and not self.is_asking:
            share = self._shares.setdefault(chunk.start, -(-chunk.ready_count // self._slots))
            count = min(count, share)
        position = first - chunk.start
        while count > 1:
            start, end = cut(chunk.payload, position, position + count)
            if end - start <= BATCH_BYTES:
                break
            count = max(1, min(count - 1, count * BATCH_BYTES // (end - start)))
        return count


def _next(state: RequestState, batches: _Batches, window: int, kind: Kind) -> Dispatch | None:
    """Return the next work: first what frees memory, last what needs more."""
    target = state.ready.take_reduce(kind)
    if target is not None:
        branch = state.tree.branches[target[0]]
        inputs = tuple(branch.inputs())
        return RunReducer(*target, branch.partitions, branch.gathers, inputs)
    if kind == HERE and state.ready.suspended:
        asked = state.ready.take_pull(max(window, CHUNK_PAIRS), CHUNK_PAIRS)
        if asked is not None:
            vertex, keeper, chunks = asked
            attempt = state.attempt((vertex, MAPPER)).number
            return PullMapper(vertex, attempt, keeper, min(chunks, MAX_CHUNKS))
    taken = state.ready.take_range(batches.fitting, kind)
    return RunMappers(*taken) if taken else None


def _finish(state: RequestState) -> Finish:
    if state.failure is not None:
        return Finish("failed", state.failure, ())
    if state.cancelled is not None:
        failure = Failure(kind="cancelled", type="Cancelled", message=state.cancelled)
        return Finish("cancelled", failure, ())
    return Finish("succeeded", None, state.result or ())


def chunk_of(state: RequestState, work: Dispatch) -> Chunk | None:
    """Return the chunk of a work's vertices, or None: the work is no longer wanted.

    So a late result, after its mapper started again or was dropped, changes nothing.
    """
    if isinstance(work, RunMappers):
        return state.tree.chunks.get(work.chunk.start)
    branch = state.tree.branches.get(work.vertex)
    if branch is None:
        return None
    if isinstance(work, RunReducer):
        return branch.chunk if branch.gathers == work.gather and branch.partitions else None
    is_current = state.attempt((work.vertex, MAPPER)).number == work.attempt
    return branch.chunk if is_current else None
