"""The operations of jobs and requests."""

from __future__ import annotations

import functools
from typing import Final

from jobx.http.openapi import parameters as given
from jobx.http.openapi.operation import BODY, EVENTS, EVERY, LINES, PICTURE, TEXT, Operation, ref
from jobx.http.resources import dumps, jobs, request_views, requests

_REQUEST: Final = "/request/{workflow}/{request_id}"
_INVOCATION: Final = f"{_REQUEST}/invocation/{{invocation_id}}"
_RESULT_HEADERS: Final = {
    "X-MR-REQUEST-ID": "The request.",
    "X-FULFILLED-BY": "The host that answered.",
}
_get = functools.partial(Operation, "get")


def request_operations() -> list[Operation]:
    """Return what runs jobs, and what reads and changes requests."""
    return [_run(), *_lists(), *_of_one(), *_views(), *_what_happened()]


def _run() -> Operation:
    return Operation(
        "post", "/job/{workflow}/{job}", "runJob", jobs.post,
        "Run a job and get its reduced result",
        {200: ref("Result"), 202: ref("RequestView")},
        (given.BLOCKING, given.PREFER_JOB, given.KEY),
        ref("JobBody"), (*EVERY, *BODY, 406, 409, 422), _RESULT_HEADERS,
    )  # fmt: skip


def _lists() -> list[Operation]:
    return [
        _get("/request/{workflow}", "listRequests", requests.list_page,
            "List requests, newest first",
            {200: ref("RequestPage")}, (*given.FILTER, given.LIMIT, given.AFTER_REQUEST)),
        _get("/request/{workflow}/counts", "countRequests", requests.count,
            "How many requests are in each state",
            {200: ref("RequestCounts")}, (given.JOB,)),
    ]  # fmt: skip


def _of_one() -> list[Operation]:
    view = ref("RequestView")
    return [
        _get(_REQUEST, "getRequest", requests.read,
            "The state of a request; its graph if a picture is preferred",
            {200: view}, has_tag=True),
        Operation("delete", _REQUEST, "cancelRequest", requests.cancel,
            "Cancel a request and all of its tree",
            {200: view, 202: view}, (given.REASON,)),
        _get(f"{_REQUEST}/result", "getResult", requests.result,
            "The result or failure of a request",
            {200: ref("Result")}, (given.PREFER,), problems=(*EVERY, 406, 409), has_tag=True),
        Operation("post", f"{_REQUEST}/delivery", "deliverResult", requests.deliver,
            "Deliver the result again, under the same delivery id",
            {202: view}, problems=(*EVERY, 409)),
        _get(f"{_REQUEST}/explain", "explainRequest", requests.explain,
            "What the open invocations of a request wait for, or why it ended",
            {200: ref("ExplainView")}),
    ]  # fmt: skip


def _views() -> list[Operation]:
    return [
        _get(f"{_REQUEST}/dump", "dumpRequest", dumps.dump,
            "Every invocation with all that is known of it",
            {200: LINES}, given.DUMP),
        _get(f"{_REQUEST}/summary", "getSummary", request_views.summary,
            "What a request has done: counts by step, failures in groups",
            {200: ref("SummaryView")}, has_tag=True),
        _get(f"{_REQUEST}/tree", "getTree", request_views.tree,
            "The children of a mapper, in runs of one state",
            {200: ref("TreePage")}, (given.OF, given.AFTER_RUN, given.LIMIT), has_tag=True),
        _get(f"{_REQUEST}/invocations", "listInvocations", request_views.invocations,
            "The invocations of a request",
            {200: ref("InvocationPage")},
            (given.INVOCATION_STATE, given.STEP, given.KIND, given.FROM, given.LIMIT),
            has_tag=True),
        _get(f"{_REQUEST}/timeline", "getTimeline", request_views.timeline,
            "What ran when: bars, or columns if there are more than 10,000",
            {200: ref("TimelineView")}, (given.FROM_AT, given.UNTIL_AT, given.WIDTH),
            has_tag=True),
    ]  # fmt: skip


def _what_happened() -> list[Operation]:
    return [
        _get(f"{_REQUEST}/trace", "getTrace", requests.trace,
            "The tree of invocations",
            {200: ref("TraceView")}, (given.INVOCATIONS,)),
        _get(f"{_REQUEST}/events", "watchRequest", requests.events,
            "What happens to a request, as server-sent events; 204 after its end",
            {200: EVENTS, 204: None}, (given.LAST_EVENT, given.SEEN)),
        _get(_INVOCATION, "getInvocation", requests.invocation,
            "One invocation",
            {200: ref("TraceNode")}),
        _get(f"{_INVOCATION}/output", "getOutput", requests.output,
            "What an invocation wrote and logged",
            {200: TEXT}),
        _get(f"{_REQUEST}/graph", "drawGraph", requests.graph,
            "The tree of invocations, drawn",
            {200: PICTURE}, problems=(*EVERY, 406)),
    ]  # fmt: skip
