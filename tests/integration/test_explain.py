"""A real node says why its requests are where they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobx.errors import NotFound
from jobx.model import Retry
from tests.support.authoring import ANSWER, FAN, GATED, SLEEP, SLOW, WORKFLOW
from tests.support.explaining import begin, explain
from tests.support.live_node import LiveNode, Start
from tests.support.waiting import eventually

WRONG = "def handler(arguments):\n    yield Return()\n    raise ValueError('no such town')\n"


def causes(node: LiveNode, request_id: str) -> list[tuple[str, int]]:
    return [(group.cause, group.count) for group in explain(node, request_id).groups]


def test_what_waits_for_an_executor_says_which_requests_have_them(
    start: Start, tmp_path: Path
) -> None:
    node = start({"gated": GATED}, {"gated": ("gated", "sum")}, node__executors=1)
    gate = tmp_path / "gate"
    ids = [begin(node, "gated", {"gate": str(gate)}) for _ in range(4)]
    eventually(lambda: causes(node, ids[0]) == [("running", 1)])
    eventually(lambda: causes(node, ids[3]) == [("queued", 1)])

    first, last = explain(node, ids[0]), explain(node, ids[3])

    assert first.groups[0].executor in {one.pid for one in node.status().executors}
    assert last.groups[0].invocation_id == "m0"
    assert ids[0] in last.says
    gate.touch()
    eventually(node.is_idle)


def test_what_is_tried_again_says_when_and_after_which_error(start: Start) -> None:
    retry = Retry(attempts=3, backoff_s=600.0, max_backoff_s=600.0)
    node = start({"wrong": WRONG}, {"wrong": ("wrong", "sum")}, {"wrong": {"retry": retry}})
    request_id = begin(node, "wrong", {})
    eventually(lambda: causes(node, request_id) == [("backoff", 1)])

    (group,) = explain(node, request_id).groups

    assert group.error == "ValueError: no such town"
    assert group.until_at is not None
    assert group.helps == f"jobx invocation get {WORKFLOW} {request_id} m0"


def test_a_mapper_waits_for_its_children_and_they_come_first(start: Start) -> None:
    node = start(
        {"fan": FAN, "each": SLOW.replace("MS", "60_000")},
        {"fan": ("fan", "sum"), "each": ("each", "sum")},
    )
    request_id = begin(node, "fan", {"n": 50})

    def ends() -> list[str]:
        found = causes(node, request_id)
        return [found[0][0], found[-1][0]] if found else []

    eventually(lambda: ends() == ["running", "children"])

    assert sum(count for _, count in causes(node, request_id)) == 51
    node.ask("request.cancel", workflow=WORKFLOW, request_id=request_id, reason="seen")


def test_a_request_that_failed_says_where_and_by_what(start: Start) -> None:
    node = start({"wrong": WRONG}, {"wrong": ("wrong", "sum")})
    request_id = node.post("wrong", {}).request.request_id

    says = explain(node, request_id).says

    assert says.startswith("its handler failed in m0 (wrong/wrong)")
    assert says.endswith("ValueError: no such town")


def test_a_request_over_its_time_limit_says_what_was_open_then(start: Start) -> None:
    node = start({"sleep": SLEEP}, {"sleep": ("sleep", "sum")})
    request_id = node.post("sleep", {"ms": 60_000}, time_limit_s=0.3).request.request_id

    view = explain(node, request_id)

    assert view.says.startswith("its time was over: RequestTimeLimit")
    (group,) = view.groups
    assert group.cause in ("running", "behind", "queued")  # it may be over before it began
    assert f"open then: 1 of step sleep, first m0, {group.says}" in view.says


def test_a_request_that_succeeded_says_so(start: Start) -> None:
    node = start({"answer": ANSWER}, {"answer": ("answer", "sum")})
    assert explain(node, node.post("answer", {}).request.request_id).says == "it has succeeded"


def test_a_request_that_is_not_there_is_not_explained(start: Start) -> None:
    node = start({"answer": ANSWER}, {"answer": ("answer", "sum")})
    with pytest.raises(NotFound, match="request"):
        explain(node, "00000000-0000-7000-8000-000000000000")
