from __future__ import annotations

from typing import Any

import pytest

from jobx.actors.coordination.coordinator import MAX_UNCOMMITTED
from jobx.actors.inspection.explain import of_open
from jobx.actors.request.standing import Group, Standing
from jobx.views import ExplainView, RequestView

REQUEST = RequestView(
    request_id="r1", workflow_name="flow", job_name="j", state="running", is_blocking=True,
    accepted_at=1.0,
)  # fmt: skip


def explained(*groups: Group, **standing: Any) -> ExplainView:
    fields = {"open": len(groups), "phase": "open", "uncommitted": 0, **standing}
    return of_open(REQUEST, Standing(list(groups), **fields), lambda instant: instant + 1000.0)


def group(cause: Any, **fields: Any) -> Group:
    return Group(cause, "map", "count", 3, 7, **fields)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (group("running", executor=42), "executor 42 runs it"),
        (group("behind", executor=42), "executor 42 has it, behind what it runs"),
        (group("queued"), "waits for an executor"),
        (group("capability", error="gpu"), "waits for a node that offers gpu; this one does not"),
        (group("peer", node="b"), "node b has it; it comes back if that node is lost"),
        (
            group("backoff", attempt=2, error="ValueError: no"),
            "is tried again; attempt 1 ended with ValueError: no",
        ),
        (group("window"), "is suspended until enough of its children have ended"),
        (group("remade"), "its input is gone from its blob, and is made again"),
        (group("children"), "waits for its children"),
        (group("ready"), "starts when some of what the request has at work ends"),
        (
            group("other"),
            "waits for one of several causes, which are too many to tell apart",
        ),
    ],
)
def test_each_cause_is_said_in_words(given: Group, says: str) -> None:
    assert explained(given).groups[0].says == says


def test_the_headline_is_of_what_others_wait_for() -> None:
    view = explained(group("running", executor=42), group("children"))
    assert view.says == "3 invocations of step count: executor 42 runs it"


def test_instants_are_those_of_the_wall_clock() -> None:
    (shown,) = explained(group("backoff", since=5.0, until=20.0)).groups
    assert (shown.since_at, shown.until_at) == (1005.0, 1020.0)


def test_what_waits_for_an_executor_names_the_requests_that_have_them() -> None:
    view = explained(group("queued"), busy=(("r7", 2), ("r8", 1)))
    assert view.groups[0].says.endswith("executors are at other requests: r7 (2), r8 (1)")


@pytest.mark.parametrize(
    ("standing", "says"),
    [
        ({"phase": "closed"}, "the node is stopping"),
        ({"uncommitted": MAX_UNCOMMITTED + 1}, f"{MAX_UNCOMMITTED + 1} events are not durable"),
    ],
)
def test_what_may_not_start_says_why(standing: dict[str, Any], says: str) -> None:
    assert says in explained(group("ready"), **standing).groups[0].says


def test_an_end_that_is_not_durable_says_so() -> None:
    assert "until 3 events are durable" in explained(is_ending=True, uncommitted=3).says
