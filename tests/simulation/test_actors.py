"""Actors on virtual time: draining, and coordinators and invocations that die at bad moments."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from thespian.actors import ActorExitRequest

from jobx.actors import left_open
from jobx.actors.coordination import batch, coordinator
from jobx.actors.coordination.batch import Batch
from jobx.actors.coordination.coordinator import Coordinator
from jobx.actors.messages import (
    AdoptStrays,
    Cancel,
    ChildTold,
    Committed,
    Described,
    Drain,
    EndChild,
    Explain,
    Explained,
    Ran,
    RequestKey,
)
from jobx.errors import FormUnknown, InternalError, NotFound
from tests.simulation.simulator import WORKFLOW, Simulation

#: A seed whose tree has many levels.
SEED = 2


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(SEED, tmp_path)


def names(simulation: Simulation) -> list[str]:
    """Return what the live actors are called."""
    return [record.name for record in simulation.base.tree()]


def until(simulation: Simulation, predicate: Callable[[], object]) -> None:
    """Let time pass until something is true."""
    limit_s = simulation.scheduler.now() + 100.0
    while not predicate():
        assert simulation.scheduler.now() < limit_s, "it never became true"
        simulation.scheduler.advance(0.0005)


def open_request(simulation: Simulation) -> None:
    simulation.submit("r0")
    until(simulation, lambda: "r0" in simulation.opened)


def drain(simulation: Simulation) -> None:
    simulation.base.deliver(simulation.supervisor, Drain())


def test_who_asks_while_a_coordinator_starts_again_is_answered_at_once(
    simulation: Simulation,
) -> None:
    open_request(simulation)
    (cell,) = (one for one in simulation.base.cells() if isinstance(one.actor, Coordinator))
    heard: list[Any] = []
    asker = simulation.base.endpoint(lambda message, _: heard.append(message))
    key = RequestKey(WORKFLOW, "r0")
    for ticket, message in enumerate(
        (
            EndChild(cell.address, True, "restarted", asker, 0),
            Cancel(key, "enough", asker, 1),
            Explain(key, asker, 2),
            EndChild(cell.address, False, "stopped", asker, 3),
        )
    ):
        assert message.ticket == ticket
        simulation.base.deliver(simulation.supervisor, message)
    until(simulation, lambda: len(heard) == 4)
    assert [type(one) for one in heard] == [ChildTold, Described, Explained, ChildTold]
    assert heard[1].request is None
    assert isinstance(heard[3].says, NotFound)
    until(simulation, lambda: "r0" in simulation.ended)
    assert simulation.ended["r0"][0].state != "cancelled"


def test_who_wants_to_end_a_batch_whose_coordinator_leaves_is_answered_at_once(
    simulation: Simulation,
) -> None:
    open_request(simulation)
    until(simulation, lambda: any(isinstance(c.actor, Batch) for c in simulation.base.cells()))
    cell = next(one for one in simulation.base.cells() if isinstance(one.actor, Batch))
    assert cell.parent is not None
    heard: list[Any] = []
    asker = simulation.base.endpoint(lambda message, _: heard.append(message))
    simulation.base.deliver(cell.parent.address, ActorExitRequest())
    simulation.base.deliver(cell.parent.address, EndChild(cell.address, True, "", asker, 7))
    until(simulation, lambda: heard)
    assert isinstance(heard[0].says, NotFound)
    assert heard[0].ticket == 7


@pytest.mark.parametrize(("count", "is_read"), [(1, True), (2, False)])
def test_no_stray_is_adopted_while_more_requests_are_left_open_than_are_remembered(
    count: int,
    is_read: bool,
    simulation: Simulation,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(left_open, "MOST", 1)
    for number in range(count):
        reason = FormUnknown("a", "it is newer")
        simulation.base.services.left.add(RequestKey(WORKFLOW, f"r{number}"), reason)
    stray = AdoptStrays((RequestKey(WORKFLOW, f"r{count}"),))
    simulation.base.deliver(simulation.supervisor, stray)
    simulation.scheduler.advance(1.0)
    assert ("nobody coordinates it" in caplog.text) is is_read


def test_draining_starts_no_request_whose_log_is_read_meanwhile(simulation: Simulation) -> None:
    open_request(simulation)
    simulation.kill_node()
    simulation.start_node()
    drain(simulation)  # the log is asked for, and not read yet

    simulation.scheduler.advance(60.0)

    assert names(simulation) == ["Supervisor (0 open)"]
    assert simulation.unfinished(["r0"]) == ["r0"]


def test_draining_builds_no_coordinator_again_and_the_next_node_does(
    simulation: Simulation,
) -> None:
    open_request(simulation)
    drain(simulation)
    simulation.break_coordinator("r0")
    simulation.scheduler.advance(60.0)
    assert names(simulation) == ["Supervisor (0 open)"]
    assert simulation.unfinished(["r0"]) == ["r0"]

    simulation.kill_node()
    simulation.start_node()
    until(simulation, lambda: not simulation.unfinished(["r0"]))


def test_draining_refuses_nobody_whose_request_the_next_node_takes_up(
    simulation: Simulation,
) -> None:
    open_request(simulation)
    drain(simulation)
    simulation.break_coordinator("r0")
    simulation.scheduler.advance(1.0)

    simulation.submit("r0")
    simulation.submit("r1")
    simulation.scheduler.advance(1.0)

    assert list(simulation.refused) == ["r1"]


@pytest.mark.parametrize("is_blocking", [True, False])
def test_request_that_is_asked_for_again_while_its_coordinator_is_built_is_refused_to_nobody(
    is_blocking: bool, simulation: Simulation
) -> None:
    open_request(simulation)
    simulation.opened.clear()
    simulation.break_coordinator("r0")
    until(simulation, lambda: names(simulation) == ["Supervisor (0 open)"])

    simulation.submit("r0", is_blocking=is_blocking)

    until(simulation, lambda: "r0" in simulation.opened)
    until(simulation, lambda: "r0" in simulation.ended)
    assert simulation.refused == {}


def test_all_who_wait_hear_of_a_request_that_was_lost_before_it_was_accepted(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_at_birth(monkeypatch, Coordinator)
    simulation.submit("r0")
    until(simulation, lambda: names(simulation) == ["Supervisor (0 open)"])
    simulation.submit("r0")

    simulation.scheduler.advance(60.0)

    assert isinstance(simulation.refused["r0"].error, InternalError)
    assert simulation.entity("r0") is None


def test_request_whose_coordinator_dies_after_its_last_event_has_ended_once(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = fail(
        monkeypatch, coordinator, Committed, lambda actor: actor.state.finished is not None
    )
    simulation.submit("r0")

    until(simulation, lambda: "r0" in simulation.ended)
    simulation.scheduler.advance(60.0)

    assert len(failing) == 1
    (ended,) = simulation.ended["r0"]
    assert ended.state == "succeeded"
    assert simulation.entity("r0") == ended
    assert names(simulation) == ["Supervisor (0 open)"]


def test_request_goes_on_when_a_batch_dies_of_an_answer(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = iter([True])
    failing = fail(monkeypatch, batch, Ran, lambda _: next(once, False))
    simulation.submit("r0")

    until(simulation, lambda: "r0" in simulation.ended)

    assert len(failing) == 1
    assert [ended.state for ended in simulation.ended["r0"]] == ["succeeded"]


def test_request_goes_on_when_a_batch_dies_at_its_birth(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = fail_at_birth(monkeypatch, Batch)
    simulation.submit("r0")

    until(simulation, lambda: "r0" in simulation.ended)

    assert len(failing) == 1
    assert [ended.state for ended in simulation.ended["r0"]] == ["succeeded"]


def fail_at_birth(monkeypatch: pytest.MonkeyPatch, kind: Any) -> list[Exception]:
    """Let the next actor of a kind fail in its ``__init__``; returns the failure."""
    real = kind.__init__
    failures: list[Exception] = []

    def init(actor: Any, *arguments: Any) -> None:
        if not failures:
            failures.append(ArithmeticError("a fault of ours"))
            raise failures[-1]
        real(actor, *arguments)

    monkeypatch.setattr(kind, "__init__", init)
    return failures


def fail(
    monkeypatch: pytest.MonkeyPatch, module: Any, kind: type, should: Callable[[Any], bool]
) -> list[Exception]:
    """Let a module's actors fail at messages of a kind when they should; returns the failures."""
    real: Any = module._RECEIVE[kind]
    failures: list[Exception] = []

    def receive(actor: Any, *arguments: Any) -> None:
        if should(actor):
            failures.append(ArithmeticError("a fault of ours"))
            raise failures[-1]
        real(actor, *arguments)

    monkeypatch.setitem(module._RECEIVE, kind, receive)
    return failures
