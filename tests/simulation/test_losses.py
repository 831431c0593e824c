"""Seeds of requests whose nodes are lost, and what others adopt of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobx.actors.cluster.adoption import Adopted, Adoption
from jobx.actors.cluster.heirs import PATIENCE_S
from jobx.actors.request import events as log_events
from jobx.actors.request.events import Finished, from_record
from jobx.kv import keys
from jobx.kv.requests import event_log
from tests.simulation.executors import Faults, unpack_result
from tests.simulation.losses import IDS, LEASE_S, Losses
from tests.simulation.simulator import WORKFLOW

SEEDS = int(os.environ.get("JOBX_SIMULATION_SEEDS", "1000"))
BLOCK = 50
NAMES = [f"r{number}" for number in range(4)]


def check(losses: Losses) -> None:
    """Run requests, and check that each that was accepted has ended once and right."""
    for name in NAMES:
        losses.submit(name, losses.nodes[losses.rng.choice(IDS)])
    losses.run(NAMES)
    for name in NAMES:
        check_end(losses, name)
    assert losses.store.range(keys.OPEN) == []
    for node in losses.nodes.values():
        assert node.executors.kept == {}
        assert [record.name for record in node.base.tree()] == ["Supervisor (0 open)"]


def check_end(losses: Losses, name: str) -> None:
    request = losses.entity(name)
    if request is None:
        assert name not in losses.opened, f"{name} was accepted and is lost"
        return
    assert request.state == "succeeded", request.failure
    assert unpack_result(request.result or ()) == losses.world.expected()
    told = {(one.state, one.result) for one in losses.ended.get(name, [])}
    assert told <= {(request.state, request.result)}
    events = [from_record(record) for _, record in event_log.read(losses.store, WORKFLOW, name)]
    assert [isinstance(event, Finished) for event in events].count(True) == 1
    assert isinstance(events[-1], Finished)
    owners = [event.node for event in events if isinstance(event, log_events.Adopted)]
    assert not owners or request.coordinator == owners[-1]


@pytest.mark.parametrize("block", range(SEEDS // BLOCK // 4))
def test_requests_end_once_and_right_whatever_nodes_are_lost(block: int, tmp_path: Path) -> None:
    for seed in range(block * BLOCK, (block + 1) * BLOCK):
        try:
            check(Losses(seed, tmp_path))
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error}") from error


def quiet(tmp: Path, seed: int = 1) -> Losses:
    """Return three nodes without faults, whose requests last for minutes."""
    losses = Losses(seed, tmp)
    losses.faults = Faults()
    losses.pace_s = 20.0
    for name in IDS:
        losses.lose(name)
        losses.start(name)
    losses.scheduler.advance(2 * LEASE_S)
    for name in NAMES:
        losses.submit(name, losses.nodes["a"])
    losses.scheduler.advance(0.1)
    assert coordinators(losses) == {"a"}
    return losses


def coordinators(losses: Losses) -> set[str | None]:
    return {request.coordinator for name in NAMES if (request := losses.entity(name))}


def adoptions(losses: Losses) -> list[int]:
    """Return how often each request was adopted."""
    logs = [event_log.read(losses.store, WORKFLOW, name) for name in NAMES]
    return [sum(record["event"] == "adopted" for _, record in log) for log in logs]


def finish(losses: Losses) -> None:
    losses.scheduler.advance(2000.0)
    for name in NAMES:
        check_end(losses, name)
    assert losses.store.range(keys.OPEN) == []


def test_requests_of_a_killed_node_are_adopted_soon_after_its_lease_and_shared(
    tmp_path: Path,
) -> None:
    losses = quiet(tmp_path)
    losses.lose("a")
    losses.scheduler.advance(LEASE_S + 2.0)
    assert coordinators(losses) == {"b", "c"}
    finish(losses)
    assert adoptions(losses) == [1] * len(NAMES)


def test_requests_of_a_stopped_node_are_adopted_without_a_wait_for_its_lease(
    tmp_path: Path,
) -> None:
    losses = quiet(tmp_path)
    losses.lose("a", is_stopped=True)
    losses.scheduler.advance(2.5)
    assert coordinators(losses) == {"b", "c"}
    finish(losses)


def test_nobody_adopts_the_living_after_an_outage_of_the_store(tmp_path: Path) -> None:
    losses = quiet(tmp_path)
    for node in losses.nodes.values():
        node.is_cut = True
    losses.scheduler.advance(4 * LEASE_S)
    losses.nodes["b"].is_cut = False
    losses.scheduler.advance(0.9 * LEASE_S)
    losses.heal()
    finish(losses)
    assert adoptions(losses) == [0] * len(NAMES)


def test_a_node_that_was_cut_off_leaves_what_others_adopted(tmp_path: Path) -> None:
    losses = quiet(tmp_path)
    losses.nodes["a"].is_cut = True
    losses.scheduler.advance(LEASE_S + 2.0)
    assert coordinators(losses) == {"b", "c"}
    losses.heal()
    finish(losses)
    assert adoptions(losses) == [1] * len(NAMES)
    assert [one.name for one in losses.nodes["a"].base.tree()] == ["Supervisor (0 open)"]


def test_a_node_that_starts_again_goes_on_with_what_nobody_adopted_so_far(tmp_path: Path) -> None:
    losses = quiet(tmp_path)
    losses.lose("a")
    losses.scheduler.advance(LEASE_S - 0.5)
    losses.start("a")
    finish(losses)
    assert coordinators(losses) == {"a"}


def test_a_node_that_starts_again_takes_nothing_back(tmp_path: Path) -> None:
    losses = quiet(tmp_path)
    losses.lose("a")
    losses.scheduler.advance(LEASE_S + 2.0)
    losses.start("a")
    finish(losses)
    assert coordinators(losses) == {"b", "c"}
    assert adoptions(losses) == [1] * len(NAMES)


def test_a_survivor_that_is_lost_is_survived(tmp_path: Path) -> None:
    losses = quiet(tmp_path)
    losses.lose("a")
    losses.scheduler.advance(LEASE_S + 2.0)
    losses.lose("b")
    losses.scheduler.advance(LEASE_S + 2.0)
    assert coordinators(losses) == {"c"}
    finish(losses)


@pytest.mark.parametrize("wait_s", [0.0, 0.5, 1.0, 1.5, 2.0])
def test_survivors_that_are_lost_while_they_adopt_lose_nothing(
    wait_s: float, tmp_path: Path
) -> None:
    losses = quiet(tmp_path)
    losses.lose("a")
    losses.scheduler.advance(LEASE_S + wait_s)
    losses.lose("b")
    losses.lose("c")
    losses.start("b")
    finish(losses)
    assert coordinators(losses) == {"b"}


def test_of_survivors_that_adopt_the_same_at_once_one_gets_each_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = quiet(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(Adoption, "look", lambda _: Adopted())
        losses.lose("a")
        losses.scheduler.advance(LEASE_S + 2.0)
    with monkeypatch.context() as patched:
        patched.setattr("jobx.actors.cluster.adoption.waits_s", lambda *_: 0.0)
        for name in ("b", "c"):
            losses.nodes[name].adopt()
    assert losses.adopted == 2 * len(NAMES)
    finish(losses)
    assert adoptions(losses) == [1] * len(NAMES)


def test_a_survivor_that_does_not_adopt_is_replaced(tmp_path: Path) -> None:
    losses = quiet(tmp_path)
    losses.nodes["b"].adoption.look = Adopted  # type: ignore[method-assign]
    losses.lose("a")
    losses.scheduler.advance(LEASE_S + PATIENCE_S + 3.0)
    assert coordinators(losses) == {"c"}
    finish(losses)
