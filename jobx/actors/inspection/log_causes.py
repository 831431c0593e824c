"""What a log says of why its request is where it is: its first cause, and what it leaves open."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice, pairwise
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from jobx.actors.request import events
from jobx.actors.request.branches import Chunk
from jobx.actors.request.ids import invocation_id
from jobx.actors.request.open_at_end import groups_then
from jobx.actors.request.open_groups import groups
from jobx.actors.request.standing import MOST_SEEN, Group
from jobx.actors.request.state import RequestState
from jobx.errors import UNREADABLE
from jobx.kv.requests import event_log
from jobx.model import Failure, Plan
from jobx.payload import Payload

#: Failing invocations that are remembered, the first ones.
MOST: Final = 10_000


class First(Struct, frozen=True):
    """The first failure of an invocation, and how often it was tried again."""

    kind: events.Kind
    vertex: int
    failure: Failure
    retries: int = 0

    @property
    def invocation(self) -> str:
        """The id of the invocation."""
        return invocation_id(self.kind, self.vertex)


class LogCauses:
    """The causes in a log.

    Attributes:
        then: What was open when the time of the request was over, as its coordinator said; ages as
            ``since``.
        adopted: The number of the last event by which a node took the request over; 0: none did.
        accepted: The first event.
    """

    def __init__(self) -> None:
        self.then: list[Group] = []
        self.adopted = 0
        self.accepted: events.Accepted | None = None
        self._state: RequestState | None = None
        self._firsts: dict[tuple[str, int], First] = {}

    def begin(self, plan: Plan) -> None:
        """Follow what is open, from the event ``accepted`` on, by this plan."""
        self._state = RequestState(plan)
        if self.accepted is not None:
            self._state.apply(self.accepted)

    def take(self, number: int, event: events.Event) -> None:
        """Take the next event; that of mappers that returned may stand for several events."""
        if isinstance(event, events.Accepted):
            self.accepted = event
        elif isinstance(event, events.Retried):
            for vertex in range(event.first, event.first + event.count):
                self._note(event.kind, vertex, event.failure, is_retried=True)
        elif isinstance(event, events.Failed):
            self.then = self.then or groups_then(event)
            if event.failure.invocation_id:
                self._note(event.kind, event.vertex, event.failure, is_retried=False)
        elif isinstance(event, events.Adopted):
            self.adopted = number
        if self._state is not None:
            self._state.apply(event)

    def _note(self, kind: Any, vertex: int, failure: Failure, *, is_retried: bool) -> None:
        key = kind, vertex
        known = self._firsts.get(key)
        if known is None:
            if failure.kind != "lost" and len(self._firsts) < MOST:
                self._firsts[key] = First(kind, vertex, failure, int(is_retried))
        else:
            self._firsts[key] = First(kind, vertex, known.failure, known.retries + is_retried)

    def left(self, failed: str | None = None) -> list[Group]:
        """Return what is open at the end of the log: nobody is at it.

        Args:
            failed: The invocation that failed for good, which is left out; None: there is none.
        """
        state = self._state
        if state is None:
            return []
        return [one for group in groups(state, ()) if (one := _left(state, group, failed)).count]

    def first(self, ending: Failure) -> First | None:
        """Return the failure from which an end followed, if it is another one than the end.

        Of an invocation that failed it is its own first failure; of a request that was cancelled or
        ran out of time the first one of an invocation that was open then.
        """
        if ending.invocation_id is None:
            return next(filter(self._is_open, self._firsts.values()), None)
        own = (one for one in self._firsts.values() if one.invocation == ending.invocation_id)
        first = next(own, None)
        return first if first is not None and first.retries else None

    def _is_open(self, first: First) -> bool:
        if self._state is None:
            return True
        chunk = self._state.tree.chunk_of(first.vertex)
        return chunk is not None and not chunk.finished.overlaps(first.vertex, first.vertex + 1)


def _left(state: RequestState, group: Group, failed: str | None) -> Group:
    """Return a group of mappers without one that failed, named after the first of the others.

    The log does not say which of them had been started: to the state all are ready.
    """
    if (group.cause, group.kind) != ("ready", "map") or not group.step:
        return group
    is_mapper = failed is not None and failed.startswith("m")
    without = int(failed[1:]) if failed is not None and is_mapper else -1
    others = (one for one in _unended(state, group.step) if one != without)
    chunk = state.tree.chunk_of(without) if is_mapper else None
    is_of_it = chunk is not None and chunk.step == group.step and _is_open(state, chunk, without)
    return replace(group, vertex=next(others, group.vertex), count=group.count - is_of_it)


def _unended(state: RequestState, step: str) -> Iterator[int]:
    """Yield mappers of a step that have not ended, of the first chunks."""
    for chunk in islice(state.tree.chunks.values(), MOST_SEEN):
        gaps = chunk.finished.gaps(chunk.start, chunk.start + chunk.count)
        for first, stop in gaps if chunk.step == step else ():
            yield from (one for one in range(first, stop) if one not in state.tree.branches)


def _is_open(state: RequestState, chunk: Chunk, vertex: int) -> bool:
    is_finished = chunk.finished.overlaps(vertex, vertex + 1)
    is_there = chunk.start <= vertex < chunk.start + chunk.count
    return is_there and not is_finished and vertex not in state.tree.branches


class _Size(Struct, array_like=True, frozen=True):
    """How much there is of a payload; see ``Payload.to_wire``."""

    count: int
    size_bytes: int
    inline: msgspec.Raw
    blob: str | None
    checksum: int
    offsets: msgspec.Raw
    sections: tuple[int, ...] = ()


class _Returned(Struct, frozen=True):
    """What counts of mappers that returned; other events lack most of it."""

    event: str
    kind: str = ""
    chunk: int = 0
    first: int = 0
    count: int = 0
    outcome: str = ""
    payloads: tuple[_Size, ...] = ()


_RETURNED: Final = msgspec.msgpack.Decoder(_Returned)


class CauseFold:
    """Takes a log, event by event as it is stored.

    Most events of a long log say that a mapper returned. Those that follow each other are taken as
    few, without their data: of a million that takes a third of the time.

    Args:
        plan_of: Returns the plan of a digest; None: it is gone, or of a newer form.

    Attributes:
        causes: What the log says so far, once ``flush`` is called.
        as_of: The number of the last event.
    """

    def __init__(self, plan_of: Callable[[str], Plan | None]) -> None:
        self.causes = LogCauses()
        self.as_of = -1
        self._plan_of = plan_of
        self._returned: list[_Returned] = []

    def take(self, number: int, body: bytes) -> None:
        """Take the next event; raises EntryDamaged."""
        returned = _returned(body)
        if returned is not None:
            self._returned.append(returned)
            if len(self._returned) >= MOST:
                self.flush()
        else:
            self.flush()
            event = events.known_part(event_log.record_at("of a log", body))
            if event is not None:
                self.causes.take(number, event)
            if isinstance(event, events.Accepted):
                plan = self._plan_of(event.plan)
                if plan is not None:
                    self.causes.begin(plan)
        self.as_of = number

    def flush(self) -> None:
        """Take what has returned; in which order does not matter, since nothing else came."""
        found, self._returned = self._returned, []
        for siblings in _rows(found):
            self.causes.take(self.as_of, _as_one(siblings))


def _returned(body: bytes) -> _Returned | None:
    try:
        found = _RETURNED.decode(body)
    except UNREADABLE:
        return None  # whoever decodes it says what it is
    is_returned = (found.event, found.kind, found.outcome) == ("done", "map", "reduced")
    return found if is_returned else None


def _rows(found: list[_Returned]) -> Iterator[list[_Returned]]:
    """Yield siblings whose numbers follow each other; each alone, if some returned twice."""
    ordered = sorted(found, key=lambda one: one.first)
    if any(one.first + one.count > after.first for one, after in pairwise(ordered)):
        yield from ([one] for one in found)
        return
    begin = 0
    for place, one in enumerate(ordered, 1):
        end = one.chunk, one.first + one.count
        if place == len(ordered) or (ordered[place].chunk, ordered[place].first) != end:
            yield ordered[begin:place]
            begin = place


def _as_one(found: list[_Returned]) -> events.Done:
    """Return siblings that returned one after the other as one event, with sizes for data."""
    data = [size for one in found for size in one.payloads]
    payloads = [
        Payload(count, size_bytes, sections=(size_bytes,) * is_parted)
        for is_parted in (False, True)
        for count, size_bytes in [_sums(one for one in data if bool(one.sections) is is_parted)]
        if count
    ]
    chunk, first = found[0].chunk, found[0].first
    count = sum(one.count for one in found)
    return events.Done(0.0, "map", chunk, first, count, "reduced", tuple(payloads))


def _sums(sizes: Iterable[_Size]) -> tuple[int, int]:
    count = size_bytes = 0
    for one in sizes:
        count += one.count
        size_bytes += one.size_bytes
    return count, size_bytes


def read(bodies: Iterable[tuple[int, bytes]], plan_of: Callable[[str], Plan | None]) -> LogCauses:
    """Return the causes in a log: its events with their numbers, as they are stored."""
    fold = CauseFold(plan_of)
    for number, body in bodies:
        fold.take(number, body)
    fold.flush()
    return fold.causes
