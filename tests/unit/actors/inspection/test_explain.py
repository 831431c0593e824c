from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from jobx import entity_json, model
from jobx.actors.inspection.explain import of_open, of_stored
from jobx.actors.inspection.node_facts import NodeFacts, PeerFacts
from jobx.actors.log_writer import Outstanding
from jobx.actors.request.standing import Group, Standing
from jobx.kv import keys
from jobx.kv.memory import MemoryStore
from jobx.kv.store import Put
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


def ended(state: str, failure: model.Failure | None) -> str:
    """Return what is said of a request that ended so."""
    store = MemoryStore()
    request: Any = model.Request(
        workflow_name="flow", request_id="r1", job_name="j", invocation_id="m0", accepted_at=1.0,
        state=state, is_done=True, failure=failure,
    )  # fmt: skip
    store.commit([Put(keys.entity("request", "flow", "r1"), entity_json.encode(request))])
    return of_stored(store, "flow", "r1", None).says


WRONG = model.Failure(
    kind="author", type="ValueError", message="no such town", invocation_id="m111",
    step_name="count", handler_name="counter", attempt=3, input="['a', 1]",
)  # fmt: skip


def test_a_failure_is_one_sentence_with_its_place_its_attempt_and_its_input() -> None:
    assert ended("failed", WRONG) == (
        "its handler failed in m111 (count/counter), attempt 3, on ['a', 1]: "
        "ValueError: no such town"
    )


KINDS = (
    "author", "arguments", "pair", "protocol", "timeout", "scope", "memory", "crash", "lost",
    "capability", "blob", "full", "limit", "internal",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_failure_has_words_of_its_own(kind: str) -> None:
    others = [ended("failed", replace(WRONG, kind=one)) for one in KINDS if one != kind]
    says = ended("failed", replace(WRONG, kind=kind))
    assert says not in others
    assert says.partition(" in m111")[0] != f"it failed ({kind})"


def test_a_failure_without_words_leaves_no_gap() -> None:
    bare = model.Failure(kind="crash", type="", message="killed")
    assert ended("failed", bare) == "its executor died: killed"
    late = model.Failure(kind="timeout", type="RequestTimeLimit", message="it took 60 s")
    assert ended("failed", late) == "its time was over: RequestTimeLimit: it took 60 s"


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("succeeded", "it has succeeded"),
        ("failed", "it has failed"),
        ("cancelled", "it was cancelled"),
    ],
)
def test_an_end_without_a_failure_is_said_once(state: str, says: str) -> None:
    assert ended(state, None) == says
