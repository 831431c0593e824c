"""What actors say to each other. Frozen, passed by reference inside a node.

Commands are imperative, reports are in the past tense. A request is named by its ``RequestKey``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from thespian.actors import ActorAddress

from jobx import model
from jobx.actors.request.events import Event
from jobx.errors import JobxError
from jobx.kv.store import Write
from jobx.payload import Payload


class RequestKey(NamedTuple):
    """What names a request: its workflow and its id."""

    workflow: str
    request_id: str


# To the supervisor and through it to coordinators


@dataclass(frozen=True, slots=True)
class Submit:
    """Start a request; ``reply_to`` hears Opened, then Ended, or Refused."""

    request: model.Request
    step: str
    plan_digest: str
    plan: model.Plan
    arguments: Payload
    time_limit_s: float
    #: Written together with the request: its entity, its indexes, its plan.
    writes: tuple[Write, ...]
    reply_to: ActorAddress


@dataclass(frozen=True, slots=True)
class Recover:
    """Take a request up from its log.

    With a ``failure`` it is not gone on with but ended, since going on has failed too often.
    """

    request: model.Request
    plan: model.Plan
    events: list[Event]
    next_number: int
    reply_to: ActorAddress
    failure: model.Failure | None = None


@dataclass(frozen=True, slots=True)
class Adopt:
    """Take up every one of these requests from their logs."""

    keys: tuple[RequestKey, ...]


@dataclass(frozen=True, slots=True)
class Describe:
    """Say how a request stands; the answer is Described."""

    key: RequestKey
    reply_to: ActorAddress
    ticket: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """End a request without a result; the answer is Described, before it has ended."""

    key: RequestKey
    reason: str
    reply_to: ActorAddress
    ticket: int


@dataclass(frozen=True, slots=True)
class Drain:
    """Stop starting work; what is at work may end."""


# From coordinators


@dataclass(frozen=True, slots=True)
class Opened:
    """A request is accepted: it is durable."""

    request: model.Request


@dataclass(frozen=True, slots=True)
class Ended:
    """A request is finished, and its end is durable."""

    request: model.Request


@dataclass(frozen=True, slots=True)
class Refused:
    """A request was not accepted; nothing of it is left."""

    key: RequestKey
    error: JobxError


@dataclass(frozen=True, slots=True)
class Described:
    """How a request stands; None when no coordinator has it."""

    ticket: int
    request: model.Request | None


# Between coordinators and their invocation actors


@dataclass(frozen=True, slots=True)
class Run:
    """Run one work frame in an executor; the answer is Ran or Lost."""

    ticket: int
    key: RequestKey
    frame: dict[str, Any]
    versions: tuple[str, ...]
    time_limit_s: float


@dataclass(frozen=True, slots=True)
class Pull:
    """Ask a mapper that is kept for its next chunk; the answer is Ran or Lost."""

    ticket: int
    key: RequestKey
    frame: dict[str, Any]
    vertex: int
    time_limit_s: float


@dataclass(frozen=True, slots=True)
class Discard:
    """Close a kept mapper."""

    vertex: int


@dataclass(frozen=True, slots=True)
class Ran:
    """The segments that an executor answered."""

    ticket: int
    segments: list[list[Any]]
    node_id: str


@dataclass(frozen=True, slots=True)
class TakenBack:
    """The end of a batch, from vertex ``first`` on, was taken back from its executor unbegun.

    The answer for the rest is still to come.
    """

    ticket: int
    first: int


@dataclass(frozen=True, slots=True)
class Lost:
    """An executor died with work in it.

    ``culprit`` is the vertex that it was at, None when the work had not been started.
    """

    ticket: int
    culprit: int | None
    failure: model.Failure


@dataclass(frozen=True, slots=True)
class KeptLost:
    """Kept mappers went with their executor."""

    vertices: tuple[int, ...]
    failure: model.Failure


# From the log writer to coordinators


@dataclass(frozen=True, slots=True)
class Committed:
    """Everything up to event ``number`` is durable."""

    number: int


@dataclass(frozen=True, slots=True)
class CommitRefused:
    """What was appended is not durable and will not be.

    A Conflict means that somebody else writes this log.
    """

    error: JobxError


@dataclass(frozen=True, slots=True)
class LogRead:
    """The log of a request, for the supervisor that starts its coordinator anew.

    With an ``error`` and a ``request``, the log is damaged; with an ``error`` alone, it could not
    be read this time. ``next_number`` is the number that the next event gets.
    """

    key: RequestKey
    request: model.Request | None
    plan: model.Plan | None = None
    events: list[Event] = field(default_factory=list)
    next_number: int = 0
    error: JobxError | None = None
