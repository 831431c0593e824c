"""What a reader answers: a function of the store and the question for each kind of question."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from jobx import questions, views
from jobx.actors.inspection import explain, graph, plain_views, progress, trace, trace_json
from jobx.actors.inspection.open_dumps import OpenDumps
from jobx.kv.large_events import blobs_of
from jobx.kv.store import Store
from jobx.questions import Question

Table: TypeAlias = dict[type[Question[Any]], Callable[[Store, Any], views.View]]


def table() -> Table:
    """Return what answers each kind of question; it keeps what later questions can use again."""
    dumps = OpenDumps()
    return {
        questions.GetTrace: _trace,
        questions.GetInvocation: _invocation,
        questions.GetGraph: _graph,
        questions.ExplainRequest: _explain,
        questions.GetSummary: plain_views.summary,
        questions.GetTree: plain_views.tree,
        questions.ListInvocations: plain_views.invocations,
        questions.GetTimeline: plain_views.timeline,
        questions.ReadProgress: progress.of,
        questions.GetDump: lambda store, asked: dumps.begin(store, blobs_of(store), asked),
        questions.ReadDump: lambda _, asked: dumps.read(asked),
    }


def _trace(store: Store, asked: questions.GetTrace) -> views.TraceJson:
    view = trace.read(store, asked.workflow, asked.request_id, asked.limit)
    return views.TraceJson(json=trace_json.encode(view))


def _invocation(store: Store, asked: questions.GetInvocation) -> views.TraceNode:
    return trace.invocation(store, asked.workflow, asked.request_id, asked.invocation_id)


def _graph(store: Store, asked: questions.GetGraph) -> views.GraphView:
    view = trace.read(store, asked.workflow, asked.request_id, asked.limit)
    return views.GraphView(dot=graph.dot_text(view, asked.limit))


def _explain(store: Store, asked: questions.ExplainRequest) -> views.ExplainView:
    key = asked.workflow, asked.request_id
    return explain.of_stored(store, *key, asked.why_open, asked.helps)
