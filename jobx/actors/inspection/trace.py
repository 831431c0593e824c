"""The trace of a request: its invocation tree, read from its log.

Vertices are numbered in the order in which they were mapped, a parent before its children. So the
first ``limit`` vertices are a tree. A failed invocation and its ancestors are shown as well. All
others are only counted.

The log knows of a mapper that has not ended only whether it mapped on. If so it is running; else it
is pending, even while an executor runs it.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec

from jobx import model
from jobx.actors.inspection.view_builders import request_view
from jobx.actors.request import events, spans
from jobx.actors.request.ids import invocation_id
from jobx.actors.request.state import RequestState
from jobx.actors.request.tree import MAPPER, ROOT
from jobx.errors import FormUnknown, InvalidInput, NotFound
from jobx.kv import keys
from jobx.kv.entries import decoded
from jobx.kv.requests import deliveries, event_log, request_entity
from jobx.kv.store import Store
from jobx.model import Failure, Plan, PlanStep
from jobx.payload import Payload, cut, unpack_offsets
from jobx.values import pack, to_jsonable, unpack
from jobx.views import TraceNode, TraceView

#: Shown characters of an input.
INPUT_CHARACTERS: Final = 200
#: Bytes of output and sessions in a trace; further ones are replaced by a remark.
TEXT_BYTES: Final = 8 << 20
LEFT_OUT: Final = "left out, because the trace is large; ask for this invocation alone"
_KINDS: Final = ("map", "combine", "reduce")
#: Notes of a mapper about its combiner and reducer in the same trip.
_LATER_OUTPUTS: Final = (("combiner_output", "combine"), ("reducer_output", "reduce"))
_NOTHING: Final[Mapping[Any, Any]] = MappingProxyType({})


def _nothing() -> Mapping[Any, Any]:
    return _NOTHING


@dataclass(slots=True)
class _TracedChunk:
    """Siblings of one chunk; the payload is kept if some of them are shown."""

    start: int
    count: int
    parent: int
    step: str
    at: float
    payload: Payload | None


class _Ran(NamedTuple):
    """Where and since when something ran; 0 where the log does not say."""

    node: str = ""
    executor: int = 0
    started_at: float = 0.0


_NOWHERE: Final = _Ran()


@dataclass(slots=True)
class _Seen:
    """What the log says about one shown vertex."""

    # Maps are replaced and never changed, so that most of a hundred thousand vertices share one.
    attempts: Mapping[str, int] = field(default_factory=_nothing)
    outcome: str = ""
    durations_us: tuple[int, int, int] = (0, 0, 0)
    reduce_us: Mapping[int, int] = field(default_factory=_nothing)
    failures: Mapping[str, Failure] = field(default_factory=_nothing)
    session: Mapping[str, Any] = field(default_factory=_nothing)
    #: Captured output by kind and partition.
    outputs: Mapping[tuple[str, int], str] = field(default_factory=_nothing)
    #: The mapper and its trip, and a reducer of its own.
    ran: _Ran = _NOWHERE
    reduced: _Ran = _NOWHERE
    #: When its present attempt may begin; 0: as soon as it was mapped.
    queued_at: float = 0.0

    def take_notes(self, kind: events.Kind, partition: int, notes: dict[str, Any]) -> None:
        if kind == "map":
            self.outputs = _NOTHING
            self.session = notes.get("session", _NOTHING)
        for name, its_kind in (("output", kind), *_LATER_OUTPUTS) if notes else ():
            if name in notes:
                self.outputs = {**self.outputs, (its_kind, partition): notes[name]}

    def output(self, kind: str) -> str | None:
        parts = sorted(key for key in self.outputs if key[0] == kind)
        return "".join(self.outputs[key] for key in parts) if parts else None


class _Reader:
    """Takes the events of a log one after the other and keeps what the trace shows."""

    def __init__(self, limit: int, wanted: int | None = None) -> None:
        self.chunks: list[_TracedChunk] = []
        self.seen: dict[int, _Seen] = {}
        #: Mappers that have mapped on in their present attempt.
        self.begun: set[int] = set()
        #: The node that coordinates the request.
        self._owner = ""
        self.limit = limit
        self._wanted = wanted
        self._left_bytes = TEXT_BYTES

    def take(self, event: events.Event) -> None:
        if isinstance(event, events.Accepted):
            self._owner = event.node
            root = ROOT, MAPPER, event.step, ROOT, 1, event.arguments
            self._add(events.Mapped(event.at, *root, ""))
        elif isinstance(event, events.Mapped):
            self.begun.add(event.parent)
            self._add(event)
        elif isinstance(event, events.Done):
            self._done(event)
        elif isinstance(event, events.Retried):
            self._retried(event)
        elif isinstance(event, events.Adopted):
            self._owner = event.node
            self.begun.clear()
        elif isinstance(event, events.Failed):
            self._failed(event)

    def _failed(self, event: events.Failed) -> None:
        seen = self.seen.setdefault(event.vertex, _Seen())
        seen.failures = {**seen.failures, event.kind: event.failure}
        seen.attempts = {**seen.attempts, event.kind: event.attempt}
        self.begun.discard(event.vertex)
        notes = self._notes(event.notes.get(event.vertex, {}))
        if event.kind == "map" or seen.outcome:
            seen.take_notes(event.kind, 0, notes)
        else:  # it ran in the trip of its mapper, which had succeeded
            seen.outcome = "combined"
            seen.take_notes("map", 0, notes)

    def _notes(self, notes: dict[str, Any]) -> dict[str, Any]:
        """Return notes as far as the trace has room for them."""
        if not notes or self._wanted is not None:
            return notes
        self._left_bytes -= len(pack(notes))
        return notes if self._left_bytes >= 0 else {"output": LEFT_OUT}

    def chunk_of(self, vertex: int) -> _TracedChunk | None:
        position = bisect.bisect_right(self.chunks, vertex, key=lambda chunk: chunk.start) - 1
        if position < 0:
            return None
        chunk = self.chunks[position]
        return chunk if vertex < chunk.start + chunk.count else None

    def _add(self, mapped: events.Mapped) -> None:
        start, count = mapped.start, mapped.count
        if self.chunks and start <= self.chunks[-1].start:
            return  # a later attempt yielded the same children again
        kept = mapped.payload if self._shown_in(start, count) else None
        chunk = _TracedChunk(start, count, mapped.parent, mapped.step, mapped.at, kept)
        self.chunks.append(chunk)

    def _shown_in(self, first: int, count: int) -> range:
        if self._wanted is not None:
            return range(max(first, self._wanted), min(first + count, self._wanted + 1))
        return range(first, min(first + count, self.limit))

    def _done(self, event: events.Done) -> None:
        spent = unpack_offsets(event.durations)
        ran = self._runs(event, spent)
        for vertex in self._shown_in(event.first, event.count):
            seen = self.seen.setdefault(vertex, _Seen())
            notes = self._notes(event.notes.get(vertex, {}))
            seen.take_notes(event.kind, event.partition, notes)
            if event.kind == "reduce":
                spent_us = spent[0] if spent else 0
                seen.reduced = ran[0]
                seen.reduce_us = {**seen.reduce_us, event.partition: spent_us}
                others = {kind: one for kind, one in seen.failures.items() if kind != "reduce"}
                seen.failures = others or _NOTHING
                continue
            seen.outcome = event.outcome
            seen.failures = _NOTHING
            position, count = vertex - event.first, event.count
            seen.ran = ran[position]
            if len(spent) == 3 * count:
                by_kind = spent[position], spent[count + position], spent[2 * count + position]
                seen.durations_us = by_kind
            elif spent:
                seen.durations_us = (spent[position], 0, 0)

    def _runs(self, event: events.Done, spent: Sequence[int]) -> list[_Ran]:
        """Return where and since when each invocation of an event ran."""
        node, span = event.node or self._owner, event.span
        if span is None:
            return [_Ran(node)] * event.count
        begun = spans.starts(event.at, span, spent, event.count)
        return [_Ran(node, span.executor, at) for at in begun]

    def _retried(self, event: events.Retried) -> None:
        if event.kind == "map":
            self.begun.difference_update(range(event.first, event.first + event.count))
        for vertex in self._shown_in(event.first, event.count):
            seen = self.seen.setdefault(vertex, _Seen())
            seen.attempts = {**seen.attempts, event.kind: event.attempt}
            seen.failures = {**seen.failures, event.kind: event.failure}
            seen.queued_at = event.at + event.delay_s
            if event.kind == "map":
                seen.outcome = ""
                seen.reduce_us = _NOTHING
            elif not seen.outcome:  # it ran in the trip of its mapper, which runs again with it
                seen.attempts = {**seen.attempts, "map": seen.attempts.get("map", 1) + 1}


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
    reader, plan, counts = _read_log(store, request, _Reader(limit))
    request = msgspec.structs.replace(request, counts=counts)
    if plan is None:
        return TraceView(request=request_view(request), root=None)
    root = _Tree(reader, plan, request).build()
    return TraceView(
        request=request_view(request), root=root, deliveries=deliveries.read(store, request)
    )


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
    reader, plan, _ = _read_log(store, request, _Reader(0, wanted=vertex))
    chunk = reader.chunk_of(vertex)
    if plan is not None and chunk is not None:
        tree = _Tree(reader, plan, request)
        for node in tree.nodes_of(vertex, chunk):
            if node.invocation_id == wanted:
                return node
    raise NotFound("invocation", f"{workflow}/{request_id}/{wanted}")


def _read_log(
    store: Store, request: model.Request, reader: _Reader
) -> tuple[_Reader, Plan | None, model.Counts]:
    """Read a log and return its sum; the entity gets the counts only at its end."""
    plan, state = None, None
    for _, record in event_log.read(store, request.workflow_name, request.request_id):
        event = events.known_part(record)
        if event is None:
            continue
        reader.take(event)
        if isinstance(event, events.Accepted):
            plan = _plan(store, request.workflow_name, event.plan)
            state = RequestState(plan) if plan is not None and not request.is_done else None
        if state is not None:
            state.apply(event)
    return reader, plan, request.counts if state is None else state.counts


def _plan(store: Store, workflow: str, digest: str) -> Plan | None:
    entry = store.get(keys.plan(workflow, digest))
    try:
        return decoded(Plan, entry) if entry else None
    except FormUnknown:
        return None


class _Tree:
    """Builds trace nodes from what a reader kept."""

    def __init__(self, reader: _Reader, plan: Plan, request: model.Request) -> None:
        self._reader = reader
        self._plan = plan
        self._is_done = request.is_done
        self._children: dict[int, list[_TracedChunk]] = {}
        for chunk in reader.chunks:
            self._children.setdefault(chunk.parent, []).append(chunk)

    def build(self) -> TraceNode | None:
        """Return the tree, built from the leaves up, because it may be deeper than the stack."""
        built: dict[int, TraceNode] = {}
        for vertex in sorted(self._shown(), reverse=True):
            chunk = self._reader.chunk_of(vertex)
            if chunk is not None:
                built[vertex] = self._mapper(vertex, chunk, built)
        return built.get(ROOT)

    def nodes_of(self, vertex: int, chunk: _TracedChunk) -> Iterator[TraceNode]:
        """Yield the mapper, the combiner and the reducer of a vertex, without children."""
        seen = self._reader.seen.get(vertex, _Seen())
        step = self._plan.steps[chunk.step]
        yield self._node("map", vertex, chunk, step, seen)
        if step.combiner is not None and seen.outcome in ("reduced", "combined"):
            yield self._node("combine", vertex, chunk, step, seen)
        yield self._node("reduce", vertex, chunk, step, seen)

    def _shown(self) -> set[int]:
        last = self._reader.chunks[-1] if self._reader.chunks else None
        stop = last.start + last.count if last else 0
        shown = set(range(min(stop, self._reader.limit)))
        for vertex in self._reader.seen:
            above: int = vertex
            while above not in shown and above >= 0:
                shown.add(above)
                chunk = self._reader.chunk_of(above)
                above = chunk.parent if chunk else -1
        return shown

    def _mapper(self, vertex: int, chunk: _TracedChunk, built: dict[int, TraceNode]) -> TraceNode:
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
        self, kind: events.Kind, vertex: int, chunk: _TracedChunk, step: PlanStep, seen: _Seen
    ) -> TraceNode:
        ref = {"map": step.mapper, "combine": step.combiner, "reduce": step.reducer}[kind]
        session = seen.session if kind == "map" else None
        ran = _ran(kind, seen)
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
            duration_s=_duration_s(kind, seen),
            input=_input(chunk, vertex) if kind == "map" else None,
            output=seen.output(kind),
            session=to_jsonable(session) if session else None,
            failure=seen.failures.get(kind),
        )

    def _state(self, kind: str, vertex: int, seen: _Seen) -> str:
        if not self._is_done and kind == "map" and not seen.outcome:
            return "running" if vertex in self._reader.begun else "pending"
        if kind in seen.failures and (self._is_done or not seen.outcome):
            return "failed" if self._is_done else "pending"
        reduced = seen.outcome == "reduced" or bool(seen.reduce_us)
        if reduced if kind == "reduce" else seen.outcome:
            return "succeeded"
        return "cancelled" if self._is_done else "pending"


_OWN_FIELDS: Final = tuple(
    name for name in TraceNode.__struct_fields__ if name not in ("children", "hidden")
)


def _ran(kind: events.Kind, seen: _Seen) -> _Ran:
    """Return where and since when an invocation ran; one that has not ended ran nowhere."""
    if kind == "reduce" and seen.reduce_us:
        return seen.reduced
    if not seen.outcome or (kind == "reduce" and seen.outcome != "reduced"):
        return _NOWHERE
    before_us = sum(seen.durations_us[: _KINDS.index(kind)])
    at = seen.ran.started_at
    return seen.ran._replace(started_at=at + before_us / 1e6) if at and before_us else seen.ran


def _duration_s(kind: events.Kind, seen: _Seen) -> float | None:
    if kind == "reduce" and seen.reduce_us:
        return sum(seen.reduce_us.values()) / 1e6
    spent = seen.durations_us[_KINDS.index(kind)]
    return spent / 1e6 if seen.outcome and (spent or kind == "map") else None


def _input(chunk: _TracedChunk, vertex: int) -> str | None:
    payload = chunk.payload
    if payload is None or payload.inline is None:
        return None
    start, stop = cut(payload, vertex - chunk.start, vertex - chunk.start + 1)
    text = repr(unpack(payload.inline[start:stop]))
    return text if len(text) <= INPUT_CHARACTERS else f"{text[: INPUT_CHARACTERS - 3]}..."
