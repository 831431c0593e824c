from __future__ import annotations

from jobx.actors.inspection.spans_of_trace import MOST_SPANS, spans
from jobx.model import Failure
from jobx.traceparent import Traceparent
from jobx.views import RequestView, TraceNode, TraceView

PARENT = Traceparent(0xABC, 0xDEF, True)
FAILURE = Failure(kind="author", type="ValueError", message="no such word")
REQUEST = RequestView(
    request_id="r",
    workflow_name="w",
    job_name="j",
    state="failed",
    is_blocking=True,
    accepted_at=10.0,
    finished_at=15.0,
    failure=FAILURE,
)


def node(name: str, *children: TraceNode, started_at: float | None = 11.0) -> TraceNode:
    return TraceNode(
        invocation_id=name,
        kind="map",
        state="succeeded",
        step_name="s",
        handler_name="h",
        queued_at=10.5,
        started_at=started_at,
        duration_s=2.0,
        node_id="n1",
        executor=7,
        children=list(children),
    )


def test_the_request_is_below_its_caller_and_invocations_are_below_it() -> None:
    tree = node("m0", node("m1", node("m3")), node("m2"))
    root, m0, m1, m2, m3 = spans(TraceView(request=REQUEST, root=tree), PARENT)
    assert (root.trace_id, root.parent_id, root.name) == (0xABC, 0xDEF, "job w/j")
    assert (root.began_at, root.ended_at, root.error) == (10.0, 15.0, "ValueError: no such word")
    assert [m0.parent_id, m1.parent_id, m2.parent_id, m3.parent_id] == [
        *(root.span_id, m0.span_id, m0.span_id, m1.span_id)
    ]
    assert (m3.began_at, m3.ended_at, m3.attributes["jobx.queued_s"]) == (11.0, 13.0, 0.5)
    assert len({span.span_id for span in (root, m0, m1, m2, m3)}) == 5


def test_spans_are_the_same_each_time() -> None:
    view = TraceView(request=REQUEST, root=node("m0"))
    assert spans(view, PARENT) == spans(view, PARENT)


def test_what_did_not_begin_has_no_span_and_what_is_below_it_has() -> None:
    view = TraceView(request=REQUEST, root=node("m0", node("m1"), started_at=None))
    root, m1 = spans(view, PARENT)
    assert (m1.parent_id, m1.attributes["jobx.invocation"]) == (root.span_id, "m1")


def test_a_request_without_invocations_has_one_span() -> None:
    assert len(spans(TraceView(request=REQUEST, root=None), PARENT)) == 1


def test_a_large_request_has_so_many_spans_and_says_that_it_is_cut() -> None:
    tree = node("m0", *(node(f"m{number}") for number in range(1, 3000)))
    found = spans(TraceView(request=REQUEST, root=tree), PARENT)
    assert len(found) == MOST_SPANS
    assert found[0].attributes["jobx.is_cut"] == 1
