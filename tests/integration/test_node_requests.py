"""A real node and its requests: limits, retries, cancelling, sharing, asking twice."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from jobx.model import Retry
from tests.support.authoring import ANSWER, FAN, SLEEP, SLOW, WORKFLOW, handler
from tests.support.live_node import Start, failure_of, outcome_of, pairs_of, trace_of
from tests.support.waiting import eventually

pytestmark = pytest.mark.every_store

#: Returns once a file is there.
GATE = """
import os, time
def handler(key, value):
    yield Return()
    while not os.path.exists(value):
        time.sleep(0.01)
    yield "VERSION", 1
"""
#: Is slow until a file is there.
SLOW_BEFORE = """
import os, time
def handler(key, value):
    yield Return()
    if not os.path.exists("GATE"):
        time.sleep(0.1)
    yield "n", 1
"""
FAN_GATE = """
def handler(arguments):
    yield Map("each")
    for number in range(3):
        yield number, arguments["gate"]
"""


def test_request_over_its_time_limit_fails_and_frees_its_executors(start: Start) -> None:
    node = start({"sleep": SLEEP}, {"sleep": ("sleep", "sum")})

    failure = failure_of(node.post("sleep", {"ms": 60_000}, time_limit_s=0.3))

    assert (failure.kind, failure.type) == ("timeout", "RequestTimeLimit")
    eventually(node.is_idle)


def test_cancelling_ends_the_whole_tree(start: Start) -> None:
    node = start(
        {"fan": FAN, "each": SLOW.replace("MS", "60_000")},
        {"fan": ("fan", "sum"), "each": ("each", "sum")},
    )
    running = node.post_later("fan", {"n": 100}, is_blocking=False)
    request_id = outcome_of(running).request.request_id
    eventually(lambda: "busy" in {e.state for e in node.status().executors})

    answer = node.ask("request.cancel", workflow=WORKFLOW, request_id=request_id, reason="enough")

    assert answer["state"] == "cancelled"
    eventually(node.is_idle)


def test_cancelling_again_and_again_never_blames_who_waits_behind(start: Start) -> None:
    node = start({"sleep": SLEEP, "good": ANSWER}, {s: (s, "sum") for s in ("sleep", "good")})
    good = []
    for _ in range(4):
        slow = [node.post_later("sleep", {"ms": 60_000}, is_blocking=False) for _ in range(2)]
        good += [node.post_later("good", {}) for _ in range(2)]
        for future in slow:
            request_id = outcome_of(future).request.request_id
            node.ask("request.cancel", workflow=WORKFLOW, request_id=request_id, reason="enough")

    assert [pairs_of(outcome_of(future)) for future in good] == [[("answer", 42)]] * 8


def test_author_failure_is_tried_again_as_its_handler_says(start: Start) -> None:
    flaky = ANSWER + "    if INVOCATION.attempt < 3:\n        raise OSError('not yet')\n"
    retry = Retry(attempts=3, backoff_s=0.05, on=("OSError",))
    node = start({"flaky": flaky}, {"flaky": ("flaky", "sum")}, {"flaky": {"retry": retry}})

    outcome = node.post("flaky", {})

    assert pairs_of(outcome) == [("answer", 42)]
    assert outcome.request.counts.retried == 2


def test_work_that_waits_behind_a_long_one_is_given_to_who_is_free(start: Start) -> None:
    node = start({"sleep": SLEEP}, {"sleep": ("sleep", "sum")})

    long = node.post_later("sleep", {"ms": 600_000})
    short = [node.post_later("sleep", {"ms": 100}) for _ in range(6)]

    assert [pairs_of(outcome_of(future)) for future in short] == [[("slept", 1)]] * 6
    assert not long.done()


def test_small_request_does_not_wait_for_a_huge_one(start: Start, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    node = start(
        {"fan": FAN, "each": SLOW_BEFORE.replace("GATE", str(gate)), "good": ANSWER},
        {"fan": ("fan", "sum"), "each": ("each", "sum"), "good": ("good", "sum")},
    )
    huge = node.post_later("fan", {"n": 4000})
    eventually(lambda: "busy" in {e.state for e in node.status().executors})

    assert pairs_of(node.post("good", {})) == [("answer", 42)]
    assert not huge.done()
    gate.touch()
    assert pairs_of(outcome_of(huge)) == [("n", 4000)]


def test_request_keeps_the_handlers_that_it_began_with(start: Start, tmp_path: Path) -> None:
    node = start(
        {"fan": FAN_GATE, "each": GATE.replace("VERSION", "old")},
        {"fan": ("fan", "sum"), "each": ("each", "sum")},
    )
    gate = tmp_path / "gate"
    running = node.post_later("fan", {"gate": str(gate)})
    eventually(lambda: "busy" in {e.state for e in node.status().executors})

    fields = msgspec.to_builtins(handler("each", "mapper", GATE.replace("VERSION", "new")))
    node.ask("entity.put", kind="handler", fields=fields)
    gate.touch()

    assert pairs_of(outcome_of(running)) == [("old", 3)]
    assert pairs_of(node.post("fan", {"gate": str(gate)})) == [("new", 3)]


def test_same_key_at_the_same_time_is_one_request(start: Start) -> None:
    node = start({"sleep": SLEEP}, {"sleep": ("sleep", "sum")})

    asked = [
        node.post_later("sleep", {"ms": 200}, idempotency_key="k", is_blocking=number % 2 == 0)
        for number in range(8)
    ]

    outcomes = [outcome_of(future) for future in asked]
    assert len({outcome.request.request_id for outcome in outcomes}) == 1
    assert [outcome.replayed for outcome in outcomes].count(False) == 1
    assert all(pairs_of(outcome) == [("slept", 1)] for outcome in outcomes[::2])


@pytest.mark.parametrize("ms", [1, 60_000])
def test_cancelling_a_fan_out_under_way_leaves_no_dead_letter(start: Start, ms: int) -> None:
    node = start(
        {"fan": FAN, "each": SLOW.replace("MS", str(ms))},
        {"fan": ("fan", "sum"), "each": ("each", "sum")},
    )
    for _ in range(3):
        running = node.post_later("fan", {"n": 100_000}, is_blocking=False)
        key = {"workflow": WORKFLOW, "request_id": outcome_of(running).request.request_id}
        eventually(lambda key=key: node.ask("request.get", **key)["counts"]["mapped"] > 1)
        node.ask("request.cancel", **key, reason="enough")
        eventually(node.is_idle)

    assert node.ask("actors.dead-letters")["letters"] == []


def test_actor_whose_work_an_executor_has_is_shown_busy(start: Start) -> None:
    node = start({"sleep": SLEEP}, {"sleep": ("sleep", "sum")})
    running = node.post_later("sleep", {"ms": 60_000}, is_blocking=False)
    outcome_of(running)

    def states() -> list[str]:
        (supervisor,) = node.ask("actors.tree")["actors"]
        return [actor["state"] for c in supervisor["children"] for actor in c["children"]]

    eventually(lambda: states() == ["busy"])


def test_a_request_and_its_invocations_say_where_they_ran(start: Start) -> None:
    node = start({"answer": ANSWER}, {"answer": ("answer", "sum")})

    outcome = node.post("answer", {})

    shown = node.ask("request.get", workflow=WORKFLOW, request_id=outcome.request.request_id)
    assert shown["coordinator"] == node.status().node_id
    assert len(shown["plan"]) == 64
    root = trace_of(node, outcome)
    assert {root.node_id, root.children[0].node_id} == {shown["coordinator"]}


def test_every_answer_about_an_ended_request_has_its_delivery_as_it_is(
    start: Start, tmp_path: Path
) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    to_file = {"results__writer": "file", "results__file_path": str(folder)}
    node = start({"answer": ANSWER}, {"answer": ("answer", "sum")}, **to_file)
    first = node.post("answer", {}, idempotency_key="k")
    assert first.delivery is not None
    assert [one.state for one in first.request.deliveries] == [first.delivery.state]
    name = {"workflow": WORKFLOW, "request_id": first.request.request_id}
    eventually(lambda: node.ask("request.get", **name)["deliveries"][0]["state"] == "delivered")

    again = node.post("answer", {}, idempotency_key="k")
    trace = msgspec.json.decode(node.ask("request.trace", **name)["json"])
    cancelled = node.ask("request.cancel", **name, reason="late")

    assert again.delivery is not None
    shown = [again.delivery.state, *(one.state for one in again.request.deliveries)]
    for view in (trace, trace["request"], cancelled):
        shown += [one["state"] for one in view["deliveries"]]
    assert shown == ["delivered"] * 5
