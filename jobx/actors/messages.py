"""Messages between actors. They are frozen and passed by reference inside a node.

Commands are imperative, reports are in the past tense. A ``RequestKey`` names a request. Reports
with a tag may come from another node; ``bridge/codec.py`` has all that travels. In order: to the
supervisor and through it to coordinators, from coordinators, between coordinators and their
batches, and from the log writer to coordinators.

What coordinators and batches are told is perishable: a batch that exits has abandoned its work, and
of the end of a request everybody hears who has asked about it. Who asks about a child of theirs is
answered.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct
from thespian.actors import ActorAddress

from jobx import model
from jobx.actors.request.events import Event
from jobx.actors.request.standing import Standing
from jobx.actors.runtime.deadletters import Answered, Perishable
from jobx.errors import JobxError, NotFound
from jobx.kv.requests.lives import Mark
from jobx.kv.store import Write
from jobx.payload import Bounded, Payload, StageData
from jobx.segments import Segment
from jobx.work import MapWork, PullWork, ReduceWork


class RequestKey(NamedTuple):
    """The name of a request: its workflow and its id."""

    workflow: str
    request_id: str

    def __str__(self) -> str:
        return f"{self.workflow}/{self.request_id}"


class Submit(Perishable, frozen=True):
    """Start a request; ``reply_to`` hears Opened, then Ended, or Refused.

    With ``may_wait`` its work waits for a node that offers what it requires, however long. With
    ``syncs_arguments`` the blob of its arguments must be synced before it is accepted.
    """

    request: model.Request
    step: str
    plan_digest: str
    plan: model.Plan
    arguments: Payload
    time_limit_s: float
    #: Written together with the request: its entity, its indexes, its plan.
    writes: tuple[Write, ...]
    reply_to: ActorAddress
    may_wait: bool = False
    syncs_arguments: bool = False


class Recover(Struct, frozen=True):
    """Continue a request from its log; ``mark`` is its mark here if another node has it so far."""

    request: model.Request
    plan: model.Plan
    events: list[Event]
    reply_to: ActorAddress
    mark: Mark = Mark()


class GiveUp(Struct, frozen=True):
    """End a request with a failure, as event ``next_number``, without continuing it."""

    request: model.Request
    next_number: int
    failure: model.Failure
    reply_to: ActorAddress


class Adopt(Struct, frozen=True):
    """Continue all these requests from their logs, a few at a time."""

    requests: tuple[Waiting, ...]


class AdoptStrays(Struct, frozen=True):
    """Continue these requests from their logs, those that nobody coordinates."""

    keys: tuple[RequestKey, ...]


class Waiting(Struct, frozen=True):
    """A request of an earlier life that waits for its continuation.

    Attributes:
        deaths: Deaths of the node in a row in which it ran without progress.
        is_set_aside: It is ended instead of being continued.
        turn: Number of suspects before it when it was last taken up.
        node_id: The node that has coordinated it so far; empty for the node that takes it up.
    """

    key: RequestKey
    deaths: int = 0
    is_set_aside: bool = False
    turn: int = 0
    node_id: str = ""


class Probe(Struct, frozen=True):
    """Ask whether actors run; the answer is Probed."""

    reply_to: ActorAddress
    ticket: int


class Probed(Struct, frozen=True):
    """The supervisor handles messages."""

    ticket: int


class Describe(Perishable, frozen=True):
    """Ask for the state of a request; the answer is Described."""

    key: RequestKey
    reply_to: ActorAddress
    ticket: int


class Cancel(Perishable, frozen=True):
    """End a request without a result; the answer is Described, before it has ended."""

    key: RequestKey
    reason: str
    reply_to: ActorAddress
    ticket: int


class EndChild(Answered, frozen=True):
    """Stop a child, or start it again, as an operator asks its parent; the answer is ChildTold.

    Attributes:
        child: The child.
        is_again: It is started again.
        reason: Why.
    """

    child: ActorAddress
    is_again: bool
    reason: str
    reply_to: ActorAddress
    ticket: int

    def unread(self) -> tuple[ActorAddress, ChildTold]:
        """Answer that the child is gone, with its parent."""
        return self.reply_to, ChildTold(self.ticket, NotFound("actor", str(self.child)))


class ChildTold(Struct, frozen=True):
    """What becomes of a child, in words, or why nothing does."""

    ticket: int
    says: str | JobxError


class Drain(Perishable, frozen=True):
    """Stop starting work; running work may end."""


class GoOn(Perishable, frozen=True):
    """A coordinator has more to decide, once what it has sent before this is under way."""


class MoreRoom(Perishable, frozen=True):
    """Requests of a workflow may use more executors than before, on other nodes."""

    workflow: str


class Opened(Struct, frozen=True):
    """A request is accepted: it is durable."""

    request: model.Request


class Ended(Struct, frozen=True):
    """A request is finished, and its end is durable."""

    request: model.Request


class Progressed(Struct, frozen=True):
    """A continued request made durable progress."""

    key: RequestKey


class Refused(Struct, frozen=True):
    """A request was not accepted, or continues elsewhere; nothing of it is left here.

    With ``may_exist`` only its log knows its state: the last event of its coordinator cannot be
    written, and never will be.
    """

    key: RequestKey
    error: JobxError
    may_exist: bool = False


class Described(Struct, frozen=True):
    """The state of a request; None if no coordinator has it."""

    ticket: int
    request: model.Request | None


class Explain(Perishable, frozen=True):
    """Ask what the open invocations of a request wait for; the answer is Explained."""

    key: RequestKey
    reply_to: ActorAddress
    ticket: int


class Explained(Struct, frozen=True):
    """What open invocations wait for, and the request as it is, maybe before it is accepted.

    Attributes:
        standing: None: nobody coordinates it here, or its coordinator knows nothing of it.
        request: None as ``standing`` is.
        why: Why nobody coordinates it here; empty: that is not known here.
    """

    ticket: int
    standing: Standing | None
    request: model.Request | None = None
    why: str = ""


class Run(Struct, frozen=True, array_like=True, tag="run"):
    """Do work in an executor; the answer is Ran or Lost.

    ``requires`` is what its node must offer; it is not sent to that node.
    """

    ticket: int
    key: RequestKey
    work: MapWork | ReduceWork
    requires: tuple[str, ...] = ()


class Pull(Perishable, frozen=True, array_like=True, tag="pull"):
    """Ask a suspended mapper for its next chunk; the answer is Ran or Lost."""

    ticket: int
    key: RequestKey
    work: PullWork


class Discard(Perishable, frozen=True, array_like=True, tag="discard"):
    """Close a suspended mapper."""

    vertex: int


class Ran(Perishable, frozen=True, array_like=True, tag="ran"):
    """The segments that an executor answered, ``span_us`` after it began, with ``data``."""

    ticket: int
    segments: list[Segment]
    node_id: str
    executor: Bounded = 0
    span_us: Bounded = 0
    data: StageData | None = None


class TakenBack(Perishable, frozen=True, array_like=True, tag="taken-back"):
    """The end of a batch, from vertex ``first`` on, was recalled from its executor unstarted.

    The report for the rest follows.
    """

    ticket: int
    first: int


class Lost(Perishable, frozen=True, array_like=True, tag="lost"):
    """An executor died with work in it.

    ``culprit`` is the running vertex, None if the work had not been started. ``stage`` is its
    running part: the mapper, or its combiner or reducer in the same trip.
    """

    ticket: int
    culprit: int | None
    failure: model.Failure
    stage: str = "mapper"


class SuspendedLost(Perishable, frozen=True, array_like=True, tag="suspended-lost"):
    """Suspended mappers died with their executor."""

    vertices: tuple[int, ...]
    failure: model.Failure


class Committed(Perishable, frozen=True):
    """Everything up to event ``number`` is durable."""

    number: int


class CommitRefused(Perishable, frozen=True):
    """An append is not durable and will not be.

    A Conflict means that somebody else writes this log; after any other error nobody does.
    """

    error: JobxError


class LogRead(Struct, frozen=True):
    """The log of a request, for the supervisor that rebuilds its coordinator.

    With an ``error`` and a ``request``, the log is damaged. With an ``error`` alone, it could not
    be read this time. ``next_number`` is the number of the next event.
    """

    key: RequestKey
    request: model.Request | None
    plan: model.Plan | None = None
    events: list[Event] = []
    next_number: int = 0
    error: JobxError | None = None
