"""Requests whose work only other nodes can do, while there are none: they wait."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import cast

import pytest

from jobx.actors.messages import Cancel, RequestKey
from jobx.actors.ports import GONE_S, Services
from jobx.actors.recovery import HOLD_S, PROBATION_S
from jobx.config import Settings
from jobx.config_sections import RequestSettings
from tests.simulation.executors import Faults
from tests.simulation.simulator import WORKFLOW, Simulation
from tests.simulation.world import plan

KEY = RequestKey(WORKFLOW, "r0")
DEATHS = 3
#: Seeds of trees with more deep work than there is room for, and other work.
WIDE = (24, 60, 134, 306)


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    """Return a node whose executors do not offer what the first step requires."""
    found = Simulation(2, tmp_path, node_deaths=DEATHS)
    found.plan = plan(attempts=3, s0="gpu")
    _lack(found)
    found.submit("r0", is_blocking=False)
    found.scheduler.advance(1.0)
    return found


def _lack(simulation: Simulation) -> None:
    simulation.executors.offered = frozenset({"general"})


def _begin_again(simulation: Simulation) -> None:
    simulation.kill_node()
    simulation.start_node()
    _lack(simulation)


def test_a_request_waits_through_any_number_of_deaths_of_its_node(simulation: Simulation) -> None:
    for alone_s in (1.0, 1.0, HOLD_S[0] + PROBATION_S / 2, *[2 * GONE_S] * DEATHS):
        simulation.scheduler.advance(alone_s)
        assert simulation.unfinished(["r0"]) == ["r0"]
        _begin_again(simulation)
    simulation.kill_node()
    simulation.start_node()  # and it offers what is required
    simulation.scheduler.advance(2 * HOLD_S[1])
    (ended,) = simulation.ended["r0"]
    assert ended.state == "succeeded"


def nodes_above(simulation: Simulation, depth: int) -> int:
    """Return how many mappers of a request are above a depth of its tree."""
    waiting, count = [[0, simulation.world.seed]], 0
    while waiting:
        value = waiting.pop()
        if value[0] < depth:
            count += 1
            step, pairs = simulation.world.outcome(value)
            waiting += (below for _, below in pairs if step is not None)
    return count


@pytest.mark.parametrize("seed", WIDE)
def test_what_waits_for_another_node_holds_up_nothing_else(seed: int, tmp_path: Path) -> None:
    """The deepest work comes first, and all of that waits, more than there is room for."""
    simulation = Simulation(seed, tmp_path)
    services = cast("Services", simulation.base.services)
    settings = Settings(requests=RequestSettings(window=100_000))
    simulation.base.services = dataclasses.replace(services, settings=settings)
    simulation.faults = simulation.executors.faults = Faults()
    simulation.plan = plan(attempts=3, s2="gpu")
    _lack(simulation)
    simulation.submit("r0", is_blocking=False, may_wait=True)
    simulation.scheduler.advance(100.0)
    assert simulation.executors.executed == nodes_above(simulation, 2)
    assert len(simulation.executors.foreign) == 2 * simulation.executors.slots


def test_a_request_that_waits_is_cancelled(simulation: Simulation) -> None:
    cancel = Cancel(KEY, "enough", simulation._gateway, 1)
    simulation.base.deliver(simulation.supervisor, cancel)
    simulation.scheduler.advance(1.0)
    (ended,) = simulation.ended["r0"]
    assert ended.state == "cancelled"
    assert simulation.executors.foreign == []


def test_a_request_that_waits_ends_when_its_time_is_over(simulation: Simulation) -> None:
    simulation.scheduler.advance(100_001.0)
    (ended,) = simulation.ended["r0"]
    assert ended.failure is not None
    assert ended.failure.type == "RequestTimeLimit"
