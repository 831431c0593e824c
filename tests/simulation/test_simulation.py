"""A thousand seeds of whole requests under faults; each seed is a test of all invariants.

``JOBX_SIMULATION_SEEDS=10000 pytest tests/simulation/test_simulation.py`` draws more.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobx.actors.request.events import Adopted, Finished, from_record
from jobx.errors import Conflict
from jobx.kv import keys
from jobx.kv.requests import event_log
from jobx.kv.store import Put
from jobx.meanings import may_have_happened
from tests.simulation.executors import Faults, unpack_result
from tests.simulation.simulator import WORKFLOW, Simulation, unread
from tests.simulation.unsure_store import FATES, Fate

SEEDS = int(os.environ.get("JOBX_SIMULATION_SEEDS", "1000"))
BLOCK = 25


NAMES = ("r0", "r1")


def check(simulation: Simulation) -> None:
    """Run requests, and check that each ended once and right, or was not begun."""
    for number, name in enumerate(NAMES):
        simulation.submit(name, is_blocking=number == 0)
    simulation.run(list(NAMES))
    expected = simulation.world.expected()
    for name in NAMES:
        request = simulation.entity(name)
        if request is None:
            assert name not in simulation.opened, f"{name} was accepted and is lost"
            continue
        _check_refusal(simulation, name)
        if request.state == "cancelled":
            assert name in simulation.cancelled
        else:
            assert request.state == "succeeded", request.failure
            assert unpack_result(request.result or ()) == expected
        told = {(one.state, one.result) for one in simulation.ended.get(name, [])}
        assert told <= {(request.state, request.result)}
        lives = 1 + simulation.crashes + simulation.coordinator_faults
        assert len(simulation.ended.get(name, [])) <= lives
        events = [
            from_record(record) for _, record in event_log.read(simulation.store, WORKFLOW, name)
        ]
        assert [isinstance(event, Finished) for event in events].count(True) == 1
        assert isinstance(events[-1], Finished)
        owners = [event.node for event in events if isinstance(event, Adopted)]
        assert not owners or request.coordinator == owners[-1]
    assert simulation.store.range("open/") == []
    assert simulation.executors.kept == {}
    assert unread(simulation.bases) == []
    assert [record.name for record in simulation.base.tree()] == ["Supervisor (0 open)"]


def _check_refusal(simulation: Simulation, name: str) -> None:
    """Nothing is stored of a request that was refused as one of which nothing was begun."""
    refused = simulation.refused.get(name)
    if refused is None or isinstance(refused.error, Conflict):  # else somebody else has it
        return
    if simulation.asked[name] == 1:
        assert may_have_happened(refused.error), f"{name} was refused, and is there"


@pytest.mark.parametrize("block", range(SEEDS // BLOCK))
def test_requests_end_once_and_right_under_faults(block: int, tmp_path: Path) -> None:
    for seed in range(block * BLOCK, (block + 1) * BLOCK):
        try:
            check(Simulation(seed, tmp_path))
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error}") from error


@pytest.mark.parametrize("block", range(SEEDS // BLOCK // 4))
def test_requests_end_once_and_right_on_a_store_that_is_not_sure(
    block: int, tmp_path: Path
) -> None:
    for seed in range(block * BLOCK, (block + 1) * BLOCK):
        simulation = Simulation(seed, tmp_path, is_unsure=True)
        simulation.unsure.rate = simulation.rng.choice((0.05, 0.2, 0.5))
        try:
            check(simulation)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error}") from error


@pytest.mark.parametrize("fate", FATES)
def test_a_request_ends_once_whatever_becomes_of_any_of_its_commits(
    fate: Fate, tmp_path: Path
) -> None:
    for seed in range(2):
        number, commits = 0, 1
        while number < commits:
            simulation = Simulation(seed, tmp_path, is_unsure=True)
            simulation.unsure.fates[number] = fate
            try:
                check(simulation)
            except Exception as error:
                raise AssertionError(f"seed {seed}, commit {number}: {error}") from error
            number, commits = number + 1, simulation.unsure.commits


def test_a_request_whose_log_is_damaged_ends_with_a_failure_that_says_so(tmp_path: Path) -> None:
    simulation = Simulation(2, tmp_path)
    simulation.submit("r0")
    simulation.scheduler.advance(0.3)
    simulation.kill_node()
    simulation.store.commit([Put(keys.event(WORKFLOW, "r0", 0), b"\xc1")])
    simulation.start_node()
    simulation.scheduler.advance(60.0)
    request = simulation.entity("r0")
    assert request is not None and request.failure is not None
    assert (request.state, request.failure.type) == ("failed", "LogDamaged")
    assert simulation.store.range("open/") == []


@pytest.mark.parametrize("seed", range(20))
def test_a_mapper_runs_again_for_its_combiner_and_not_for_its_reducer(
    seed: int, tmp_path: Path
) -> None:
    simulation = Simulation(seed, tmp_path)
    simulation.executors.faults = Faults(later=1.0)  # each raises at its first try, and only then
    simulation.submit("r0")
    simulation.scheduler.advance(600.0)
    request = simulation.entity("r0")
    assert request is not None
    assert (request.state, request.failure) == ("succeeded", None)
    assert unpack_result(request.result or ()) == simulation.world.expected()
    leaves, others = simulation.world.count()
    assert simulation.executors.executed == 2 * leaves + others
