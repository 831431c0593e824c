"""The invocations of a request in parts: counted, in runs, page by page, as a timeline."""

from __future__ import annotations

from typing import Literal, TypeAlias

from jobx.model import Failure
from jobx.views.base import View
from jobx.views.requests import RequestView

#: ``running``: the mapper has mapped on, or waits for its children. ``replaced``: a later attempt
#: of its parent yielded other children.
InvocationState: TypeAlias = Literal[
    "pending", "running", "succeeded", "failed", "cancelled", "replaced"
]


class StepSummary(View, frozen=True, kw_only=True):
    """The invocations of one step at one depth of the tree.

    The states of its mappers add up to ``mapped``. One has succeeded when its reducer has.
    """

    step_name: str
    #: 0: the root.
    depth: int
    mapped: int = 0
    pending: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    retries: int = 0
    #: Combiners and reducers that succeeded; a reducer in partitions counts once.
    combined: int = 0
    reduced: int = 0
    #: What the mappers that succeeded took; None: there are none.
    mean_s: float | None = None
    max_s: float | None = None


class FailureGroup(View, frozen=True, kw_only=True):
    """Failed attempts of one type, from one line, in one step."""

    type: str
    #: The innermost line of the author, such as ``handler count, line 3``.
    line: str | None = None
    step_name: str
    count: int
    #: The invocation that failed first …
    first: str
    #: … and what it said.
    message: str
    #: One of them was not tried again.
    is_final: bool = False


class Reading(View, frozen=True, kw_only=True):
    """How far a log has been read for a view, which is of these events alone; ask again for more.

    Attributes:
        events: Events that are in the view.
        of: Events that the log has.
    """

    events: int
    of: int


class SummaryView(View, frozen=True, kw_only=True):
    """What a request has done so far.

    Attributes:
        request: Its view; without its deliveries, which no event tells of.
        as_of: The number of the last event that is in it; -1: there is none.
        steps: From the root down.
        failures: The most frequent first.
        reading: Set while its log is still being read.
    """

    request: RequestView
    as_of: int
    steps: list[StepSummary] = []
    failures: list[FailureGroup] = []
    reading: Reading | None = None


class SiblingRun(View, frozen=True, kw_only=True):
    """Siblings in a row that are in one state; one that failed is alone.

    Attributes:
        first: The first of them; their numbers follow each other.
        count: How many they are.
        state: Of their mappers, their combiners and reducers included.
        step_name: Their step.
        children: How many children they have together.
        failure: Why it failed.
        queued_at: When the first could begin.
        started_at: When the first began.
        duration_s: From then to the end of the last; None: that is not known.
    """

    first: str
    count: int
    state: InvocationState
    step_name: str
    children: int = 0
    failure: Failure | None = None
    queued_at: float | None = None
    started_at: float | None = None
    duration_s: float | None = None


class TreePage(View, frozen=True, kw_only=True):
    """A page of the children of one mapper. ``next`` is the cursor of the page behind, or None.

    It may have fewer runs than asked for, and still a ``next``.

    Attributes:
        of: The mapper.
        parent: The mapper as a run of its own; None: what was read of the log lacks it.
        reading: See ``SummaryView``; there is a ``next`` then.
    """

    request_id: str
    as_of: int
    of: str
    parent: SiblingRun | None = None
    runs: list[SiblingRun] = []
    next: str | None = None
    reading: Reading | None = None


class InvocationRow(View, frozen=True, kw_only=True):
    """One invocation in a list; see ``TraceNode``."""

    invocation_id: str
    kind: str
    step_name: str
    state: InvocationState
    attempt: int = 1
    node_id: str | None = None
    executor: int | None = None
    queued_at: float | None = None
    started_at: float | None = None
    duration_s: float | None = None
    failure: Failure | None = None


class InvocationPage(View, frozen=True, kw_only=True):
    """A page of invocations, by number. ``next`` is the cursor of the page behind, or None.

    It may have fewer than asked for, and still a ``next``.

    Attributes:
        reading: See ``SummaryView``; there is a ``next`` then.
    """

    as_of: int
    invocations: list[InvocationRow] = []
    next: str | None = None
    reading: Reading | None = None


class Bar(View, frozen=True, kw_only=True):
    """One run of an executor: of a mapper with its trip, or of a reducer of its own.

    One that failed and did not run has no length.
    """

    invocation_id: str
    step_name: str
    state: InvocationState
    started_at: float
    duration_s: float
    #: Which of ``TimelineView.lanes``; -1: none.
    lane: int = -1


class Column(View, frozen=True, kw_only=True):
    """A part of the time: by step how many ran on average, and how many failed in it."""

    at: float
    width_s: float
    running: dict[str, float] = {}
    failed: int = 0


class TimelineView(View, frozen=True, kw_only=True):
    """What ran when: as bars if there are at most 10,000, else as columns.

    Attributes:
        lanes: Executors, as node and process id.
        bars: By start.
        columns: At most as many as asked for.
        reading: See ``SummaryView``.
    """

    as_of: int
    from_at: float
    until_at: float
    lanes: list[str] = []
    bars: list[Bar] | None = None
    columns: list[Column] | None = None
    reading: Reading | None = None
