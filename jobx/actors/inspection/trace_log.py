"""What a trace keeps of the log of a request, event by event."""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from jobx.actors.request import events, spans
from jobx.actors.request.branches import MAPPER, ROOT
from jobx.model import Failure
from jobx.payload import Payload, unpack_offsets
from jobx.values import pack

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
class TracedChunk:
    """Siblings of one chunk; the payload is kept if some of them are shown."""

    start: int
    count: int
    parent: int
    step: str
    at: float
    payload: Payload | None


class Ran(NamedTuple):
    """Where and since when something ran; 0 where the log does not say."""

    node: str = ""
    executor: int = 0
    started_at: float = 0.0


NOWHERE: Final = Ran()


@dataclass(slots=True)
class Seen:
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
    ran: Ran = NOWHERE
    reduced: Ran = NOWHERE
    #: When its present attempt may begin; 0: as soon as it was mapped.
    queued_at: float = 0.0

    def take_notes(self, kind: events.Kind, partition: int, notes: dict[str, Any]) -> None:
        """Keep what an invocation left beside its pairs."""
        if kind == "map":
            self.outputs = _NOTHING
            self.session = notes.get("session", _NOTHING)
        for name, its_kind in (("output", kind), *_LATER_OUTPUTS) if notes else ():
            if name in notes:
                self.outputs = {**self.outputs, (its_kind, partition): notes[name]}

    def output(self, kind: str) -> str | None:
        """Return the captured output, of all partitions."""
        parts = sorted(key for key in self.outputs if key[0] == kind)
        return "".join(self.outputs[key] for key in parts) if parts else None

    def where(self, kind: events.Kind) -> Ran:
        """Return where and since when an invocation ran; one that has not ended ran nowhere."""
        if kind == "reduce" and self.reduce_us:
            return self.reduced
        if kind == "map" and kind in self.failures:  # its last attempt
            return self.ran
        if not self.outcome or (kind == "reduce" and self.outcome != "reduced"):
            return NOWHERE
        before_us = sum(self.durations_us[: _KINDS.index(kind)])
        at = self.ran.started_at
        return self.ran._replace(started_at=at + before_us / 1e6) if at and before_us else self.ran

    def duration_s(self, kind: events.Kind) -> float | None:
        """Return how long an invocation took; None where the log does not say."""
        if kind == "reduce" and self.reduce_us:
            return sum(self.reduce_us.values()) / 1e6
        spent = self.durations_us[_KINDS.index(kind)]
        has_ended = self.outcome or (kind in self.failures and self.ran.started_at)
        return spent / 1e6 if has_ended and (spent or kind == "map") else None


class TraceLog:
    """Takes the events of a log one after the other and keeps what the trace shows.

    Args:
        limit: Vertices below it are shown.
        wanted: Only this vertex is.
    """

    def __init__(self, limit: int, wanted: int | None = None) -> None:
        self.chunks: list[TracedChunk] = []
        self.seen: dict[int, Seen] = {}
        #: Mappers that have mapped on in their present attempt.
        self.begun: set[int] = set()
        self.limit = limit
        #: The node that coordinates the request.
        self._owner = ""
        self._wanted = wanted
        self._left_bytes = TEXT_BYTES

    def take(self, event: events.Event) -> None:
        """Take the next event."""
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
        seen = self.seen.setdefault(event.vertex, Seen())
        seen.failures = {**seen.failures, event.kind: event.failure}
        seen.attempts = {**seen.attempts, event.kind: event.attempt}
        self.begun.discard(event.vertex)
        if event.kind == "map" and event.span is not None:
            began_at = event.at - event.span.began_us / 1e6
            seen.ran = Ran(event.node or self._owner, event.span.executor, began_at)
            seen.durations_us = (event.span.us, 0, 0)
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

    def chunk_of(self, vertex: int) -> TracedChunk | None:
        """Return the chunk that a vertex is in, if it was mapped."""
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
        chunk = TracedChunk(start, count, mapped.parent, mapped.step, mapped.at, kept)
        self.chunks.append(chunk)

    def shows(self, first: int, count: int) -> bool:
        """Whether it keeps anything of vertices."""
        return len(self._shown_in(first, count)) > 0

    def _shown_in(self, first: int, count: int) -> range:
        if self._wanted is not None:
            return range(max(first, self._wanted), min(first + count, self._wanted + 1))
        return range(first, min(first + count, self.limit))

    def _done(self, event: events.Done) -> None:
        spent = unpack_offsets(event.durations)
        ran = self._runs(event, spent)
        for vertex in self._shown_in(event.first, event.count):
            seen = self.seen.setdefault(vertex, Seen())
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

    def _runs(self, event: events.Done, spent: Sequence[int]) -> list[Ran]:
        """Return where and since when each invocation of an event ran."""
        node, span = event.node or self._owner, event.span
        if span is None:
            return [Ran(node)] * event.count
        begun = spans.starts(event.at, span, spent, event.count)
        return [Ran(node, span.executor, at) for at in begun]

    def _retried(self, event: events.Retried) -> None:
        if event.kind == "map":
            self.begun.difference_update(range(event.first, event.first + event.count))
        for vertex in self._shown_in(event.first, event.count):
            seen = self.seen.setdefault(vertex, Seen())
            seen.attempts = {**seen.attempts, event.kind: event.attempt}
            seen.failures = {**seen.failures, event.kind: event.failure}
            seen.queued_at = event.at + event.delay_s
            if event.kind == "map":
                seen.outcome = ""
                seen.ran = NOWHERE
                seen.reduce_us = _NOTHING
            elif not seen.outcome:  # it ran in the trip of its mapper, which runs again with it
                seen.attempts = {**seen.attempts, "map": seen.attempts.get("map", 1) + 1}
