"""What a reader answers: a function of the store and the question for each kind of question."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from jobx import questions, views
from jobx.actors.inspection import explain, graph, trace, trace_json
from jobx.actors.inspection.dumps import dump
from jobx.actors.inspection.dumps.open_dumps import OpenDumps
from jobx.actors.inspection.folding import pages, progress
from jobx.actors.inspection.folding import timeline as timelines
from jobx.actors.inspection.folding.summary import summarize
from jobx.actors.readers.folds import Folds
from jobx.actors.readers.kept_causes import KeptCauses
from jobx.kv.large_events import blobs_of
from jobx.kv.requests import kept_requests, request_entity
from jobx.kv.store import Store
from jobx.questions import Question

A = TypeVar("A", bound=views.View)
Answer: TypeAlias = Callable[[Store, Any], views.View]
Table: TypeAlias = dict[type[Question[Any]], Answer]


def table(folds: Folds) -> Table:
    """Return what answers each kind of question; ``folds`` keeps what later ones use again."""
    dumps, causes = OpenDumps(), KeptCauses(folds.part_s)

    def summary(store: Store, asked: questions.GetSummary) -> views.SummaryView:
        return folds.view(store, asked, summarize, is_whole=asked.is_whole)

    def tree(store: Store, asked: questions.GetTree) -> views.TreePage:
        return folds.view(store, asked, lambda columns, _: pages.tree(columns, asked))

    def invocations(store: Store, asked: questions.ListInvocations) -> views.InvocationPage:
        page = folds.view(store, asked, lambda columns, _: pages.invocations(columns, asked))
        if asked.step is not None and not page.invocations:
            _check_step(store, asked, asked.step)
        return page

    def timeline(store: Store, asked: questions.GetTimeline) -> views.TimelineView:
        return folds.view(store, asked, lambda columns, _: timelines.of(columns, asked))

    of_logs: Table = {
        questions.GetTrace: _trace,
        questions.GetInvocation: _invocation,
        questions.GetGraph: _graph,
        questions.ExplainRequest: causes.explain,
        questions.GetSummary: summary,
        questions.GetTree: tree,
        questions.ListInvocations: invocations,
        questions.GetTimeline: timeline,
        questions.ReadProgress: lambda store, asked: progress.read(store, asked, summary),
    }
    return {kind: _of_whole_log(answer) for kind, answer in of_logs.items()} | {
        questions.GetDump: lambda store, asked: dumps.begin(store, blobs_of(store), asked),
        questions.ReadDump: lambda _, asked: dumps.read(asked),
    }


def _of_whole_log(answer: Answer) -> Answer:
    """Return an answer that raises NotFound if the request is removed while its log is read."""

    def found(store: Store, asked: Any) -> views.View:
        with request_entity.reading_log(store, asked.workflow, asked.request_id):
            return answer(store, asked)

    return found


def answered(store: Store, question: Question[A]) -> A:
    """Return the answer to one question in this process, however long that takes."""
    answer: Any = table(Folds(slice_s=math.inf, part_s=math.inf))[type(question)](store, question)
    found: A = answer
    return found


def _check_step(store: Store, asked: questions.ListInvocations, step: str) -> None:
    """Raise InvalidInput for a step that is not in the plan of a request, if that is known."""
    digest = kept_requests.plan_of(store, asked.workflow, asked.request_id)
    plan = explain.plan_of(store, asked.workflow, digest)
    if plan is not None:
        dump.check_steps([step], plan.steps)


def _trace(store: Store, asked: questions.GetTrace) -> views.TraceJson:
    view = trace.read(store, asked.workflow, asked.request_id, asked.limit)
    return views.TraceJson(json=trace_json.encode(view))


def _invocation(store: Store, asked: questions.GetInvocation) -> views.TraceNode:
    return trace.invocation(store, asked.workflow, asked.request_id, asked.invocation_id)


def _graph(store: Store, asked: questions.GetGraph) -> views.GraphView:
    view = trace.read(store, asked.workflow, asked.request_id, asked.limit)
    return views.GraphView(dot=graph.dot_text(view, asked.limit))
