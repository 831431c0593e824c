"""A dump of a request: every invocation, with all that is known of it.

It is a fold over the log that forgets an invocation once it is written, so that its memory depends
on how many are open at a time. They come in the order in which they ended, then those that have not
ended. An invocation that ran again after it had ended comes once, as it ended last.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Final

from jobx.actors.inspection.dumps.lines import Chunks, DumpAttempt, DumpLine
from jobx.actors.inspection.dumps.values import DumpValues, Shown
from jobx.actors.request import events, spans
from jobx.actors.request.ids import invocation_id
from jobx.actors.request.tree import MAPPER, ROOT
from jobx.errors import BlobDamaged, FormUnknown, InvalidInput, JobxError, NotFound
from jobx.kv import keys
from jobx.kv.blobs import BlobFolder
from jobx.kv.entries import decoded
from jobx.kv.requests import event_log, request_entity
from jobx.kv.store import Store
from jobx.model import Plan
from jobx.payload import Payload, StageData, unpack_offsets
from jobx.questions import GetDump
from jobx.work import QUICK_NS

#: Bytes of mapped chunks that are held; others are read again.
_CHUNK_BYTES: Final = 16 << 20
#: Lines of what has not ended that are written together.
_MANY: Final = 1000
#: Failed attempts that are held, likewise.
_ATTEMPTS: Final = 1000
_STAGES: Final[dict[str, str]] = {"map": "mapper", "combine": "combiner", "reduce": "reducer"}
_OUTPUTS: Final = {"map": "output", "combine": "combiner_output", "reduce": "reducer_output"}
#: What is noted of each vertex: nothing yet, its reducer is still to come, all is written.
_OPEN, _MAPPED, _WRITTEN = range(3)

_AS_YIELDED: Final = Shown(why="they are the arguments of its children")
_OF_MAPPER: Final = Shown(why="they are the data of its mapper")
_OF_COMBINER: Final = Shown(why="they are the data of its combiner")
_OF_CHILDREN: Final = Shown(why="they are the data of the reducers of its mapper's children")
_OWN: Final = Shown(why="they are the data of its mapper or combiner, if that mapped no further")
_QUICK: Final = Shown(why="it took under 0.25 ms, or its batch did for each")
_FULL: Final = Shown(why="there was no room for it on the disk or within retention.data_bytes")
_UNKEPT: Final = Shown(why="retention.data was none, or retention.data_bytes was reached")
_DROPPED: Final = Shown(why="it was removed when the request had succeeded (retention.data)")
_UNENDED: Final = Shown(why="it has not ended")


@dataclass(slots=True)  # frozen ones are slow to make, and there is one for each event
class _Batch:
    """What the lines of one event have in common."""

    event: events.Done
    position: int
    step: str
    named: dict[str, tuple[str, str]]
    spent: Sequence[int]
    begun: Sequence[float | None]
    arguments: Sequence[Shown]
    node_id: str | None
    executor: int | None
    #: Why the data of stages is absent if it is.
    why: Shown

    def started_at(self, n: int, before_us: int) -> float | None:
        begun = self.begun[n]
        return None if begun is None else begun + before_us / 1e6


class Dump:
    """Reads the log of one request, once: ``lines`` is for one call.

    Args:
        store: Where it is.
        blobs: The folders of large values.
        asked: What is wanted.

    Raises:
        NotFound: There is no such request.
        InvalidInput: It is to be below what is no mapper.
    """

    def __init__(self, store: Store, blobs: BlobFolder, asked: GetDump) -> None:
        self._names = names = asked.workflow, asked.request_id
        self.request = request_entity.get(store, *names)
        self.values = DumpValues(
            blobs, *names, max_bytes=asked.max_value_bytes, is_redacted=asked.is_redacted
        )
        self._store = store
        self._asked = asked
        self._top = _mapper(asked.below)
        self._is_all = not asked.states and asked.attempts == 1
        self._owner = ""
        self._plan: Plan | None = None
        self._named: dict[str, dict[str, tuple[str, str]]] = {}
        self.chunks = Chunks()
        self._marks = bytearray()
        self._children: dict[int, int] = {}
        #: Numbers of the events of failed attempts, by vertex and kind, of what has not ended.
        self._tries: dict[tuple[int, str], list[int]] = {}
        self._failed: dict[tuple[int, str], int] = {}
        self._undone = self._ends_undone() if self.request.counts.retried else {}
        self._payloads: OrderedDict[int, Payload] = OrderedDict()
        self._payload_bytes = 0
        self._attempts: OrderedDict[int, events.Retried | events.Failed] = OrderedDict()

    def lines(self) -> Iterator[DumpLine]:
        """Yield the wanted lines; see ``batches``."""
        return chain.from_iterable(self.batches())

    def batches(self) -> Iterator[Sequence[DumpLine]]:
        """Yield the wanted lines, many at a time.

        Raises:
            JobxError: The log cannot be read on.
        """
        for number, record in event_log.read(self._store, *self._names):
            event = events.known_part(record)
            take = _TAKE.get(type(event))
            if take is not None and (found := take(self, number, event)):
                yield found if self._is_all else list(filter(self._is_wanted, found))
        unended = filter(self._is_wanted, self._unended())
        while found := list(islice(unended, _MANY)):
            yield found

    def input_of(self, vertex: int) -> Any:
        """Return the input of a mapper that was read: [key, value], of the root a list of them.

        Raises:
            NotFound: It was not mapped.
            BlobDamaged: It is gone; BlobUnreadable: it cannot be read.
        """
        position = self.chunks.of(vertex)
        payload = self._payload(position) if position >= 0 else None
        if payload is None:
            raise NotFound("invocation", f"m{vertex}")
        return self.values.item(payload, vertex - self.chunks.starts[position])

    def _is_wanted(self, line: DumpLine) -> bool:
        asked = self._asked
        return self._is_all or (
            (not asked.states or line.state in asked.states) and line.attempt >= asked.attempts
        )

    def _ends_undone(self) -> dict[int, int]:
        """Return by vertex the last event that undid the end of a mapper: its output was gone."""
        found: dict[int, int] = {}
        for number, record in event_log.read(self._store, *self._names):
            event = events.known_part(record) if record.get("event") == "retried" else None
            if isinstance(event, events.Retried) and event.failure.kind == "blob":
                found |= dict.fromkeys(range(event.first, event.first + event.count), number)
        return found

    def _accepted(self, number: int, event: events.Accepted) -> Sequence[DumpLine]:
        self._owner = event.node
        self._plan = _plan(self._store, self._names[0], event.plan)
        root = ROOT, MAPPER, event.step, ROOT, 1, event.arguments
        return self._mapped(number, events.Mapped(event.at, *root, ""))

    def _mapped(self, number: int, event: events.Mapped) -> Sequence[DumpLine]:
        if event.parent >= 0:
            self._children[event.parent] = self._children.get(event.parent, 0) + event.count
        if self.chunks.add(number, event, is_wanted=self._is_chunk_wanted(event)):
            self._marks.extend(bytes(max(0, event.start + event.count - len(self._marks))))
            self._hold(number, event.payload)
        return ()

    def _is_chunk_wanted(self, event: events.Mapped) -> bool:
        if self._asked.steps and event.step not in self._asked.steps:
            return False
        top = self._top
        if top is None or event.start <= top < event.start + event.count:
            return True
        return event.parent >= 0 and self.chunks.is_below(top, event.parent)

    def _is_shown(self, position: int, vertex: int) -> bool:
        """Tell whether a vertex is wanted: of the top's chunk the top alone is."""
        if not self.chunks.is_wanted[position]:
            return False
        return self._top in (None, vertex) or self._top not in self.chunks.vertices(position)

    def _adopted(self, _: int, event: events.Adopted) -> Sequence[DumpLine]:
        self._owner = event.node
        return ()

    def _retried(self, number: int, event: events.Retried) -> Sequence[DumpLine]:
        self._keep_attempt(number, event)
        for vertex in range(event.first, event.first + event.count):
            self._tries.setdefault((vertex, event.kind), []).append(number)
            self._children.pop(vertex, None)
        return ()

    def _failed_for_good(self, number: int, event: events.Failed) -> Sequence[DumpLine]:
        self._keep_attempt(number, event)
        self._failed[event.vertex, event.kind] = number
        return ()

    def _done(self, number: int, event: events.Done) -> Sequence[DumpLine]:
        first, stop = event.first, event.first + event.count
        position = self.chunks.of(first)
        if position < 0 or (self._undone and self._undone.get(first, -1) > number):
            return ()
        if event.kind == "reduce":
            self._marks[first] = _WRITTEN
            return (self._reduced(position, event),) if self._is_shown(position, first) else ()
        is_reduced = event.outcome == "reduced"
        self._marks[first:stop] = bytes([_WRITTEN if is_reduced else _MAPPED]) * event.count
        lines = self._ended(position, event) if self.chunks.is_wanted[position] else ()
        if self._tries:
            self._forget_tries(range(first, stop), is_reduced=is_reduced)
        return lines

    def _forget_tries(self, vertices: range, *, is_reduced: bool) -> None:
        for vertex in vertices:
            for kind in ("map", "combine", "reduce") if is_reduced else ("map", "combine"):
                self._tries.pop((vertex, kind), None)

    def _ended(self, position: int, event: events.Done) -> Sequence[DumpLine]:
        """Return the lines of mappers that have ended, with those of what ran in their trips."""
        batch = self._batch(position, event)
        has_combiner = "combine" in batch.named and event.outcome != "mapped"
        is_reduced, is_all = event.outcome == "reduced", self._top is None
        lines: list[DumpLine] = []
        for n, vertex in enumerate(range(event.first, event.first + event.count)):
            if not (is_all or self._is_shown(position, vertex)):
                continue
            is_last = not (has_combiner or is_reduced)
            lines.append(self._mapper_line(batch, n, vertex, is_last=is_last))
            if has_combiner:
                is_last = not is_reduced
                lines.append(self._later_line(batch, n, vertex, "combine", is_last=is_last))
            if is_reduced:
                lines.append(self._later_line(batch, n, vertex, "reduce", is_last=False))
        return lines

    def _batch(self, position: int, event: events.Done) -> _Batch:
        count, step = event.count, self.chunks.steps[position]
        spent: Sequence[int] = unpack_offsets(event.durations)
        if len(spent) != 3 * count:
            spent = [*spent[:1], *[0] * (3 * count)][: 3 * count]
        begun: Sequence[float | None] = (None,) * count
        if event.span is not None and count == 1:
            begun = (event.at - event.span.began_us / 1e6,)
        elif event.span is not None:
            begun = list(spans.starts(event.at, event.span, spent, count))
        at = event.first - self.chunks.starts[position]
        return _Batch(
            event=event,
            position=position,
            step=step,
            named=self.handlers_of(step),
            spent=spent,
            begun=begun,
            arguments=self.values.arguments(self._payload(position), at, count),
            node_id=event.node or self._owner or None,
            executor=event.span.executor if event.span is not None else None,
            why=_why(event.data, sum(spent) / count),
        )

    def _mapper_line(self, batch: _Batch, n: int, vertex: int, *, is_last: bool) -> DumpLine:
        event, position = batch.event, batch.position
        if event.outcome == "mapped":
            data = _AS_YIELDED
        elif is_last:
            data = self.values.pairs(event.payloads)
        else:
            data = self._staged(event.data, vertex, "map", batch.why)
        line = self._line("map", vertex, batch, (batch.arguments[n], data))
        line.parent = _parent(self.chunks.parents[position])
        line.ran(self._queued_at(position, vertex), batch.begun[n], batch.spent[n])
        if event.outcome == "mapped":
            line.children = self._children.pop(vertex, 0)
        return line

    def _later_line(
        self, batch: _Batch, n: int, vertex: int, kind: events.Kind, *, is_last: bool
    ) -> DumpLine:
        """Return the line of a combiner or reducer that ran in the trip of its mapper."""
        event, count, spent = batch.event, batch.event.count, batch.spent
        before_us, own_us = spent[n], spent[count + n]
        arguments = _OF_MAPPER
        if kind == "reduce":
            before_us, own_us = before_us + own_us, spent[2 * count + n]
            arguments = _OF_COMBINER if "combine" in batch.named else _OF_MAPPER
        if is_last:
            data = self.values.pairs(event.payloads)
        else:
            data = self._staged(event.data, vertex, kind, batch.why)
        line = self._line(kind, vertex, batch, (arguments, data))
        line.parent = f"m{vertex}"
        line.ran(None, batch.started_at(n, before_us), own_us)
        return line

    def _line(
        self, kind: events.Kind, vertex: int, batch: _Batch, shown: tuple[Shown, Shown]
    ) -> DumpLine:
        line = self._bare_line(kind, vertex, batch.step, "succeeded", shown)
        line.node_id, line.executor = batch.node_id, batch.executor
        notes = batch.event.notes
        if notes and vertex in notes:
            self._note(line, notes[vertex])
        return line

    def _bare_line(
        self, kind: str, vertex: int, step: str, state: str, shown: tuple[Shown, Shown]
    ) -> DumpLine:
        (arguments, arguments_why), (data, data_why) = shown
        name, version = self.handlers_of(step).get(kind, ("", ""))
        line = DumpLine(f"{kind[0]}{vertex}", kind, state, step, name, version, 1)
        line.arguments, line.data = arguments, data
        if arguments_why:
            line.absent = {"arguments": arguments_why}
        if data_why:
            line.absent = {**line.absent, "data": data_why}
        if self._tries:
            self._note_attempts(line, vertex, kind)
        return line

    def _reduced(self, position: int, event: events.Done) -> DumpLine:
        """Return the line of a reducer that ran by itself, or of one of its partitions."""
        vertex, step = event.first, self.chunks.steps[position]
        shown = _OF_CHILDREN, self.values.pairs(event.payloads)
        line = self._bare_line("reduce", vertex, step, "succeeded", shown)
        line.parent, line.partition = f"m{vertex}", event.partition
        line.node_id = event.node or self._owner or None
        if vertex in event.notes:
            self._note(line, event.notes[vertex])
        if event.span is not None:
            line.executor = event.span.executor
            line.ran(None, event.at - event.span.began_us / 1e6, event.span.us)
        return line

    def _unended(self) -> Iterator[DumpLine]:
        """Yield the lines of what has not ended, or failed."""
        chunks, marks = self.chunks, self._marks
        for position in range(len(chunks.starts)):
            vertices = chunks.vertices(position)
            if marks.count(_WRITTEN, vertices.start, vertices.stop) == len(vertices):
                continue
            for vertex in vertices:
                if marks[vertex] == _WRITTEN or not self._is_shown(position, vertex):
                    continue
                yield from self._left_open(position, vertex, is_mapped=marks[vertex] == _MAPPED)

    def _left_open(self, position: int, vertex: int, *, is_mapped: bool) -> Iterator[DumpLine]:
        """Yield the lines of a vertex that has not ended; those before what failed succeeded."""
        named = self.handlers_of(self.chunks.steps[position])
        kinds = [kind for kind in _STAGES if kind in named or kind != "combine"]
        blamed = [kind for kind in kinds if (vertex, kind) in self._failed]
        if is_mapped:
            yield self._open_line(position, vertex, "reduce")
            return
        for kind in kinds[: kinds.index(blamed[0]) + 1] if blamed else kinds[:1]:
            yield self._open_line(position, vertex, kind, is_before=kind not in blamed[:1] != [])

    def _open_line(
        self, position: int, vertex: int, kind: str, *, is_before: bool = False
    ) -> DumpLine:
        step, number = self.chunks.steps[position], self._failed.get((vertex, kind))
        arguments = _OWN
        if kind == "map":
            at = vertex - self.chunks.starts[position]
            (arguments,) = self.values.arguments(self._payload(position), at, 1)
        state = "succeeded" if is_before else self._open_state(vertex, kind, number)
        line = self._bare_line(kind, vertex, step, state, (arguments, _UNENDED))
        line.parent = f"m{vertex}"
        if kind == "map":
            line.parent = _parent(self.chunks.parents[position])
            line.queued_at = self._queued_at(position, vertex)
        if is_before:
            self._note_data_before(line, vertex, kind)
        elif number is not None:
            self._note_failure(line, number, vertex)
        return line

    def _open_state(self, vertex: int, kind: str, number: int | None) -> str:
        if number is not None:
            return "failed"
        if self.request.is_done:
            return "cancelled"
        return "running" if kind == "map" and vertex in self._children else "pending"

    def _note_data_before(self, line: DumpLine, vertex: int, kind: str) -> None:
        """Give the line of a stage before one that failed what it yielded."""
        numbers = [self._failed[vertex, k] for k in _STAGES if (vertex, k) in self._failed]
        event = self._attempt(numbers[0])
        shown = self._staged(event.data, vertex, kind, _why(event.data, 0.0))
        line.data = shown.value
        line.absent.pop("data", None)
        if shown.why:
            line.absent = {**line.absent, "data": shown.why}

    def _note_failure(self, line: DumpLine, number: int, vertex: int) -> None:
        found = self._shown_attempt(number, vertex, line.kind)
        line.failure, line.attempt = found.failure, found.attempt
        line.output, line.run_s = found.output, found.run_s
        line.node_id, line.executor = found.node_id, found.executor
        line.started_at = found.started_at
        line.absent = {**line.absent, "data": "it failed"}

    def _note(self, line: DumpLine, notes: dict[str, Any]) -> None:
        """Give a line what its invocation left beside its pairs."""
        text = notes.get(_OUTPUTS[line.kind])
        if text is None and line.partition is not None:
            text = notes.get("output")
        if text is not None:
            line.output = self.values.text(text)
        if line.kind == "map" and notes.get("session"):
            line.session = self.values.show(notes["session"])

    def _note_attempts(self, line: DumpLine, vertex: int, kind: str) -> None:
        """Give a line the attempts before it; that of a mapper failed with its later stages."""
        of = ("map", "combine", "reduce") if kind == "map" else (kind,)
        numbers = sorted(n for one in of for n in self._tries.get((vertex, one), ()))
        if numbers:
            line.attempts = [self._shown_attempt(n, vertex, kind) for n in numbers]
            line.attempt = line.attempts[-1].attempt + 1

    def _shown_attempt(self, number: int, vertex: int, kind: str) -> DumpAttempt:
        event = self._attempt(number)
        is_retried = isinstance(event, events.Retried)
        notes = event.notes.get(vertex, {})
        text = notes.get(_OUTPUTS[kind], notes.get("output"))
        span = event.span
        return DumpAttempt(
            attempt=event.attempt - is_retried,
            failed_at=event.at,
            failure=self.values.failure(event.failure),
            node_id=event.node or self._owner or None,
            executor=span.executor if span else None,
            started_at=round(event.at - span.began_us / 1e6, 6) if span else None,
            run_s=span.us / 1e6 if span else None,
            output=None if text is None else self.values.text(text),
        )

    def _queued_at(self, position: int, vertex: int) -> float:
        """Return since when a mapper could run, in its present attempt."""
        numbers = self._tries.get((vertex, "map")) if self._tries else None
        event = self._attempt(numbers[-1]) if numbers else None
        if isinstance(event, events.Retried):
            return event.at + event.delay_s
        return self.chunks.at[position]

    def _staged(self, data: StageData | None, vertex: int, kind: str, why: Shown) -> Shown:
        """Return what a stage yielded, or why it is absent."""
        if data is None or not data.blob:
            return why
        try:
            return self.values.stage(data, vertex, _STAGES[kind]) or why
        except BlobDamaged:
            is_dropped = self.request.state == "succeeded"
            return _DROPPED if is_dropped else Shown(why="its blob is gone, or damaged")
        except JobxError as error:
            return Shown(why=f"it cannot be read: {error}")

    def handlers_of(self, step: str) -> dict[str, tuple[str, str]]:
        """Return the names and versions of the handlers of a step, by kind."""
        found = self._named.get(step)
        if found is None:
            found = self._named[step] = {}
            planned = self._plan.steps.get(step) if self._plan is not None else None
            if planned is not None:
                refs = planned.mapper, planned.combiner, planned.reducer
                for kind, ref in zip(_STAGES, refs, strict=True):
                    if ref is not None:
                        found[kind] = ref.handler_name, ref.version
        return found

    def _hold(self, number: int, payload: Payload) -> None:
        self._payloads[number] = payload
        self._payload_bytes += len(payload.inline or b"")
        while self._payload_bytes > _CHUNK_BYTES and len(self._payloads) > 1:
            _, dropped = self._payloads.popitem(last=False)
            self._payload_bytes -= len(dropped.inline or b"")

    def _payload(self, position: int) -> Payload | None:
        """Return the payload of a chunk, from the log if it is not held."""
        number = self.chunks.numbers[position]
        found = self._payloads.get(number)
        if found is None:
            event = self._event(number)
            if isinstance(event, events.Accepted):
                found = event.arguments
            elif isinstance(event, events.Mapped):
                found = event.payload
            if found is not None:
                self._hold(number, found)
        return found

    def _keep_attempt(self, number: int, event: events.Retried | events.Failed) -> None:
        self._attempts[number] = event
        if len(self._attempts) > _ATTEMPTS:
            self._attempts.popitem(last=False)

    def _attempt(self, number: int) -> events.Retried | events.Failed:
        found = self._attempts.get(number)
        if found is None:
            event = self._event(number)
            assert isinstance(event, events.Retried | events.Failed)  # noqa: S101 - it was one
            found = event
            self._keep_attempt(number, found)
        return found

    def _event(self, number: int) -> events.Event | None:
        entry = self._store.get(keys.event(*self._names, number))
        return events.known_part(event_log.decode_record(entry.value)) if entry else None


def _why(data: StageData | None, mean_us: float) -> Shown:
    """Return why what a stage yielded is not in the blob of its batch."""
    if mean_us * 1000 < QUICK_NS:
        return _QUICK
    return _UNKEPT if data is None else _FULL


def _mapper(name: str | None) -> int | None:
    """Return the vertex of a mapper by its name.

    Raises:
        InvalidInput: It is none.
    """
    if name is None:
        return None
    if re.fullmatch("m[0-9]{1,18}", name) is None:
        raise InvalidInput("below", repr(name)[:80], "name a mapper: m and a number")
    return int(name[1:])


def _parent(vertex: int) -> str | None:
    return None if vertex < 0 else invocation_id("map", vertex)


def _plan(store: Store, workflow: str, digest: str) -> Plan | None:
    entry = store.get(keys.plan(workflow, digest))
    try:
        return decoded(Plan, entry) if entry else None
    except FormUnknown:
        return None


_TAKE: Final[dict[type, Callable[[Dump, int, Any], Sequence[DumpLine]]]] = {
    events.Accepted: Dump._accepted,
    events.Mapped: Dump._mapped,
    events.Adopted: Dump._adopted,
    events.Retried: Dump._retried,
    events.Failed: Dump._failed_for_good,
    events.Done: Dump._done,
}
