"""Requests that are taken up of an earlier life or another node, and what their logs say. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from jobx import model
from jobx.actors.messages import LogRead, RequestKey, Waiting
from jobx.actors.recovery import Recovery
from jobx.errors import Conflict, EntryDamaged, FormUnknown, InternalError, JobxError, NotFound
from jobx.kv.requests.lives import OpenRequest


class GiveBack(Struct, frozen=True):
    """Another node has the request, or nobody can; who waits for it gets the error.

    Attributes:
        error: The error.
        says: Why, for the log.
    """

    error: JobxError
    says: str


class LeaveOpen(Struct, frozen=True):
    """A newer JobX wrote the request."""

    reason: FormUnknown
    request: model.Request | None


class ReadAgain(Struct, frozen=True):
    """Its log could not be read this time."""

    error: JobxError | None


class HasEnded(Struct, frozen=True):
    """It has ended already."""

    request: model.Request


class GoOn(Struct, frozen=True):
    """It continues here, or is ended here if its log is damaged."""

    request: model.Request


Fate: TypeAlias = GiveBack | LeaveOpen | ReadAgain | HasEnded | GoOn


class TakenUp:
    """The requests that are taken up, with their nodes and marks.

    Args:
        node_id: This node.
        life: Its incarnation.
        is_lost: Tells whether a node is lost.
    """

    def __init__(self, node_id: str, life: int, is_lost: Callable[[str], bool]) -> None:
        self._node_id = node_id
        self._life = life
        self._is_lost = is_lost
        self._taken: dict[RequestKey, OpenRequest] = {}

    def of(self, key: RequestKey) -> OpenRequest | None:
        """Return a request as it was taken up; None if it was not."""
        return self._taken.get(key)

    def forget(self, key: RequestKey) -> None:
        """Forget a request that has ended, or is this node's own."""
        self._taken.pop(key, None)

    def take(
        self, recovery: Recovery, waiting: Sequence[Waiting], pardoned: Waiting | None
    ) -> list[OpenRequest]:
        """Take requests; return what is marked before their logs are read.

        Another node's requests are marked, too.

        Args:
            recovery: What marks them.
            waiting: The requests.
            pardoned: One whose trial is over, if there is one; it was adopted before that began.
        """
        marked = [recovery.mark(one, one.node_id or self._node_id, self._life) for one in waiting]
        self._taken.update((one.key, mark) for one, mark in zip(waiting, marked, strict=True))
        written = [one if one.node_id == self._node_id else self._read_here(one) for one in marked]
        if pardoned is not None:
            written.append(recovery.mark(pardoned, self._node_id, self._life))
        return written

    def _read_here(self, one: OpenRequest) -> OpenRequest:
        """Return the mark of another node's request that says who reads it."""
        return replace(one, mark=replace(one.mark, reader=self._node_id))

    def fate(self, read: LogRead) -> Fate:
        """Return what becomes of a request whose log was read."""
        request, error = read.request, read.error
        if request is not None and request.coordinator == self._node_id:
            self.forget(read.key)  # it is no longer another node's, though its coordinator died
        stays = self._stays(read)
        if stays:
            return GiveBack(Conflict(f"request {read.key.request_id}"), stays)
        if isinstance(error, NotFound):
            failed = InternalError("the coordinator failed; see the node's log")
            return GiveBack(failed, "it was refused when its coordinator had died")
        if isinstance(error, FormUnknown):
            return LeaveOpen(error, request)
        if request is None and isinstance(error, EntryDamaged):
            return GiveBack(error, str(error))  # no later try reads anything else
        if request is None:
            return ReadAgain(error)
        return HasEnded(request) if request.is_done else self._open_fate(read.key, request)

    def _stays(self, read: LogRead) -> str:
        """Return why a request of another node stays there; empty if it does not."""
        taken = self._taken.get(read.key)
        if taken is None or taken.node_id == self._node_id:
            return ""
        if read.request is not None and read.request.is_done:
            return f"node {taken.node_id} has ended it"
        is_damaged = isinstance(read.error, EntryDamaged) and read.request is None
        if is_damaged or isinstance(read.error, FormUnknown | NotFound):
            return f"lost node {taken.node_id} wrote what cannot be ended here: {read.error}"
        return "" if self._is_lost(taken.node_id) else f"node {taken.node_id} is back"

    def _open_fate(self, key: RequestKey, request: model.Request) -> Fate:
        taken = self._taken.get(key)
        owner_id = self._node_id if taken is None else taken.node_id
        if request.coordinator in (None, owner_id):  # 1.0.0 did not say who coordinates a request
            return GoOn(request)
        error = Conflict(f"request {request.request_id}")
        return GiveBack(error, f"node {request.coordinator} coordinates it")
