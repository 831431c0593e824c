"""Open requests without a coordinator: in which order they get one, or why they end. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from msgspec.structs import replace

from jobx import model
from jobx.actors import recovery
from jobx.actors.coordination.restarts import Restarts
from jobx.actors.coordination.taken_up import TakenUp
from jobx.actors.messages import RequestKey, Waiting
from jobx.actors.recovery import Recovery
from jobx.errors import JobxError, TooLarge
from jobx.kv.requests.lives import Mark, OpenRequest


class Taken(NamedTuple):
    """What is taken up next.

    Attributes:
        keys: The requests whose logs are read.
        marks: What is marked before.
    """

    keys: list[RequestKey]
    marks: list[OpenRequest]


class WaitingRequests:
    """The open requests without a coordinator.

    Args:
        node_id: This node.
        life: Its incarnation.
        is_lost: Tells whether a node is lost.
        limit: Deaths of the node at which a request is set aside.

    Attributes:
        recovery: The order in which those continue that are not of this life.
        restarts: The deaths of their coordinators.
        taken_up: Those that this node took up.
        reading: Requests that continue once their turn has come and their log is read.
        endings: Why requests must end instead.
    """

    def __init__(
        self, node_id: str, life: int, is_lost: Callable[[str], bool], *, limit: int
    ) -> None:
        self.recovery = Recovery(limit)
        self.restarts = Restarts()
        self.taken_up = TakenUp(node_id, life, is_lost)
        self.reading: set[RequestKey] = set()
        self.endings: dict[RequestKey, model.Failure] = {}

    def add(self, requests: Iterable[Waiting]) -> None:
        """Add requests of an earlier life, or of another node."""
        new = list(requests)
        self.recovery.add(new)
        self.reading.update(waiting.key for waiting in new)

    def take(self, now: float, *, has_room: bool) -> Taken:
        """Take up what is next.

        Args:
            now: Monotonic seconds.
            has_room: Whether there is room for more requests.
        """
        pardoned = self.recovery.pardon(now)
        taken = self.recovery.take(now, has_room=has_room)
        marks = self.taken_up.take(self.recovery, taken, pardoned)
        for waiting in taken:
            self.restarts.rebuilt(waiting.key, now)
            if waiting.is_set_aside:
                self.endings[waiting.key] = recovery.failure(waiting)
        return Taken([waiting.key for waiting in taken], marks)

    def end(self, key: RequestKey, error: JobxError) -> None:
        """End a request, of which an event cannot be written."""
        kind = "limit" if isinstance(error, TooLarge) else "internal"
        self.endings[key] = model.Failure(kind=kind, type="EventRefused", message=str(error))
        self.reading.add(key)

    def failure(self, key: RequestKey) -> model.Failure | None:
        """Return why a request must end; None if it continues."""
        return self.endings.get(key) or self.restarts.failure(key)

    def why(self, key: RequestKey, *, has_room: bool) -> str:
        """Return in words why a request has no coordinator; empty: that is not known here."""
        ending = self.failure(key)
        if ending is not None:
            return f"it is being ended: {ending.message}"
        why = self.restarts.why(key) or self.recovery.why(key, has_room=has_room)
        return why or ("its log is being read" if key in self.reading else "")

    def begun(self, key: RequestKey, request: model.Request) -> tuple[model.Request, Mark]:
        """Let a request go to its coordinator; return it as it was taken up, with its mark."""
        self.reading.discard(key)
        taken = self.taken_up.of(key)
        if taken is None:
            return request, Mark()
        # 1.0.0 did not say who coordinates a request.
        return replace(request, coordinator=taken.node_id), taken.mark

    def progressed(self, key: RequestKey) -> None:
        """Let the next suspect follow: this one has proved itself."""
        self.taken_up.forget(key)
        self.recovery.acquit(key)

    def forget(self, key: RequestKey) -> None:
        """Forget a request that has ended, or is not this node's."""
        self.reading.discard(key)
        self.taken_up.forget(key)
        self.restarts.forget(key)
        self.endings.pop(key, None)
        self.recovery.acquit(key)
