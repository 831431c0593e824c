"""Seeds of requests whose batches run on two nodes, over a network that loses and reorders."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import cast

import pytest
from thespian.actors import ActorAddress

from jobx.actors.messages import Lost, Run
from jobx.actors.ports import Services
from jobx.actors.request.events import Failed, Retried, from_record
from jobx.config import Settings
from jobx.config_sections import RequestSettings
from jobx.kv.requests import event_log
from tests.simulation.executors import GONE, Faults, unpack_result
from tests.simulation.nodes import FAR, TwoNodes
from tests.simulation.simulator import WORKFLOW
from tests.simulation.test_simulation import check

SEEDS = int(os.environ.get("JOBX_SIMULATION_SEEDS", "1000"))
BLOCK = 25


def check_nodes(seed: int, tmp: Path) -> None:
    """Run two requests under faults, and check that nothing of them is left on the far node."""
    simulation = TwoNodes(seed, tmp)
    check(simulation)
    assert simulation.far_executors.kept == {}
    assert simulation.far.tree() == []
    for bridge in (simulation.bridge, simulation.far_bridge):
        assert bridge is not None
        assert {(state.children, state.hosted) for state in bridge.states()} == {(0, 0)}
        assert bridge.refused == {}


@pytest.mark.parametrize("block", range(SEEDS // BLOCK))
def test_requests_end_once_and_right_on_two_nodes(block: int, tmp_path: Path) -> None:
    for seed in range(block * BLOCK, (block + 1) * BLOCK):
        try:
            check_nodes(seed, tmp_path)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error}") from error


def quiet(seed: int, tmp: Path) -> TwoNodes:
    """Return two nodes without faults, all batches on the far one."""
    simulation = TwoNodes(seed, tmp)
    simulation.faults = simulation.executors.faults = simulation.far_executors.faults = Faults()
    simulation.loss = simulation.double = simulation.cut = simulation.delay_s = 0.0
    simulation.far_crash = simulation.node_crash = 0.0
    simulation.far_share = 1.0
    return simulation


@pytest.mark.parametrize("seed", range(10))
def test_all_batches_may_run_on_the_other_node(seed: int, tmp_path: Path) -> None:
    simulation = quiet(seed, tmp_path)
    simulation.submit("r0")
    simulation.scheduler.advance(600.0)
    request = simulation.entity("r0")
    assert request is not None
    assert unpack_result(request.result or ()) == simulation.world.expected()
    assert simulation.executors.executed == 0
    assert simulation.far_executors.executed == sum(simulation.world.count())


def test_a_request_goes_on_here_when_the_other_node_is_lost(tmp_path: Path) -> None:
    simulation = quiet(1, tmp_path)
    simulation.submit("r0")
    simulation.scheduler.advance(0.02)
    simulation.kill_far()
    simulation.scheduler.advance(600.0)
    request = simulation.entity("r0")
    assert request is not None
    assert unpack_result(request.result or ()) == simulation.world.expected()


def all_far(simulation: TwoNodes) -> None:
    """Let this node give back whatever it gets, so that the other node gets it."""

    def give_back(work: Run, owner: ActorAddress) -> None:
        lost = Lost(work.ticket, None, GONE)
        simulation.scheduler.call_later(0.1, lambda: simulation.base.deliver(owner, lost))

    simulation.executors.run = give_back  # type: ignore[method-assign]  # until the other node is up


def count(simulation: TwoNodes, kind: type) -> int:
    events = event_log.read(simulation.store, WORKFLOW, "r0")
    return sum(isinstance(from_record(record), kind) for _, record in events)


def test_what_three_nodes_were_lost_with_is_blamed_until_it_has_failed(tmp_path: Path) -> None:
    simulation = quiet(1, tmp_path)
    services = cast("Services", simulation.base.services)
    settings = Settings(requests=RequestSettings(lost_attempts=4))
    simulation.base.services = dataclasses.replace(services, settings=settings)
    all_far(simulation)
    simulation.submit("r0")
    blamed = []
    for _ in range(8):
        simulation.kill_far()
        simulation.start_far()
        simulation.far_executors.run = lambda *_: None  # type: ignore[method-assign]  # a node that loses it
        simulation.scheduler.advance(3.0)
        blamed.append((count(simulation, Retried), count(simulation, Failed)))
    assert blamed == [(0, 0), (0, 0), (1, 0), (2, 0), (3, 0), (3, 1), (3, 1), (3, 1)]


def test_nothing_is_blamed_when_one_node_is_cut_off_again_and_again(tmp_path: Path) -> None:
    simulation = quiet(1, tmp_path)
    all_far(simulation)
    simulation.far_executors.run = lambda *_: None  # type: ignore[method-assign]  # a node that loses it
    simulation.submit("r0")
    for _ in range(8):
        simulation.scheduler.advance(3.0)
        assert simulation.far.tree() != []
        simulation.is_cut = {"near", "far"}
        simulation.scheduler.advance(12.0)
        simulation.is_cut = set()
        simulation.scheduler.advance(12.0)
    assert (count(simulation, Retried), count(simulation, Failed)) == (0, 0)


def test_nothing_is_blamed_when_the_other_node_cannot_read_a_batch(tmp_path: Path) -> None:
    simulation = quiet(1, tmp_path)
    lanes = iter([FAR])
    assert simulation.bridge is not None
    simulation.bridge.families._choose = lambda _: next(lanes, None)
    simulation.far_bridge.families._kinds.clear()
    simulation.submit("r0")
    simulation.scheduler.advance(600.0)
    request = simulation.entity("r0")
    assert request is not None
    assert unpack_result(request.result or ()) == simulation.world.expected()
    assert next(lanes, None) is None
    assert count(simulation, Retried) == 0
