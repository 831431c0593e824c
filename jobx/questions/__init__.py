"""What can be asked of a node over its gateway: the other half of ``views``.

One struct a verb; the type parameter of its base is the view that answers it, so both ends of the
wire are typed by one line.
"""

from __future__ import annotations

from jobx.questions.actors import (
    ActorLimit,
    ActorMeasure,
    ActorState,
    Address,
    GetActor,
    GetActorSummary,
    GetActorTree,
    ListActors,
    ListDeadLetters,
    OfActors,
    OfNode,
    RestartActor,
    StopActor,
    TopActors,
    TraceActors,
    TraceSeconds,
)
from jobx.questions.base import (
    PROTOCOL,
    Limit,
    Long,
    OfRequest,
    PageLimit,
    Question,
    Reason,
    Scalar,
    Text,
    WaitSeconds,
    Whole,
)
from jobx.questions.entities import (
    CreateEntity,
    DeleteEntity,
    GetEntity,
    ListEntities,
    ListVersions,
    PutEntity,
    RefreshLibrary,
)
from jobx.questions.inspection import (
    ExplainRequest,
    GetDump,
    GetGraph,
    GetInvocation,
    GetSummary,
    GetTimeline,
    GetTrace,
    GetTree,
    ListInvocations,
    ReadDump,
    ReadProgress,
    WatchRequest,
)
from jobx.questions.nodes import (
    CountHttp,
    GetMetrics,
    GetNode,
    GetReadiness,
    Hello,
    HttpCount,
    ListNotifications,
)
from jobx.questions.requests import (
    AwaitRequest,
    CancelRequest,
    CountRequests,
    DeliverResult,
    GetRequest,
    GetResult,
    KeptArguments,
    ListRequests,
    SubmitJob,
)
from jobx.questions.wire import (
    QUESTIONS,
    Attended,
    answer_type,
    as_view,
    decode_answer,
    decode_call,
    decode_reply,
    encode_answer,
    encode_call,
    encode_error,
    number_of,
    wait_of,
)
