"""The trace of a request: its invocation tree, read from its log.

Vertices are numbered in the order in which they were mapped, a parent before its children. So the
first ``limit`` vertices are a tree. A failed invocation and its ancestors are shown as well. All
others are only counted.

The log knows of a mapper that has not ended only whether it mapped on. If so it is running; else it
is pending, even while an executor runs it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Final

import msgspec

from jobx import model
from jobx.actors.inspection.folding import glance, summary
from jobx.actors.inspection.folding.fold import Fold
from jobx.actors.inspection.trace_log import Seen, TracedChunk, TraceLog
from jobx.actors.inspection.view_builders import request_view
from jobx.actors.request import events
from jobx.actors.request.branches import ROOT
from jobx.actors.request.ids import invocation_id
from jobx.errors import InvalidInput, NotFound
from jobx.kv import keys
from jobx.kv.requests import deliveries, event_log, request_entity
from jobx.kv.store import Store
from jobx.model import Plan, PlanStep
from jobx.payload import cut
from jobx.values import to_jsonable, unpack
from jobx.views import TraceNode, TraceView

#: Shown characters of an input.
INPUT_CHARACTERS: Final = 200


def read(store: Store, workflow: str, request_id: str, limit: int) -> TraceView:
    """Return the invocation tree of a request.

    Args:
        store: Where the request is.
        workflow: Its workflow.
        request_id: Its id.
        limit: Largest number of mapper invocations.

    Raises:
        NotFound: There is no such request.
    """
    request = request_entity.get(store, workflow, request_id)
    log = TraceLog(limit)
    plan, counts = _read_log(store, request, log)
    request = msgspec.structs.replace(request, counts=counts)
    root = None if plan is None else _Tree(log, plan, request).build()
    sent = deliveries.read(store, request)
    return TraceView(request=request_view(request, sent), root=root, deliveries=sent)


def invocation(store: Store, workflow: str, request_id: str, wanted: str) -> TraceNode:
    """Return one invocation of a request, by its id (``m0``, ``c17``, ``r17``).

    Raises:
        NotFound: There is no such request or invocation.
        InvalidInput: It is no invocation id.
    """
    request = request_entity.get(store, workflow, request_id)
    if re.fullmatch("[mcr][0-9]{1,18}", wanted) is None:
        reason = "an invocation id is m, c or r and a number"
        raise InvalidInput("invocation", repr(wanted)[:80], reason)
    vertex = int(wanted[1:])
    log = TraceLog(0, wanted=vertex)
    plan, _ = _read_log(store, request, log)
    chunk = log.chunk_of(vertex)
    if plan is not None and chunk is not None:
        tree = _Tree(log, plan, request)
        for node in tree.nodes_of(vertex, chunk):
            if node.invocation_id == wanted:
                return node
    raise NotFound("invocation", f"{workflow}/{request_id}/{wanted}")


def _read_log(
    store: Store, request: model.Request, log: TraceLog
) -> tuple[Plan | None, model.Counts]:
    """Let ``log`` take all events that it keeps; return the plan and the counts so far."""
    key = request.workflow_name, request.request_id
    plan, fold = None, None
    for number, body in event_log.bodies(store, *key):
        if fold is not None:
            fold.take(number, glance.at(body))
        done = glance.done(body)
        if done is not None and not log.shows(*done):
            continue
        event = events.known_part(event_log.record_at(keys.event(*key, number), body))
        if event is None:
            continue
        log.take(event)
        if isinstance(event, events.Accepted):
            plan = request_entity.plan(store, request.workflow_name, event.plan)
            if plan is not None and not request.is_done:
                fold = Fold(partial(_combiners, plan))
                fold.take(number, glance.at(body))
    return plan, request.counts if fold is None else summary.counts(fold)


def _combiners(plan: Plan, _: str) -> set[str]:
    return {name for name, step in plan.steps.items() if step.combiner is not None}


class _Tree:
    """Builds trace nodes from what is kept of a log."""

    def __init__(self, log: TraceLog, plan: Plan, request: model.Request) -> None:
        self._log = log
        self._plan = plan
        self._is_done = request.is_done
        self._children: dict[int, list[TracedChunk]] = {}
        for chunk in log.chunks:
            self._children.setdefault(chunk.parent, []).append(chunk)

    def build(self) -> TraceNode | None:
        """Return the tree, built from the leaves up, because it may be deeper than the stack."""
        built: dict[int, TraceNode] = {}
        for vertex in sorted(self._shown(), reverse=True):
            chunk = self._log.chunk_of(vertex)
            if chunk is not None:
                built[vertex] = self._mapper(vertex, chunk, built)
        return built.get(ROOT)

    def nodes_of(self, vertex: int, chunk: TracedChunk) -> Iterator[TraceNode]:
        """Yield the mapper, the combiner and the reducer of a vertex, without children."""
        seen = self._log.seen.get(vertex, Seen())
        step = self._plan.steps[chunk.step]
        yield self._node("map", vertex, chunk, step, seen)
        if step.combiner is not None and seen.outcome in ("reduced", "combined"):
            yield self._node("combine", vertex, chunk, step, seen)
        yield self._node("reduce", vertex, chunk, step, seen)

    def _shown(self) -> set[int]:
        last = self._log.chunks[-1] if self._log.chunks else None
        stop = last.start + last.count if last else 0
        shown = set(range(min(stop, self._log.limit)))
        for vertex in self._log.seen:
            above: int = vertex
            while above not in shown and above >= 0:
                shown.add(above)
                chunk = self._log.chunk_of(above)
                above = chunk.parent if chunk else -1
        return shown

    def _mapper(self, vertex: int, chunk: TracedChunk, built: dict[int, TraceNode]) -> TraceNode:
        mapper, *others = self.nodes_of(vertex, chunk)
        combiners, reducer = others[:-1], others[-1]
        below, hidden = [], 0
        for siblings in self._children.get(vertex, ()):
            shown = [
                built.pop(v)
                for v in range(siblings.start, siblings.start + siblings.count)
                if v in built
            ]
            below.extend(shown)
            hidden += siblings.count - len(shown)
        children = [*combiners, *below, reducer]
        return TraceNode(
            **{name: getattr(mapper, name) for name in _OWN_FIELDS},
            children=children,
            hidden=hidden,
        )

    def _node(
        self, kind: events.Kind, vertex: int, chunk: TracedChunk, step: PlanStep, seen: Seen
    ) -> TraceNode:
        ref = {"map": step.mapper, "combine": step.combiner, "reduce": step.reducer}[kind]
        session = seen.session if kind == "map" else None
        ran = seen.where(kind)
        return TraceNode(
            invocation_id=invocation_id(kind, vertex),
            kind=kind,
            state=self._state(kind, vertex, seen),
            step_name=chunk.step,
            handler_name=ref.handler_name if ref else "",
            attempt=seen.attempts.get(kind, 1),
            node_id=ran.node or None,
            executor=ran.executor or None,
            queued_at=(seen.queued_at or chunk.at) if kind == "map" else None,
            started_at=ran.started_at or None,
            duration_s=seen.duration_s(kind),
            input=_input(chunk, vertex) if kind == "map" else None,
            output=seen.output(kind),
            session=to_jsonable(session) if session else None,
            failure=seen.failures.get(kind),
        )

    def _state(self, kind: str, vertex: int, seen: Seen) -> str:
        if not self._is_done and kind == "map" and not seen.outcome:
            return "running" if vertex in self._log.begun else "pending"
        if kind in seen.failures and (self._is_done or not seen.outcome):
            return "failed" if self._is_done else "pending"
        reduced = seen.outcome == "reduced" or bool(seen.reduce_us)
        if reduced if kind == "reduce" else seen.outcome:
            return "succeeded"
        return "cancelled" if self._is_done else "pending"


_OWN_FIELDS: Final = tuple(
    name for name in TraceNode.__struct_fields__ if name not in ("children", "hidden")
)


def _input(chunk: TracedChunk, vertex: int) -> str | None:
    payload = chunk.payload
    if payload is None or payload.inline is None:
        return None
    start, stop = cut(payload, vertex - chunk.start, vertex - chunk.start + 1)
    text = repr(unpack(payload.inline[start:stop]))
    return text if len(text) <= INPUT_CHARACTERS else f"{text[: INPUT_CHARACTERS - 3]}..."
