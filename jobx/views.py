"""What the outside sees of a node: the answers of the gateway, over HTTP and in the terminal.

Plain frozen records; OpenAPI and the JSON of the command line are made from them.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from jobx.model import Counts, Delivery, Failure, RequestState


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all views."""


class RequestView(View, frozen=True, kw_only=True):
    """One request as it stands."""

    request_id: str
    workflow_name: str
    job_name: str
    state: RequestState
    is_blocking: bool
    accepted_at: float
    finished_at: float | None = None
    counts: Counts = Counts()
    failure: Failure | None = None
    result_pairs: int | None = None
    result_bytes: int | None = None
    context: dict[str, Any] = {}
    idempotency_key: str | None = None
    #: The node that coordinates it, or did at its end.
    coordinator: str | None = None
    #: Digest of the plan: the steps and handler versions that it started with.
    plan: str | None = None
    #: Capabilities that no node offers, and its work waits for.
    waits_for: tuple[str, ...] = ()
    #: Why the node that was asked leaves it open, neither continuing nor ending it.
    left_open: str | None = None
    #: Why this is what the store has, with counts of 0, and not what its coordinator knows.
    as_stored: str | None = None
    #: Where else the result was sent.
    deliveries: list[Delivery] = []


class RequestPage(View, frozen=True, kw_only=True):
    """A page of requests, newest first. ``next`` is the cursor of the page behind, or None.

    They are as the store has them: those that run have counts of 0. A page may have fewer than
    were asked for, or none, and a cursor.

    Attributes:
        requests: The requests.
        next: The cursor of the page behind.
        is_partial: It ends early since looking has a limit; more may follow behind ``next``.
        unindexed: Why requests of the past may be missing; None: none are.
    """

    requests: list[RequestView]
    next: str | None = None
    is_partial: bool = False
    unindexed: str | None = None


class JobCounts(View, frozen=True, kw_only=True):
    """How many requests of a job are in each state; those that ended as long as they are kept."""

    job_name: str
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0


class RequestCounts(View, frozen=True, kw_only=True):
    """How many requests of a workflow are in each state, by job.

    Attributes:
        jobs: Jobs that have requests, by name.
        total: Their sum; its ``job_name`` is empty.
        unindexed: Why requests of the past may not be counted; None: all are.
    """

    jobs: list[JobCounts]
    total: JobCounts
    unindexed: str | None = None


class ResultView(View, frozen=True, kw_only=True):
    """Where the pairs of a result are: payload wires, and the folder of those in blobs."""

    request_id: str
    pairs: int
    size_bytes: int
    payloads: list[Any]
    blob_dir: str


class Outcome(View, frozen=True, kw_only=True):
    """What a submit or a wait gives: a finished request, or one still running."""

    request: RequestView
    result: ResultView | None = None
    #: The result goes there: a blocking caller is told so instead of being given it.
    delivery: Delivery | None = None
    #: The same Idempotency-Key was seen before: this is the first request.
    replayed: bool = False


class TraceNode(View, frozen=True, kw_only=True):
    """One invocation in the trace of a request."""

    invocation_id: str
    kind: str
    state: str
    step_name: str
    handler_name: str
    attempt: int = 1
    #: The node where it ran; of a reducer in partitions, the node of the last one.
    node_id: str | None = None
    #: The process id of its executor.
    executor: int | None = None
    #: When it could begin, when it began (within a millisecond), and how long it then ran.
    queued_at: float | None = None
    started_at: float | None = None
    duration_s: float | None = None
    input: str | None = None
    output: str | None = None
    session: dict[str, Any] | None = None
    failure: Failure | None = None
    children: list[TraceNode] = []
    #: Children that are not shown because the view is bounded.
    hidden: int = 0


class TraceView(View, frozen=True, kw_only=True):
    """The invocation tree of a request."""

    request: RequestView
    root: TraceNode | None
    deliveries: list[Delivery] = []

    @property
    def is_spread(self) -> bool:
        """Whether more than one node had a part in the request, its coordinator included."""
        found = {self.request.coordinator}
        todo = [self.root] if self.root is not None else []
        while todo:
            vertex = todo.pop()
            found.add(vertex.node_id)
            todo += vertex.children
        return len(found - {None}) > 1


class TraceJson(View, frozen=True, kw_only=True):
    """The JSON of a TraceView, see ``actors/inspection/trace_json.py``."""

    json: bytes


class DumpChunk(View, frozen=True, kw_only=True):
    """A chunk of a dump; further ones are asked for by its id."""

    dump_id: str
    data: bytes
    is_last: bool


class OpenGroup(View, frozen=True, kw_only=True):
    """Open invocations of a request that wait for the same."""

    #: See ``actors/request/standing.py``, or ``starting`` (no executor can take work), ``store``
    #: (what the request has done is not durable), ``ending``, ``stopping`` (the node is),
    #: ``adoption`` (nobody coordinates the request), ``open`` (of one that has ended).
    cause: str
    kind: str
    step_name: str
    count: int
    #: The one that has waited longest, as far as is known.
    invocation_id: str
    since_at: float | None = None
    until_at: float | None = None
    node_id: str | None = None
    executor: int | None = None
    attempt: int = 1
    error: str | None = None
    #: How long invocations of its version usually take, and how long it may; of one that runs.
    usual_s: float | None = None
    limit_s: float | None = None
    #: Which partition of a reducer it is.
    part: int | None = None
    #: The child that it waits for, or what makes its input again.
    awaits: str | None = None
    says: str
    #: The command that helps, or shows more.
    helps: str | None = None


class ExplainView(View, frozen=True, kw_only=True):
    """Why a request is where it is.

    Each open invocation is in one of the groups, which begin with what others wait for.
    """

    request: RequestView
    says: str
    groups: list[OpenGroup] = []
    #: The command that helps, if there are no groups, or nobody is at them.
    helps: str | None = None
    #: What is wrong with the node.
    troubles: list[str] = []


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


class SummaryView(View, frozen=True, kw_only=True):
    """What a request has done so far.

    Attributes:
        request: Its view; without its deliveries, which no event tells of.
        as_of: The number of the last event that is in it; -1: there is none.
        steps: From the root down.
        failures: The most frequent first.
    """

    request: RequestView
    as_of: int
    steps: list[StepSummary] = []
    failures: list[FailureGroup] = []


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
        parent: The mapper as a run of its own.
    """

    request_id: str
    as_of: int
    of: str
    parent: SiblingRun | None = None
    runs: list[SiblingRun] = []
    next: str | None = None


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
    """

    as_of: int
    invocations: list[InvocationRow] = []
    next: str | None = None


class Bar(View, frozen=True, kw_only=True):
    """One run of an executor: of a mapper with its trip, or of a reducer of its own.

    One that failed has no length: it is known when it ended.
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
    """

    as_of: int
    from_at: float
    until_at: float
    lanes: list[str] = []
    bars: list[Bar] | None = None
    columns: list[Column] | None = None


class ActorView(View, frozen=True, kw_only=True):
    """One live actor.

    Attributes:
        mailbox: Its unread messages; the oldest has waited for ``oldest_s``.
        handled: Messages that it has handled, in ``time_s`` altogether.
        restarts: How often it was started again, and why the last time; ``restarts_used`` of its
            budget of ``restart_limit`` were used by then, those that nobody asked for.
        held_bytes: Memory that it holds of the budget of open requests.
    """

    address: str
    name: str
    state: str
    mailbox: int
    age_s: float
    children: list[ActorView] = []
    #: Children that are not shown because the view is bounded.
    hidden: int = 0
    class_name: str = ""
    parent: str | None = None
    handled: int = 0
    time_s: float = 0.0
    oldest_s: float | None = None
    restarts: int = 0
    restarts_used: int = 0
    restart_limit: int | None = None
    restart_reason: str | None = None
    held_bytes: int | None = None


class ActorPage(View, frozen=True, kw_only=True):
    """A page of actors, in the order of their creation, without their children.

    ``next`` is the cursor of the page behind, or None.
    """

    node_id: str
    actors: list[ActorView]
    next: str | None = None


class MailCount(View, frozen=True, kw_only=True):
    """Unread messages of one type."""

    message: str
    count: int


class ActorDetail(View, frozen=True, kw_only=True):
    """One actor with its surroundings.

    Attributes:
        actor: The actor with its first children.
        parents: From its parent up to the root.
        mail: Its first unread messages by type; ``unread`` are behind them.
    """

    node_id: str
    actor: ActorView
    parents: list[ActorView]
    mail: list[MailCount]
    unread: int = 0


class ActorClassView(View, frozen=True, kw_only=True):
    """All actors of one class, since the node started.

    Attributes:
        failure: Why the last of those that ``failed`` did.
        handled: Messages that they have handled, in ``time_s`` altogether.
        slow: Messages that took over 10 ms; the longest took ``longest_s``.
        mailbox: Their unread messages; the oldest has waited for ``oldest_s``.
    """

    class_name: str
    live: int
    created: int
    failed: int
    failure: str | None = None
    handled: int
    time_s: float
    slow: int
    longest_s: float
    mailbox: int
    oldest_s: float | None = None
    restarts: int = 0
    restart_reason: str | None = None


class SlowHandlerView(View, frozen=True, kw_only=True):
    """Messages of one type that took actors of one class over 10 ms."""

    class_name: str
    message: str
    count: int
    time_s: float
    longest_s: float
    last_at: float


class StallView(View, frozen=True, kw_only=True):
    """The node's loop stood still for over 100 ms, at one place of the code."""

    where: str
    count: int
    longest_s: float
    last_at: float


class ActorSummary(View, frozen=True, kw_only=True):
    """The actors of a node by their classes, and what was wrong with them since it started.

    Attributes:
        queued: Actors with unread messages.
        dead_letters: Messages that nobody has read.
        held_bytes: Memory of open requests, of ``limit_bytes``.
        traces: Traces of messages that are on.
    """

    node_id: str
    live: int
    queued: int
    created: int
    failed: int
    handled: int
    dead_letters: int
    held_bytes: int
    limit_bytes: int
    slow: int
    stalls: int
    traces: int
    classes: list[ActorClassView]
    slow_handlers: list[SlowHandlerView]
    stalled: list[StallView]


class TracedMessage(View, frozen=True, kw_only=True):
    """A message that a traced actor has handled: its type and about its size, not its content.

    Attributes:
        size_is_least: The size is that of its first parts.
        waited_s: How long it was in the mailbox.
        took_s: How long it was handled.
        failed: It ended the actor.
    """

    at: float
    receiver: str
    class_name: str
    message: str
    size_bytes: int
    size_is_least: bool = False
    sender: str
    sender_class: str | None = None
    waited_s: float
    took_s: float
    failed: bool = False


class ActorTrace(View, frozen=True, kw_only=True):
    """What actors have handled while somebody asked. ``is_full``: there may have been more."""

    node_id: str
    messages: list[TracedMessage]
    took_s: float
    is_full: bool = False


class DeadLetterView(View, frozen=True, kw_only=True):
    """Messages of one type and sender that one actor has not read."""

    message: str
    target: str
    target_class: str | None = None
    sender: str
    sender_class: str | None = None
    reason: str
    count: int
    first_at: float
    last_at: float


class DeadLetterPage(View, frozen=True, kw_only=True):
    """The last groups of dead letters, newest first; ``count``: all messages since the start."""

    node_id: str
    count: int
    letters: list[DeadLetterView]


class ActorDump(View, frozen=True, kw_only=True):
    """The actors of a node and what it tells of them. ``is_cut``: there are more actors."""

    summary: ActorSummary
    actors: list[ActorView]
    is_cut: bool = False
    dead_letters: DeadLetterPage


class ActorTold(View, frozen=True, kw_only=True):
    """What follows from the stop or the restart of an actor."""

    node_id: str
    address: str
    name: str
    says: str


class ExecutorView(View, frozen=True, kw_only=True):
    """One executor process, and the request that it is at."""

    pid: int
    state: str
    invocations: int
    rss_bytes: int
    age_s: float
    workflow: str | None = None
    request_id: str | None = None


class ActorTree(View, frozen=True, kw_only=True):
    """The live actors of a node, by their roots."""

    actors: list[ActorView]


class NodeView(View, frozen=True, kw_only=True):
    """A running node."""

    node_id: str
    version: str
    is_compiled: bool = False
    pid: int
    state: str
    uptime_s: float
    data_dir: str
    capabilities: list[str]
    open_requests: int
    queued_batches: int
    dead_letters: int
    rss_bytes: int
    executors: list[ExecutorView]


class LinkView(View, frozen=True, kw_only=True):
    """A link of a node to a peer in a workflow, and its counts since the node started.

    Attributes:
        children: Batches of this node's requests on the peer.
        hosted: Batches of the peer's requests here.
        unacked_bytes: What this node keeps until the peer has acknowledged it.
        resent: Number of packets that were sent again.
        duplicates: Number of packets that came again.
        stale: Number of letters for or from lives that were over.
        breaks: How often the link broke.
    """

    peer: str
    workflow: str
    is_up: bool
    children: int
    hosted: int
    unacked_bytes: int
    resent: int
    duplicates: int
    stale: int
    breaks: int


class NodeReport(View, frozen=True, kw_only=True):
    """What a node of a cluster tells of itself. ``node`` is None when its loop stands still.

    Attributes:
        dropped: Number of datagrams that were dropped, by reason.
    """

    node: NodeView | None = None
    trouble: str | None = None
    notice: str | None = None
    links: list[LinkView] = []
    dropped: dict[str, int] = {}


class MemberView(View, frozen=True, kw_only=True):
    """A node as ``jobx cluster status`` shows it; ``report`` is None when it did not answer.

    ``nsqd_trouble`` says why its nsqd does not answer the host of the command.
    """

    node_id: str
    holder: str
    registration: int
    nsqd: str
    nsqd_trouble: str | None = None
    workflows: list[str]
    capabilities: list[str]
    slots: int
    version: str
    report: NodeReport | None = None


class WorkflowView(View, frozen=True, kw_only=True):
    """A workflow in a cluster: the nodes that run it."""

    workflow: str
    nodes: list[str]


class OpenView(View, frozen=True, kw_only=True):
    """How many requests a node has open, counted up to a limit; it may be gone."""

    node_id: str
    count: int
    has_more: bool = False
    is_registered: bool = True


class StoreServerView(View, frozen=True, kw_only=True):
    """A server of etcd; what is not known is None.

    Attributes:
        error: Why it did not answer.
        is_compacted: Old values were removed, or the server was told to remove them by itself.
    """

    server: str
    error: str | None = None
    version: str | None = None
    is_leader: bool = False
    has_leader: bool = False
    size_bytes: int | None = None
    quota_bytes: int | None = None
    alarms: list[str] = []
    revision: int | None = None
    is_compacted: bool | None = None


class ClusterView(View, frozen=True, kw_only=True):
    """A cluster. ``trouble`` is for people: a sentence for whatever somebody should look at."""

    cluster: str | None
    nodes: list[MemberView]
    workflows: list[WorkflowView]
    open_requests: list[OpenView]
    etcd: list[StoreServerView]
    trouble: list[str]


class Greeting(View, frozen=True, kw_only=True):
    """How a node greets a peer."""

    protocol: int
    node_id: str = ""
    version: str = ""
    pid: int = 0


class ReadinessView(View, frozen=True, kw_only=True):
    """Whether a node takes requests, and what is in the way."""

    state: str
    trouble: str | None = None
    #: What an operator should know, though it is in nobody's way.
    notice: str | None = None


class MetricSample(msgspec.Struct, frozen=True, array_like=True):
    """One value of a metric.

    Attributes:
        labels: The values of its labels.
        value: What it is; of a histogram, the sum of all measurements.
        buckets: Of a histogram: how many were at most as large as each bound, and how many there
            were.
    """

    labels: tuple[str, ...]
    value: float
    buckets: list[int] = []


class MetricFamily(View, frozen=True, kw_only=True):
    """A metric: ``kind`` is ``counter``, ``gauge`` or ``histogram``. Names lack ``_total``."""

    name: str
    kind: str
    says: str
    labels: tuple[str, ...] = ()
    #: Of a histogram, the upper bounds of its buckets.
    bounds: list[float] = []
    samples: list[MetricSample] = []


class MetricsView(View, frozen=True, kw_only=True):
    """What a node counted since it started, and how it is now."""

    families: list[MetricFamily]


class CountedView(View, frozen=True, kw_only=True):
    """The number of the last report of a web worker that was counted."""

    number: int


class GraphView(View, frozen=True, kw_only=True):
    """A graph in the language of Graphviz."""

    dot: str


class EntityView(View, frozen=True, kw_only=True):
    """The fields of one entity."""

    entity: dict[str, Any]


class EntityPage(View, frozen=True, kw_only=True):
    """A page of entities of a kind, by name. ``next`` is the cursor of the page behind, or None."""

    entities: list[dict[str, Any]]
    next: str | None = None


class DeletionView(View, frozen=True, kw_only=True):
    """What a deletion broke, or took with it."""

    broken: list[str]


class RefreshView(View, frozen=True, kw_only=True):
    """Whether entities had changed."""

    changed: bool


class AttemptFailure(View, frozen=True, kw_only=True):
    """Attempts that failed, as one event tells of them."""

    #: The number of the event.
    event: int
    #: The first of so many.
    invocation_id: str
    count: int = 1
    step_name: str | None = None
    attempt: int
    type: str
    message: str
    #: It is not tried again: the request failed by it.
    is_final: bool


class Since(View, frozen=True, kw_only=True):
    """What came of a request since one of its events; ``is_reset``: too much to say."""

    failures: list[AttemptFailure] = []
    hidden: int = 0
    retries: int = 0
    branches_ended: int = 0
    is_reset: bool = False


class ProgressView(View, frozen=True, kw_only=True):
    """How a request stands, and what came since each event that was asked for."""

    summary: SummaryView
    since: list[Since]
    #: Its end is in it: nothing follows.
    is_end: bool = False


class WatchView(View, frozen=True, kw_only=True):
    """How a request stands, and what came since the event that its watcher knows.

    Attributes:
        as_of: The number of the last event that is in it.
        summary: How it stands; None: nothing has come.
        failures: Attempts that failed since, the last of them …
        hidden: … and how many events tell of earlier ones.
        retries: Invocations that are tried again since.
        branches_ended: Mappers that mapped on, whose reducers ended since.
        is_reset: Too much has come since: the watcher begins anew with the summary.
        is_end: Nothing follows.
    """

    as_of: int
    summary: SummaryView | None = None
    failures: list[AttemptFailure] = []
    hidden: int = 0
    retries: int = 0
    branches_ended: int = 0
    is_reset: bool = False
    is_end: bool = False
