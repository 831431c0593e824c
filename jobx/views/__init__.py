"""What the outside sees of a node: the answers of the gateway, over HTTP and in the terminal.

Plain frozen records; OpenAPI and the JSON of the command line are made from them.
"""

from __future__ import annotations

from jobx.views.actors import (
    ActorClassView,
    ActorDetail,
    ActorDump,
    ActorPage,
    ActorSummary,
    ActorTold,
    ActorTrace,
    ActorTree,
    ActorView,
    DeadLetterPage,
    DeadLetterView,
    MailCount,
    SlowHandlerView,
    StallView,
    TracedMessage,
)
from jobx.views.base import View
from jobx.views.cluster import ClusterView, MemberView, OpenView, StoreServerView, WorkflowView
from jobx.views.entities import DeletionView, EntityPage, EntityView, RefreshView
from jobx.views.explanations import ExplainView, OpenGroup
from jobx.views.invocations import (
    Bar,
    Column,
    FailureGroup,
    InvocationPage,
    InvocationRow,
    InvocationState,
    Reading,
    SiblingRun,
    StepSummary,
    SummaryView,
    TimelineView,
    TreePage,
)
from jobx.views.metrics import CountedView, MetricFamily, MetricSample, MetricsView
from jobx.views.nodes import (
    ExecutorView,
    Greeting,
    LinkView,
    NodeReport,
    NodeView,
    PeerView,
    ReadinessView,
)
from jobx.views.notifications import (
    ChannelView,
    NotificationPage,
    NotificationView,
    SendingView,
)
from jobx.views.requests import (
    JobCounts,
    Outcome,
    RequestCounts,
    RequestPage,
    RequestView,
    ResultView,
)
from jobx.views.traces import DumpChunk, GraphView, TraceJson, TraceNode, TraceView
from jobx.views.watches import AttemptFailure, ProgressView, Since, WatchView
