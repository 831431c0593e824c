"""A dump of a request: every invocation, with all that is known of it.

It is a fold over the log that forgets an invocation once it is written, so that its memory depends
on how many are open at a time. They come in the order in which they ended, then those that have not
ended. An invocation that ran again after it had ended comes once, as it ended last.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice
from typing import Any, Final

from jobx.actors.inspection.dumps.ended import ended_lines, reduced_line
from jobx.actors.inspection.dumps.line_maker import LineMaker
from jobx.actors.inspection.dumps.lines import DumpLine
from jobx.actors.inspection.dumps.log import DumpLog, Ended, event_of
from jobx.actors.inspection.dumps.plain import PlainEnds
from jobx.actors.inspection.dumps.unended import open_lines
from jobx.actors.inspection.dumps.values import DumpValues
from jobx.actors.request import events
from jobx.actors.request.branches import MAPPER, ROOT
from jobx.errors import InvalidInput, NotFound, quote
from jobx.kv import keys
from jobx.kv.blobs import BlobFolder
from jobx.kv.requests import event_log, request_entity
from jobx.kv.store import Store
from jobx.questions import GetDump

#: Lines of what has not ended that are written together.
_MANY: Final = 1000
#: What is noted of each vertex: nothing yet, its reducer is still to come, all is written.
_OPEN, _MAPPED, _WRITTEN = range(3)


class Dump(LineMaker):
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
        values = DumpValues(
            blobs, *names, max_bytes=asked.max_value_bytes, is_redacted=asked.is_redacted
        )
        super().__init__(request_entity.get(store, *names), values, DumpLog(store, *names))
        self.top = _mapper(asked.below)
        self._store = store
        self._asked = asked
        self._is_all = not asked.states and asked.attempts == 1
        self._plain = PlainEnds(self)
        self._marks = bytearray()
        self._undone = self._ends_undone() if self.request.counts.retried else {}
        self._may_be_plain = self._is_all and self.top is None and not self._undone

    def lines(self) -> Iterator[DumpLine]:
        """Yield the wanted lines; see ``batches``."""
        for found in self.batches():
            yield from found.lines() if isinstance(found, PlainEnds) else found

    def batches(self) -> Iterator[Sequence[DumpLine] | PlainEnds]:
        """Yield the wanted lines, many at a time; those of plain ends until the next are asked for.

        Raises:
            InvalidInput: The request has no such step.
            NotFound: It has not mapped the mapper below which they are to be.
            JobxError: The log cannot be read on.
        """
        for number, body in event_log.bodies(self._store, *self._names):
            event = event_of(keys.event(*self._names, number), body)
            is_added = type(event) is Ended and self._add_plain(event)
            if self._plain and (self._plain.is_full or not is_added):
                yield self._plain
                self._plain.clear()
            take = None if is_added else _TAKE.get(type(event))
            if take is not None and (found := take(self, number, event)):
                yield found if self._is_all else list(filter(self._is_wanted, found))
        if self._plain:
            yield self._plain
        unended = filter(self._is_wanted, self._unended())
        while found := list(islice(unended, _MANY)):
            yield found
        if self.top is not None and self.chunks.of(self.top) < 0:
            raise NotFound("invocation", "/".join((*self._names, f"m{self.top}")))

    def input_of(self, vertex: int) -> Any:
        """Return the input of a mapper that was read: [key, value], of the root a list of them.

        Raises:
            NotFound: It was not mapped.
            BlobDamaged: It is gone; BlobUnreadable: it cannot be read.
        """
        position = self.chunks.of(vertex)
        payload = self.payload(position) if position >= 0 else None
        if payload is None:
            raise NotFound("invocation", f"m{vertex}")
        return self.values.item(payload, vertex - self.chunks.starts[position])

    def _add_plain(self, event: Ended) -> bool:
        """Add an event to the plain ones; False: it is none, or they are of other stages."""
        position = self.chunks.of(event.first)
        if position != self._plain.position and not self._turn_plain(position):
            return False
        if self.tries or not self._plain.add(event):
            return False
        self._marks[event.first : event.first + event.count] = bytes([_WRITTEN]) * event.count
        return True

    def _turn_plain(self, position: int) -> bool:
        """Have the next plain ends be those of a chunk; False: it has none, or of other stages."""
        if not self._may_be_plain or position < 0 or not self.chunks.is_wanted[position]:
            return False
        return self._plain.turn_to(position)

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
        self.owner = event.node
        self.plan = request_entity.plan(self._store, self._names[0], event.plan)
        if self.plan is not None:
            check_steps(self._asked.steps, self.plan.steps)
        root = ROOT, MAPPER, event.step, ROOT, 1, event.arguments
        return self._mapped(number, events.Mapped(event.at, *root, ""))

    def _mapped(self, number: int, event: events.Mapped) -> Sequence[DumpLine]:
        if event.parent >= 0:
            self.children[event.parent] = self.children.get(event.parent, 0) + event.count
        if self.chunks.add(number, event, is_wanted=self._is_chunk_wanted(event)):
            self._marks.extend(bytes(max(0, event.start + event.count - len(self._marks))))
            self.log.hold(number, event.payload)
        return ()

    def _is_chunk_wanted(self, event: events.Mapped) -> bool:
        if self._asked.steps and event.step not in self._asked.steps:
            return False
        top = self.top
        if top is None or event.start <= top < event.start + event.count:
            return True
        return event.parent >= 0 and self.chunks.is_below(top, event.parent)

    def _adopted(self, _: int, event: events.Adopted) -> Sequence[DumpLine]:
        self.owner = event.node
        return ()

    def _retried(self, number: int, event: events.Retried) -> Sequence[DumpLine]:
        self.log.keep_attempt(number, event)
        for vertex in range(event.first, event.first + event.count):
            self.tries.setdefault((vertex, event.kind), []).append(number)
            self.children.pop(vertex, None)
        return ()

    def _failed_for_good(self, number: int, event: events.Failed) -> Sequence[DumpLine]:
        self.log.keep_attempt(number, event)
        self.failed[event.vertex, event.kind] = number
        return ()

    def _done(self, number: int, event: events.Done) -> Sequence[DumpLine]:
        first, stop = event.first, event.first + event.count
        position = self.chunks.of(first)
        if position < 0 or (self._undone and self._undone.get(first, -1) > number):
            return ()
        if event.kind == "reduce":
            self._marks[first] = _WRITTEN
            return (reduced_line(self, position, event),) if self.is_shown(position, first) else ()
        is_reduced = event.outcome == "reduced"
        self._marks[first:stop] = bytes([_WRITTEN if is_reduced else _MAPPED]) * event.count
        lines = ended_lines(self, position, event) if self.chunks.is_wanted[position] else ()
        if self.tries:
            self._forget_tries(range(first, stop), is_reduced=is_reduced)
        return lines

    def _forget_tries(self, vertices: range, *, is_reduced: bool) -> None:
        for vertex in vertices:
            for kind in ("map", "combine", "reduce") if is_reduced else ("map", "combine"):
                self.tries.pop((vertex, kind), None)

    def _unended(self) -> Iterator[DumpLine]:
        """Yield the lines of what has not ended, or failed."""
        chunks, marks = self.chunks, self._marks
        for position in range(len(chunks.starts)):
            vertices = chunks.vertices(position)
            if marks.count(_WRITTEN, vertices.start, vertices.stop) == len(vertices):
                continue
            for vertex in vertices:
                if marks[vertex] == _WRITTEN or not self.is_shown(position, vertex):
                    continue
                yield from open_lines(self, position, vertex, is_mapped=marks[vertex] == _MAPPED)


def check_steps(wanted: Sequence[str], known: Collection[str]) -> None:
    """Raise InvalidInput for a step that a request does not have."""
    unknown = next((name for name in wanted if name not in known), None)
    if unknown is not None:
        reason = f"is no step of this request, which has {', '.join(sorted(known))}"
        raise InvalidInput("step", quote(unknown), reason)


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


_TAKE: Final[dict[type, Callable[[Dump, int, Any], Sequence[DumpLine]]]] = {
    events.Accepted: Dump._accepted,
    events.Mapped: Dump._mapped,
    events.Adopted: Dump._adopted,
    events.Retried: Dump._retried,
    events.Failed: Dump._failed_for_good,
    events.Done: Dump._done,
    Ended: Dump._done,
}
