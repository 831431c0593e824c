from __future__ import annotations

from typing import Any

from jobx.actors.inspection.explain import of_open
from jobx.actors.inspection.node_facts import NodeFacts, PeerFacts
from jobx.actors.log_writer import Outstanding
from jobx.actors.request.standing import Group, Standing
from jobx.views import ExplainView, RequestView

REQUEST = RequestView(
    request_id="r1", workflow_name="flow", job_name="j", state="running", is_blocking=True,
    accepted_at=1.0,
)  # fmt: skip
FACTS = NodeFacts(now=10.0, now_at=1_000_010.0, outstanding=Outstanding(4.0, 7, None))


def explained(*groups: Group, facts: NodeFacts = NodeFacts(), **standing: Any) -> ExplainView:  # noqa: B008 - it is frozen
    fields = {"open": len(groups), "phase": "open", "uncommitted": 0, **standing}
    return of_open(REQUEST, Standing(list(groups), **fields), facts)


def group(cause: Any, **fields: Any) -> Group:
    return Group(cause, "map", "count", 3, 7, **fields)


def test_the_headline_is_of_what_others_wait_for() -> None:
    view = explained(group("running", executor=42), group("children"))
    assert view.says == "3 invocations of step count: executor 42 runs it"


def test_what_does_not_come_by_itself_is_told_before_what_runs() -> None:
    silent = PeerFacts(True, 4.0, 2, True, 9.0)
    facts = NodeFacts(now=10.0, peer=lambda *_: silent)
    view = explained(group("running", executor=42), group("peer", node="b"), facts=facts)
    assert [one.cause for one in view.groups] == ["peer", "running"]
    stopped = explained(group("running", executor=1), group("running", executor=2, is_still=True))
    assert [one.executor for one in stopped.groups] == [2, 1]


def test_an_end_that_is_not_durable_says_so() -> None:
    says = explained(is_ending=True, uncommitted=3, facts=FACTS).says
    assert says == (
        "it has ended; 3 events are not durable, and their commit is outstanding; "
        "the store has been silent since 1970-01-12 13:46:44Z; 7 appends wait"
    )


def test_a_request_whose_first_event_is_not_durable_is_not_accepted() -> None:
    says = explained(group("running"), is_accepted=False, uncommitted=1, facts=FACTS).says
    assert says.startswith("it is not accepted yet")
    assert says.endswith("7 appends wait")


def test_a_request_that_was_adopted_says_from_where_and_from_which_event_on() -> None:
    says = explained(group("running"), adopted=12, adopted_from="a").says
    assert says.endswith("; taken over from node a, from event 12 on")


def test_troubles_of_the_node_are_told() -> None:
    assert explained(facts=NodeFacts(troubles=("no executor is ready",))).troubles == [
        "no executor is ready"
    ]
