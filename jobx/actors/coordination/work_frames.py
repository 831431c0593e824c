"""Builds the work frames of a request; their form is in ``jobx/work.py``."""

from __future__ import annotations

from typing import Any, Final

from jobx import model, values
from jobx.actors.messages import Pull, RequestKey, Run
from jobx.actors.ports import Services
from jobx.actors.request.branches import COMBINER, MAPPER, ROOT
from jobx.actors.request.decisions import (
    BATCH_LIMIT_S,
    CHUNK_PAIRS,
    PullMapper,
    RunMappers,
    RunReducer,
)
from jobx.actors.request.state import LEAST_DATA_BYTES, PARTITIONS, RequestState
from jobx.model import HandlerRef, PlanStep
from jobx.payload import Payload, cut, pack_offsets
from jobx.work import EMPTY_MAP, BlobPart, MapWork, PullWork, ReduceWork, RequestInfo

#: Inline bytes that may wait for reducers before executors must write blobs …
HELD_BYTES: Final = 8 << 20
#: … for payloads larger than this; beyond four times as much, for all payloads, since the input of
#: a reducer must fit into one frame.
SMALL_BYTES: Final = 1 << 10
#: Inline bytes of chunks beyond which mappers that are pulled must write all of them into blobs.
CHUNKS_BYTES: Final = 32 << 20

#: Most bytes of what the stages of one batch yield that are kept.
DATA_BYTES: Final = 8 << 20
_NO_LIMIT: Final = 1 << 62


class FrameBuilder:
    """Builds the work frames of one request."""

    def __init__(self, request: model.Request, state: RequestState, node: Services) -> None:
        retention = node.settings.retention
        self._most_data_bytes = 0
        if retention.data != "none":
            self._most_data_bytes = retention.data_bytes or _NO_LIMIT
        self._key = RequestKey(request.workflow_name, request.request_id)
        self._state = state
        self._limit_s = node.settings.requests.invocation_time_limit_s
        self._inline_bytes = node.settings.inline_bytes
        self._request = RequestInfo(
            request.request_id,
            request.workflow_name,
            request.job_name,
            values.pack(request.context) if request.context else EMPTY_MAP,
        )

    def mappers(self, ticket: int, decision: RunMappers) -> Run:
        """Return the work frame of a batch of mappers."""
        chunk, first, count = decision.chunk, decision.first, decision.count
        step = self._state.plan.steps[chunk.step]
        work = MapWork(
            **self._common(chunk.step, step.mapper),
            first=first,
            count=count,
            root=first == ROOT,
            sync=first == ROOT,
            sections=PARTITIONS,
            chunk_pairs=CHUNK_PAIRS,
            batch_s=BATCH_LIMIT_S,
            mapper=step.mapper.version,
            combiner=step.combiner.version if step.combiner else None,
            reducer=step.reducer.version,
            keeps=step.reducer.retry.attempts > 1,
            limits_s=self._later_limits(step),
            **_items(chunk.payload, first - chunk.start, count),
            **self._data(),
            **self._later_tries(first, count),
        )
        return Run(ticket, self._key, work, step.required)

    def reducer(self, ticket: int, decision: RunReducer) -> Run:
        """Return the work frame of one partition of a reducer."""
        vertex = decision.vertex
        branch = self._state.tree.branches[vertex]
        reducer = self._state.plan.steps[branch.step].reducer
        work = ReduceWork(
            **self._common(branch.step, reducer),
            vertex=vertex,
            attempt=self._state.attempt((vertex, decision.partition)).number,
            sync=vertex == ROOT,
            reducer=reducer.version,
            inputs=[item.to_wire() for item in decision.inputs],
            partition=decision.partition,
            partitions=decision.partitions,
            sections=decision.partitions,
            session=values.pack(branch.session) if branch.session else EMPTY_MAP,
        )
        return Run(ticket, self._key, work, (reducer.required_capability,))

    def pull(self, ticket: int, decision: PullMapper) -> Pull:
        """Return the work frame that pulls the next chunks of a suspended mapper."""
        vertex, chunks = decision.vertex, decision.chunks
        step = self._state.tree.branches[vertex].step
        common = self._common(step, self._state.plan.steps[step].mapper)
        if self._state.tree.chunk_bytes > CHUNKS_BYTES:
            common["inline_bytes"] = 0
        return Pull(ticket, self._key, PullWork(**common, vertex=vertex, chunks=chunks))

    def _common(self, step: str, ref: HandlerRef) -> dict[str, Any]:
        return {
            "request": self._request,
            "step": step,
            "inline_bytes": self._most_inline(),
            "time_limit_s": ref.time_limit_s or self._limit_s,
        }

    def _data(self) -> dict[str, Any]:
        """Return the fields that say how much of what stages yield is kept."""
        left_bytes = self._most_data_bytes - self._state.data_bytes
        if left_bytes < LEAST_DATA_BYTES:
            return {}
        return {"data_bytes": min(left_bytes, DATA_BYTES)}

    def _most_inline(self) -> int:
        held_bytes = self._state.tree.held_bytes
        if held_bytes > 4 * HELD_BYTES:
            return 0
        return SMALL_BYTES if held_bytes > HELD_BYTES else self._inline_bytes

    def _later_limits(self, step: PlanStep) -> dict[str, float]:
        """Return the time limits of combiner and reducer in a mapper's trip, where they differ."""
        found: dict[str, float] = {}
        mapper_s = step.mapper.time_limit_s or self._limit_s
        for stage, ref in (("combiner", step.combiner), ("reducer", step.reducer)):
            limit_s = (ref and ref.time_limit_s) or self._limit_s
            if ref is not None and limit_s != mapper_s:
                found[stage] = limit_s
        return found

    def _later_tries(self, first: int, count: int) -> dict[str, Any]:
        """Return the fields that say which try each stage of each vertex is, if one is a later."""
        if not self._state.attempts:
            return {}
        combiner = self._attempts(first, count, COMBINER)
        later = {"combiner": combiner, "reducer": self._attempts(first, count, 0)}
        return {"attempts": self._attempts(first, count, MAPPER), "later_attempts": later}

    def _attempts(self, first: int, count: int, what: int) -> dict[int, int]:
        attempts = self._state.attempts
        batch = range(first, first + count)
        return {v: attempts[v, what].number for v in batch if (v, what) in attempts}


def _items(payload: Payload, position: int, count: int) -> dict[str, Any]:
    """Return the fields that carry ``count`` items of a chunk from ``position`` on."""
    start, stop = cut(payload, position, position + count)
    if payload.inline is not None:
        return {"pairs": payload.inline[start:stop]}
    ends, sums = b"", b""
    if payload.sums:
        part = slice(4 * position, 4 * (position + count))
        ends, sums = payload.offsets[part], payload.sums[part]
    elif stop - start == payload.size_bytes:
        ends, sums = pack_offsets([stop]), pack_offsets([payload.checksum])
    name = str(payload.blob)
    blob = BlobPart(name, payload.size_bytes, payload.checksum, start, stop, ends, sums)
    return {"blob": blob}
