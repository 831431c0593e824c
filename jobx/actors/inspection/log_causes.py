"""What a log says of why its request is where it is: its first cause, and what it leaves open."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from msgspec import Struct

from jobx.actors.request import events
from jobx.actors.request.ids import invocation_id
from jobx.actors.request.open_at_end import groups_then
from jobx.actors.request.open_groups import groups
from jobx.actors.request.standing import Group
from jobx.actors.request.state import RequestState
from jobx.model import Failure, Plan

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
        adopted_by: That node.
        accepted: The first event.
    """

    def __init__(self) -> None:
        self.then: list[Group] = []
        self.adopted = 0
        self.adopted_by = ""
        self.accepted: events.Accepted | None = None
        self._state: RequestState | None = None
        self._firsts: dict[tuple[str, int], First] = {}
        self._number = 0

    def begin(self, plan: Plan) -> None:
        """Follow what is open, from the event ``accepted`` on, by this plan."""
        self._state = RequestState(plan)
        if self.accepted is not None:
            self._state.apply(self.accepted)

    def take(self, event: events.Event) -> None:
        """Take the next event."""
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
            self.adopted, self.adopted_by = self._number, event.node
        if self._state is not None:
            self._state.apply(event)
        self._number += 1

    def _note(self, kind: Any, vertex: int, failure: Failure, *, is_retried: bool) -> None:
        key = kind, vertex
        known = self._firsts.get(key)
        if known is None:
            if failure.kind != "lost" and len(self._firsts) < MOST:
                self._firsts[key] = First(kind, vertex, failure, int(is_retried))
        else:
            self._firsts[key] = First(kind, vertex, known.failure, known.retries + is_retried)

    def left(self) -> list[Group]:
        """Return what is open at the end of the log: nobody is at it."""
        return groups(self._state, ()) if self._state is not None else []

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


def read(found: Iterable[dict[str, Any]], plan_of: Any) -> LogCauses:
    """Return the causes in the records of a log.

    Args:
        found: The records.
        plan_of: Returns the plan of a digest; None: it is gone, or of a newer form.
    """
    causes = LogCauses()
    for record in found:
        event = events.known_part(record)
        if isinstance(event, events.Accepted):
            plan = plan_of(event.plan)
            causes.take(event)
            if plan is not None:
                causes.begin(plan)
        elif event is not None:
            causes.take(event)
    return causes
