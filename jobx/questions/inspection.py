"""Look into a request: at its invocations, why it is where it is, what comes of it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from jobx import views
from jobx.questions.base import Limit, Long, OfRequest, PageLimit, Question, Text, WaitSeconds


class GetTrace(OfRequest[views.TraceJson], frozen=True, kw_only=True, tag="request.trace"):
    """The invocation tree of a request, up to so many invocations."""

    limit: Limit = 1000


class GetInvocation(
    OfRequest[views.TraceNode], frozen=True, kw_only=True, tag="request.invocation"
):
    """One invocation of a request."""

    invocation_id: Text


class GetGraph(OfRequest[views.GraphView], frozen=True, kw_only=True, tag="request.graph"):
    """The graph of a request's invocation tree, up to so many invocations."""

    limit: Limit


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


class GetSummary(OfRequest[views.SummaryView], frozen=True, kw_only=True, tag="request.summary"):
    """What a request has done so far: counts by step, failures in groups.

    Attributes:
        is_whole: It is not answered with a part of the log, but refused until all of it is read.
    """

    is_whole: bool = False


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
