"""What can be asked of a node over its gateway, and what answers it: the other half of ``views``.

One struct a verb; the type parameter of its base is the view that answers it, so both ends of the
wire are typed by one line. Frames (``jobx/frames.py``) hold lists, many calls at once on one
connection::

    client  [0, ["hello", protocol, …]]
    node    [0, views.Greeting]
    client  [n, [verb, field, …]]       n > 0, chosen by the client
    node    [n, view]  or  [n, nil, JobxError.to_wire()]
"""

from __future__ import annotations

import functools
import operator
import re
import typing
from typing import Annotated, Any, Final, Generic, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Struct

from jobx import values, views
from jobx.counting import LONG_S, MOST_LABEL_SETS
from jobx.errors import FrameError, InvalidInput, JobxError, from_wire, quote
from jobx.frames import UNREADABLE, encode
from jobx.model import Count, RequestState

#: Of the link between a node and who asks it; both ends speak the same.
PROTOCOL: Final = 2

_MAX_WAIT_S: Final = 31_536_000

A = TypeVar("A", bound=views.View)
#: A name or an id; who answers checks more.
Text: TypeAlias = Annotated[str, Meta(max_length=128)]
Long: TypeAlias = Annotated[str, Meta(max_length=4096)]
WaitSeconds: TypeAlias = Annotated[float, Meta(ge=0, le=_MAX_WAIT_S)]
#: A value of an argument that requests are found by.
Scalar: TypeAlias = Long | int | float | bool | None
Whole: TypeAlias = Annotated[int, Meta(ge=0)]
Limit: TypeAlias = Annotated[int, Meta(ge=1, le=1_000_000)]
#: Of what is shown page by page.
PageLimit: TypeAlias = Annotated[int, Meta(ge=1, le=10_000)]
Reason: TypeAlias = Annotated[str, Meta(max_length=500)]
#: The address of an actor; see ``ActorView``.
Address: TypeAlias = Annotated[str, Meta(max_length=300)]
ActorLimit: TypeAlias = Annotated[int, Meta(ge=1, le=1000)]
ActorState: TypeAlias = Literal["idle", "busy", "queued", "stopping", "remote"]
#: Time in handlers, messages handled, unread ones, age of the oldest, memory of the budget.
ActorMeasure: TypeAlias = Literal["time", "handled", "mailbox", "oldest", "held"]
TraceSeconds: TypeAlias = Annotated[float, Meta(gt=0, le=60)]


class Question(
    Struct, Generic[A], frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True
):
    """Base of all questions. ``A``: what answers it."""

    @property
    def verb(self) -> str:
        """What is asked, in a word."""
        return str(self.__struct_config__.tag)


class Hello(Question[views.Greeting], frozen=True, tag="hello", forbid_unknown_fields=False):
    """What each peer says first; later protocols may say more."""

    protocol: int
    role: Text = ""
    version: Text = ""


class KeptArguments(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Packed arguments that are in a blob; see ``handlers/pairs/root_input.py``."""

    size_bytes: Count
    checksum: Count


class OfRequest(Question[A], Generic[A], frozen=True, kw_only=True):
    """Base of questions about one request."""

    workflow: Text
    request_id: Text


class SubmitJob(OfRequest[views.Outcome], frozen=True, kw_only=True, tag="submit"):
    """Start a request, or find the one that was started before, and wait for it.

    Attributes:
        job: What is posted to.
        arguments: Packed (``root_input.pack``), or where they are.
        context: Anything that JSON can hold.
        is_blocking: The answer waits for the end, up to ``wait_s``; else until it is durable.
        wait_s: How long the caller waits.
        idempotency_key: The client's own name of the request, or None …
        fingerprint: … and the digest of what was asked for with it.
        time_limit_s: The request fails when it takes longer; None: as the settings say.
        result_writer: What takes the result, where the job lets requests choose.
    """

    job: Text
    arguments: bytes | KeptArguments = b"\x90"
    context: dict[str, Any] = {}
    is_blocking: bool = True
    wait_s: WaitSeconds = 0.0
    idempotency_key: Long | None = None
    fingerprint: Text = ""
    time_limit_s: float | None = None
    result_writer: Text | None = None


class AwaitRequest(OfRequest[views.Outcome], frozen=True, kw_only=True, tag="wait"):
    """Wait until a request has ended, or the time is over."""

    wait_s: WaitSeconds = 0.0


class GetRequest(OfRequest[views.RequestView], frozen=True, kw_only=True, tag="request.get"):
    """A request as it stands."""


class ListRequests(Question[views.RequestPage], frozen=True, kw_only=True, tag="request.list"):
    """A page of requests, newest first, behind a cursor; those that fit all that is given.

    Attributes:
        workflow: Their workflow.
        state: Their state.
        after: The cursor ``next`` of the page before, which had the same filter.
        limit: Most of them.
        job: Their job.
        since: Accepted then or later; RFC 3339, or how long ago, such as ``2h``. It stays text, so
            that a cursor can be checked against it.
        until: Accepted earlier than that, in the same form.
        error: Type of their failure.
        search: Arguments that their job names in its ``search``, with their values; needs ``job``.
    """

    workflow: Text
    state: RequestState | None = None
    after: Long | None = None
    limit: Limit
    job: Text | None = None
    since: Text | None = None
    until: Text | None = None
    error: Long | None = None
    search: dict[Text, Scalar] = {}


class CountRequests(Question[views.RequestCounts], frozen=True, kw_only=True, tag="request.count"):
    """How many requests of a workflow, or of one of its jobs, are in each state."""

    workflow: Text
    job: Text | None = None


class GetResult(OfRequest[views.ResultView], frozen=True, kw_only=True, tag="request.result"):
    """Where the result of a request is."""


class GetTrace(OfRequest[views.TraceJson], frozen=True, kw_only=True, tag="request.trace"):
    """The invocation tree of a request, up to so many invocations."""

    limit: Limit = 1000


class GetDump(OfRequest[views.DumpChunk], frozen=True, kw_only=True, tag="request.dump"):
    """Begin a dump of a request; the answer is its first chunk.

    Attributes:
        form: How it is written.
        is_flat: It is the list of the original instead.
        states: Only invocations in these states; none: in all.
        steps: Only those of these steps.
        below: Only those of a mapper, and of all below it.
        attempts: Only those tried at least so often.
        max_value_bytes: Larger values are left out, with a word.
        is_redacted: Of values only their types and sizes are shown.
    """

    form: Literal["ndjson", "json", "text"] = "ndjson"
    is_flat: bool = False
    states: tuple[Text, ...] = ()
    steps: tuple[Text, ...] = ()
    below: Text | None = None
    attempts: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    max_value_bytes: Annotated[int, Meta(ge=1, le=64 << 20)] = 1 << 20
    is_redacted: bool = False


class ReadDump(Question[views.DumpChunk], frozen=True, kw_only=True, tag="request.dump.read"):
    """The chunk of a dump with a number; the last one that was given may be asked for again."""

    dump_id: Text
    number: Annotated[int, Meta(ge=0)]


class ExplainRequest(
    OfRequest[views.ExplainView], frozen=True, kw_only=True, tag="request.explain"
):
    """What the open invocations of a request wait for, or why it has ended.

    Attributes:
        why_open: Why no node coordinates it, as far as the node that asks a reader knows …
        helps: … and the command that helps.
    """

    why_open: Long | None = None
    helps: Long | None = None


class WatchRequest(OfRequest[views.WatchView], frozen=True, kw_only=True, tag="request.watch"):
    """What came of a request after an event, as soon as there is something, or ``wait_s`` is over.

    Attributes:
        after: The number of the last event that is known to the caller; -1: none.
        wait_s: How long the caller waits.
    """

    after: Annotated[int, Meta(ge=-1)] = -1
    wait_s: WaitSeconds = 0.0


class ReadProgress(
    OfRequest[views.ProgressView], frozen=True, kw_only=True, tag="request.progress"
):
    """How a request stands, and what came since each of some events; of readers alone."""

    after: tuple[int, ...]


class GetInvocation(
    OfRequest[views.TraceNode], frozen=True, kw_only=True, tag="request.invocation"
):
    """One invocation of a request."""

    invocation_id: Text


class GetGraph(OfRequest[views.GraphView], frozen=True, kw_only=True, tag="request.graph"):
    """The graph of a request's invocation tree, up to so many invocations."""

    limit: Limit


class GetSummary(OfRequest[views.SummaryView], frozen=True, kw_only=True, tag="request.summary"):
    """What a request has done so far: counts by step, failures in groups."""


class GetTree(OfRequest[views.TreePage], frozen=True, kw_only=True, tag="request.tree"):
    """The children of a mapper in runs of one state, behind a cursor."""

    of: Text = "m0"
    after: Long | None = None
    limit: PageLimit = 100


class ListInvocations(
    OfRequest[views.InvocationPage], frozen=True, kw_only=True, tag="request.invocations"
):
    """The invocations of a request: in a state, of a step, of a kind.

    Attributes:
        start: The invocation that the page begins with, or the cursor of the page before.
    """

    state: views.InvocationState | None = None
    step: Text | None = None
    kind: Literal["map", "combine", "reduce"] | None = None
    start: Long | None = None
    limit: PageLimit = 100


class GetTimeline(OfRequest[views.TimelineView], frozen=True, kw_only=True, tag="request.timeline"):
    """What ran when, between two instants, in at most so many columns."""

    from_at: float | None = None
    until_at: float | None = None
    width: PageLimit = 1200


class CancelRequest(OfRequest[views.RequestView], frozen=True, kw_only=True, tag="request.cancel"):
    """End a request without a result; one that has ended stays as it is."""

    reason: Long


class DeliverResult(OfRequest[views.RequestView], frozen=True, kw_only=True, tag="request.deliver"):
    """Deliver the result of a request once more."""


class CreateEntity(Question[views.EntityView], frozen=True, kw_only=True, tag="entity.create"):
    """Create an entity of a kind; its fields are a packed map (``values.pack``)."""

    kind: Text
    fields: msgspec.Raw


class PutEntity(Question[views.EntityView], frozen=True, kw_only=True, tag="entity.put"):
    """Create or replace an entity; see ``CreateEntity``."""

    kind: Text
    fields: msgspec.Raw


class GetEntity(Question[views.EntityView], frozen=True, kw_only=True, tag="entity.get"):
    """An entity; a workflow is named twice."""

    kind: Text
    workflow: Text
    name: Text


class ListEntities(Question[views.EntityPage], frozen=True, kw_only=True, tag="entity.list"):
    """Entities of a kind, by name, behind a name; of all workflows where none is named."""

    kind: Text
    workflow: Text | None = None
    after: Long | None = None
    limit: Limit


class ListVersions(Question[views.EntityPage], frozen=True, kw_only=True, tag="handler.versions"):
    """The versions of a handler that the store still has, the last written first."""

    workflow: Text
    name: Text


class DeleteEntity(Question[views.DeletionView], frozen=True, kw_only=True, tag="entity.delete"):
    """Delete an entity that nothing refers to, or by ``force``."""

    kind: Text
    workflow: Text
    name: Text
    force: bool = False


class RefreshLibrary(Question[views.RefreshView], frozen=True, tag="library.refresh"):
    """Look now whether another process has changed entities."""


class GetReadiness(Question[views.ReadinessView], frozen=True, tag="node.ready"):
    """Whether the node takes requests."""


class GetNode(Question[views.NodeView], frozen=True, tag="node.status"):
    """The node."""


class GetActorTree(Question[views.ActorTree], frozen=True, kw_only=True, tag="actors.tree"):
    """The live actors, up to so many."""

    limit: Limit | None = None


class OfNode(Question[A], Generic[A], frozen=True, kw_only=True):
    """Base of questions about the actors of a node; ``node``: another one of the cluster."""

    node: Text | None = None


class OfActors(OfNode[A], Generic[A], frozen=True, kw_only=True):
    """Base of questions about the actors that a filter lets through.

    Attributes:
        class_name: Of this class.
        name: With this text in their name.
        state: In this state.
        below: Below the actor of this address.
    """

    class_name: Text | None = None
    name: Text | None = None
    state: ActorState | None = None
    below: Address | None = None


class GetActorSummary(OfNode[views.ActorSummary], frozen=True, kw_only=True, tag="actors.summary"):
    """The actors by their classes, slow handlers, stalls of the loop."""


class ListActors(OfActors[views.ActorPage], frozen=True, kw_only=True, tag="actors.list"):
    """A page of actors, in the order of their creation, behind a cursor."""

    after: Text | None = None
    limit: ActorLimit = 100


class TopActors(OfActors[views.ActorPage], frozen=True, kw_only=True, tag="actors.top"):
    """The actors with most of something, in that order."""

    by: ActorMeasure = "time"
    limit: ActorLimit = 20


class GetActor(OfNode[views.ActorDetail], frozen=True, kw_only=True, tag="actors.show"):
    """One actor."""

    address: Address


class TraceActors(OfActors[views.ActorTrace], frozen=True, kw_only=True, tag="actors.trace"):
    """What actors handle from now on; answered after so long, or so many messages.

    Attributes:
        address: Only this actor.
    """

    address: Address | None = None
    wait_s: TraceSeconds = 10.0
    limit: ActorLimit = 1000


class ListDeadLetters(OfNode[views.DeadLetterPage], frozen=True, tag="actors.dead-letters"):
    """The last groups of messages that nobody has read."""


class StopActor(OfNode[views.ActorTold], frozen=True, kw_only=True, tag="actors.stop"):
    """Stop an actor, for a reason; its request ends, or its work fails."""

    address: Address
    reason: Reason = ""


class RestartActor(OfNode[views.ActorTold], frozen=True, kw_only=True, tag="actors.restart"):
    """Start an actor again: a coordinator from its log, the work of a batch anew."""

    address: Address
    reason: Reason = ""


class GetMetrics(Question[views.MetricsView], frozen=True, tag="node.metrics"):
    """What the node counted."""


class HttpCount(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Answered HTTP requests of one kind.

    Attributes:
        labels: Method, route and status.
        counts: By the time they took, as ``counting.Histogram.counts`` with the bounds ``LONG_S``.
        total_s: The sum of these times.
        sent_bytes: Bytes of bodies of answers.
    """

    labels: Annotated[tuple[Text, ...], Meta(min_length=3, max_length=3)]
    counts: Annotated[list[Whole], Meta(min_length=len(LONG_S) + 1, max_length=len(LONG_S) + 1)]
    total_s: Annotated[float, Meta(ge=0)]
    sent_bytes: Whole


class CountHttp(Question[views.CountedView], frozen=True, kw_only=True, tag="node.count_http"):
    """Add what a web worker has counted since its last report; a repeated report counts once.

    Attributes:
        worker: The web worker; another one after each start.
        number: Of the report, ascending.
        counted: What it counted.
    """

    worker: Text
    number: int
    counted: Annotated[list[HttpCount], Meta(max_length=MOST_LABEL_SETS + 1_000)]


#: What may be asked again when the node was lost: it waits.
Attended: TypeAlias = SubmitJob | AwaitRequest

#: Every question by its verb.
QUESTIONS: Final[dict[str, type[Question[Any]]]] = {
    str(kind.__struct_config__.tag): kind
    for kind in (
        *(Hello, SubmitJob, AwaitRequest, GetRequest, ListRequests, CountRequests, GetResult),
        *(GetTrace, GetInvocation, GetGraph, ExplainRequest, CancelRequest, DeliverResult),
        *(GetSummary, GetTree, ListInvocations, GetTimeline, WatchRequest, ReadProgress),
        *(GetDump, ReadDump),
        *(CreateEntity, PutEntity, GetEntity, ListEntities, ListVersions, DeleteEntity),
        RefreshLibrary,
        *(GetReadiness, GetNode, GetActorTree, GetActorSummary, ListActors, TopActors),
        *(GetActor, TraceActors, ListDeadLetters, StopActor, RestartActor),
        *(GetMetrics, CountHttp),
    )
}


def wait_of(question: Question[Any]) -> float:
    """Return how many seconds the answer to a question may be waited for, because it asks so."""
    wait_s: float = getattr(question, "wait_s", 0.0)
    return wait_s


def answer_type(kind: type[Question[A]]) -> type[A]:
    """Return the type of view that answers a kind of question."""
    (base,) = kind.__orig_bases__  # type: ignore[attr-defined]  # what ``Generic`` leaves
    found: type[A] = typing.get_args(base)[0]
    return found


class _Reply(Struct, array_like=True):
    """A frame of the node. What it answers is read by who asked."""

    id: int
    ok: msgspec.Raw = msgspec.Raw()
    error: dict[str, Any] | None = None


class _Verb(Struct, array_like=True):
    verb: str = ""


class _Beginning(Struct, array_like=True):
    """What a call is, when all else of it is left out."""

    id: int
    question: _Verb


_CALL: Final = msgspec.msgpack.Decoder(
    tuple[int, functools.reduce(operator.or_, QUESTIONS.values())],  # type: ignore[misc]  # computed
    ext_hook=values.ext_hook,
)
_REPLY: Final = msgspec.msgpack.Decoder(_Reply, ext_hook=values.ext_hook)
_BEGINNING: Final = msgspec.msgpack.Decoder(_Beginning)
_ANSWERS: Final = {
    kind: msgspec.msgpack.Decoder(answer_type(kind), ext_hook=values.ext_hook)
    for kind in QUESTIONS.values()
}
#: Where msgspec says that a field of a question is wrong.
_PLACE: Final = re.compile(r" - at `\$\[1\]\[(\d+)\](.*)`$")


def encode_call(number: int, question: Question[Any]) -> bytes:
    """Return a question as a frame; raises FrameError when it cannot be sent."""
    return encode((number, question))


def encode_answer(number: int, view: views.View | msgspec.Raw) -> bytes:
    """Return the answer to a call, packed or not, as a frame.

    Raises:
        FrameError: It cannot be sent.
    """
    return encode((number, view))


def encode_error(number: int, error: JobxError) -> bytes:
    """Return the error of a call as a frame; raises FrameError when it cannot be sent."""
    return encode((number, None, error.to_wire()))


def decode_call(body: bytes | bytearray) -> tuple[int, Question[Any]]:
    """Return the number and the question of a frame's body.

    Raises:
        InvalidInput: It is no question that is known here, or lacks something.
    """
    try:
        return _CALL.decode(body)  # type: ignore[no-any-return]  # a union made at run time
    except UNREADABLE as error:
        raise _refusal(body, error) from error


def decode_reply(body: bytes | bytearray) -> tuple[int, msgspec.Raw | JobxError]:
    """Return the number of a frame's body, and the packed answer or the error in it.

    Raises:
        FrameError: It is no answer.
    """
    try:
        reply = _REPLY.decode(body)
    except UNREADABLE as error:
        raise FrameError(f"the node's answer cannot be read: {error}") from error
    failed = reply.error is not None or not reply.ok
    return reply.id, from_wire(reply.error or {}) if failed else reply.ok


def decode_answer(question: Question[A], answer: msgspec.Raw) -> A:
    """Return the view that answers a question.

    Raises:
        FrameError: It is none.
    """
    try:
        return _ANSWERS[type(question)].decode(answer)  # type: ignore[no-any-return]  # by its kind
    except UNREADABLE as error:
        raise FrameError(f"the node's answer to {question.verb} is none: {error}") from error


def as_view(question: Question[A], answer: views.View | msgspec.Raw) -> A:
    """Return an answer that may still be packed as the view that it is; as ``decode_answer``."""
    if isinstance(answer, msgspec.Raw):
        return decode_answer(question, answer)
    return answer  # type: ignore[return-value]  # by its kind


def number_of(body: bytes | bytearray) -> int | None:
    """Return the number with which a frame's body begins, None when it cannot be seen.

    The rest is not decoded, so it may be told whose a frame is that cannot be.
    """
    first = values.first_items(body[:16], 1)
    return first[0] if first and type(first[0]) is int else None


def _refusal(body: bytes | bytearray, error: Exception) -> InvalidInput:
    """Return what is wrong with a call, by the names of verb and field."""
    size = f"{len(body)} bytes"
    try:
        verb = _BEGINNING.decode(body).question.verb
    except UNREADABLE:
        return InvalidInput("call", size, str(error))
    kind = QUESTIONS.get(verb)
    if kind is None:
        return InvalidInput("verb", quote(verb), "is not known here")
    fields, reason, place = kind.__struct_fields__, str(error), _PLACE.search(str(error))
    if reason.startswith("Expected `array` of at "):
        return InvalidInput(verb, size, f"takes {', '.join(fields)}")
    if place is None:
        return InvalidInput(verb, size, reason)
    field = fields[int(place[1]) - 1]
    return InvalidInput(f"{verb}: {field}{place[2]}", size, reason[: place.start()])
