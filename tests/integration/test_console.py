"""The console of a real node: its actors are shown, stopped and started again, nothing is lost."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jobx import model, views
from jobx.errors import JobxError, NotFound
from tests.support.authoring import COUNT, FAN, GATED, WORKFLOW
from tests.support.live_node import LiveNode, Start, failure_of, outcome_of, pairs_of
from tests.support.waiting import eventually

#: Maps ``n`` numbers to a step that waits for a file.
WAITING_FAN = FAN.replace("yield number, number", 'yield number, arguments["gate"]')
WAITING_COUNT = """
import os, time
def handler(key, value):
    yield Return()
    while not os.path.exists(value):
        time.sleep(0.01)
    yield "n", 1
"""
HANDLERS = {"fan": WAITING_FAN, "each": WAITING_COUNT, "gated": GATED}
STEPS = {"fan": ("fan", "sum"), "each": ("each", "sum"), "gated": ("gated", "sum")}


def actors(node: LiveNode, class_name: str) -> list[views.ActorView]:
    page = node.ask("actors.list", class_name=class_name)
    return msgspec.convert(page, views.ActorPage).actors


def one_of(node: LiveNode, class_name: str) -> views.ActorView:
    """Return an actor of a class once there is one."""
    return eventually(lambda: actors(node, class_name))[0]


def restarts(node: LiveNode) -> list[int]:
    """Return how often each coordinator was started again."""
    return [one.restarts for one in actors(node, "Coordinator")]


def running(node: LiveNode) -> views.ActorView:
    """Return a batch whose work an executor is at."""
    one_of(node, "Batch")
    eventually(lambda: any(one.state == "busy" for one in node.status().executors))
    return one_of(node, "Batch")


def summary(node: LiveNode) -> views.ActorSummary:
    return msgspec.convert(node.ask("actors.summary"), views.ActorSummary)


def test_a_coordinator_that_is_restarted_five_times_loses_nothing_and_has_not_died(
    start: Start, tmp_path: Path
) -> None:
    node, gate = start(HANDLERS, STEPS), tmp_path / "open"
    future = node.post_later("fan", {"n": 50, "gate": str(gate)}, is_blocking=True)
    for count in range(1, 6):
        address = one_of(node, "Coordinator").address
        node.ask("actors.restart", address=address, reason="to see it")
        eventually(lambda count=count: restarts(node) == [count])
    shown = one_of(node, "Coordinator")
    assert shown.restart_reason == "restarted by an operator: to see it"
    gate.touch()
    assert pairs_of(outcome_of(future)) == [("n", 50)]
    (coordinators,) = [one for one in summary(node).classes if one.class_name == "Coordinator"]
    assert (coordinators.restarts, coordinators.failed) == (5, 0)


def test_a_coordinator_that_is_stopped_cancels_its_request(start: Start, tmp_path: Path) -> None:
    node = start(HANDLERS, STEPS)
    future = node.post_later("gated", {"gate": str(tmp_path / "never")}, is_blocking=True)
    told = node.ask("actors.stop", address=one_of(node, "Coordinator").address, reason="enough")
    request = outcome_of(future).request
    assert told["says"] == f"request {WORKFLOW}/{request.request_id} is being cancelled"
    assert request.state == "cancelled"
    assert request.failure is not None
    assert request.failure.message == "stopped by an operator: enough"


def test_the_work_of_a_batch_starts_again(start: Start, tmp_path: Path) -> None:
    node, gate = start(HANDLERS, STEPS), tmp_path / "open"
    future = node.post_later("fan", {"n": 50, "gate": str(gate)}, is_blocking=True)
    for verb in ("actors.restart", "actors.stop", "actors.restart"):
        address = eventually(lambda verb=verb: _ended_by(node, verb))
        eventually(lambda one=address: one not in [b.address for b in actors(node, "Batch")])
    gate.touch()
    assert pairs_of(outcome_of(future)) == [("n", 50)]


def _ended_by(node: LiveNode, verb: str) -> str | None:
    """End a batch and return its address; None if it was gone: its work is shared out anew."""
    address = running(node).address
    try:
        node.ask(verb, address=address)
    except NotFound:
        return None
    return address


def test_work_that_is_stopped_again_and_again_fails_with_the_reason(
    start: Start, tmp_path: Path
) -> None:
    node = start(HANDLERS, STEPS)
    future = node.post_later("gated", {"gate": str(tmp_path / "never")}, is_blocking=True)
    while not future.done():
        for batch in actors(node, "Batch"):
            try:
                node.ask("actors.stop", address=batch.address, reason="it hangs")
            except JobxError as error:
                assert error.code == "not-found"
    failure = failure_of(outcome_of(future))
    assert (failure.kind, failure.type) == ("crash", "ActorStopped")
    assert failure.message == (
        "the batch that had this attempt was stopped by an operator: it hangs"
    )


@pytest.mark.parametrize("verb", ["actors.stop", "actors.restart"])
def test_each_request_ends_though_every_actor_is_ended_one_by_one(start: Start, verb: str) -> None:
    """What is cancelled by the stop of its coordinator has its failure, all else its result."""
    node = start({"fan": FAN, "each": COUNT}, {"fan": ("fan", "sum"), "each": ("each", "sum")})
    futures = [node.post_later("fan", {"n": 300}, is_blocking=True) for _ in range(8)]
    codes: set[str] = set()
    for class_name in itertools.cycle(["Batch", "Supervisor", "Coordinator", "GivenUp"]):
        if all(future.done() for future in futures):
            break
        for actor in actors(node, class_name)[:2]:
            try:
                node.ask(verb, address=actor.address)
            except JobxError as error:
                codes.add(error.code)
    ends = [outcome_of(future) for future in futures]
    assert codes <= {"in-use", "not-found"}
    for end in ends:
        failure = end.request.failure
        if verb == "actors.restart" or end.request.state == "succeeded":
            assert pairs_of(end) == [("n", 300)]
        else:
            assert failure is not None
            assert failure.message.endswith("stopped by an operator: no reason was given")
    eventually(node.is_idle)


def test_a_trace_shows_what_a_coordinator_handles(start: Start) -> None:
    node = start({"fan": FAN, "each": COUNT}, {"fan": ("fan", "sum"), "each": ("each", "sum")})
    future = node.ask_later("actors.trace", class_name="Coordinator", wait_s=60.0, limit=20)
    eventually(lambda: summary(node).traces == 1)
    for _ in range(20):  # one after the other: many that begin at once would fill it
        assert pairs_of(node.post("fan", {"n": 2000})) == [("n", 2000)]
    trace = msgspec.convert(future.result(60), views.ActorTrace)
    assert (len(trace.messages), trace.is_full) == (20, True)
    assert {one.class_name for one in trace.messages} == {"Coordinator"}
    assert "Ran" in {one.message for one in trace.messages}
    assert summary(node).traces == 0


def test_while_a_node_drains_a_coordinator_is_not_restarted_but_stopped(
    start: Start, tmp_path: Path
) -> None:
    node = start(HANDLERS, STEPS)
    arguments = {"gate": str(tmp_path / "open")}
    future = node.post_later("gated", arguments, is_blocking=True)
    running(node)
    stopped = node.stop_later(60.0)
    eventually(lambda: node.status().state == "draining")

    def refused() -> bool:
        """Whether the supervisor knows of the drain, too."""
        try:
            node.ask("actors.restart", address=one_of(node, "Coordinator").address)
        except JobxError as error:
            return error.code == "draining"
        return False

    eventually(refused)
    told: Any = node.ask("actors.stop", address=one_of(node, "Coordinator").address)
    assert "is being cancelled" in told["says"]
    (tmp_path / "open").touch()
    stopped.result(60)
    request: model.RequestState | None = None
    if future.done() and future.exception() is None:
        request = outcome_of(future).request.state
    assert request in (None, "cancelled")
