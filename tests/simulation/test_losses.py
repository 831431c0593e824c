"""Nodes that are lost, cut off, stopped and started again: what others adopt of them, and when."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from jobx.actors.cluster.adoption import Adoption, Inherited
from jobx.actors.cluster.heirs import PATIENCE_S
from jobx.actors.coordination.coordinator import Coordinator
from jobx.actors.messages import Adopt, Recover, RequestKey, Waiting
from jobx.kv import keys
from jobx.kv.requests import event_log, lives
from jobx.kv.store import Delete
from tests.simulation.cluster import Cluster
from tests.simulation.cluster_node import LEASE_S, RemoteLog
from tests.simulation.executors import Faults
from tests.simulation.simulator import WORKFLOW
from tests.simulation.test_cluster import check_end

REQUESTS = ("r0", "r1", "r4", "r5")


class Losses(Cluster):
    """Three nodes without faults that run their own work; node a has requests of minutes."""

    def __init__(self, tmp: Path) -> None:
        super().__init__(1, tmp)
        self.loss = self.double = self.delay_s = self.far_share = 0.0
        self.late_s = (0.0,)
        for node in self.nodes.values():
            node.executors.faults = Faults()
            node.executors.pace_s = 20.0
        self.scheduler.advance(2 * LEASE_S)
        for name in REQUESTS:
            self.submit(name, "a", name)
        self.scheduler.advance(0.1)
        assert self.coordinators() == {"a"}

    def lose(self, name: str) -> None:
        """Kill a node."""
        self.nodes[name].die()

    def stop(self, name: str) -> None:
        """Stop a node: what it has open is left, and it gives its lease up."""
        self.lose(name)
        lives.begin(self.store, name, replace(lives.last(self.store, name), is_over=True))
        self.nodes[name].registration._lease.release()

    def heal(self) -> None:
        """Let all nodes reach the store again."""
        for node in self.nodes.values():
            node.cut = set()

    def coordinators(self) -> set[str | None]:
        """Return who coordinates the requests, or did when they ended."""
        return {request.coordinator for name in REQUESTS if (request := self.entity(name))}

    def adoptions(self) -> list[int]:
        """Return how often each request was adopted."""
        logs = [event_log.read(self.store, WORKFLOW, name) for name in REQUESTS]
        return [sum(record["event"] == "adopted" for _, record in log) for log in logs]

    def finish(self) -> None:
        """Run until everything has ended, as it must."""
        self.scheduler.advance(2000.0)
        for name in REQUESTS:
            check_end(self, name)
        assert self.store.range(keys.OPEN) == []


@pytest.fixture
def losses(tmp_path: Path) -> Losses:
    return Losses(tmp_path)


def test_what_a_killed_node_had_is_adopted_soon_after_its_lease_and_shared(
    losses: Losses,
) -> None:
    losses.lose("a")
    losses.scheduler.advance(LEASE_S + 2.0)
    assert losses.coordinators() == {"b", "c"}
    losses.finish()
    assert losses.adoptions() == [1] * len(REQUESTS)


def test_what_a_stopped_node_had_is_adopted_without_a_wait_for_its_lease(
    losses: Losses,
) -> None:
    losses.stop("a")
    losses.scheduler.advance(2.5)
    assert losses.coordinators() == {"b", "c"}
    losses.finish()


def test_nobody_adopts_the_living_after_an_outage_of_the_store(losses: Losses) -> None:
    for node in losses.nodes.values():
        node.cut = {"store"}
    losses.scheduler.advance(4 * LEASE_S)
    losses.nodes["b"].cut = set()
    losses.scheduler.advance(0.9 * LEASE_S)
    losses.heal()
    losses.finish()
    assert losses.adoptions() == [0] * len(REQUESTS)


def test_a_node_that_was_cut_off_leaves_what_others_adopted(losses: Losses) -> None:
    losses.nodes["a"].cut = {"store"}
    losses.scheduler.advance(LEASE_S + 2.0)
    assert losses.coordinators() == {"b", "c"}
    losses.heal()
    losses.finish()
    assert losses.adoptions() == [1] * len(REQUESTS)
    assert [one.name for one in losses.nodes["a"].base.tree()] == ["Supervisor (0 open)"]


def test_a_node_that_starts_again_goes_on_with_what_nobody_adopted_so_far(losses: Losses) -> None:
    losses.lose("a")
    losses.scheduler.advance(LEASE_S / 2)
    losses.start("a", was_lost=True)
    losses.finish()
    assert losses.coordinators() == {"a"}


def test_a_node_that_starts_again_takes_nothing_back(losses: Losses) -> None:
    losses.lose("a")
    losses.scheduler.advance(LEASE_S + 2.0)
    losses.start("a", was_lost=True)
    losses.finish()
    assert losses.coordinators() == {"b", "c"}
    assert losses.adoptions() == [1] * len(REQUESTS)


def test_a_survivor_that_is_lost_is_survived(losses: Losses) -> None:
    losses.lose("a")
    losses.scheduler.advance(LEASE_S + 2.0)
    losses.lose("b")
    losses.scheduler.advance(LEASE_S + 2.0)
    assert losses.coordinators() == {"c"}
    losses.finish()


@pytest.mark.parametrize("wait_s", [0.0, 0.5, 1.0, 1.5, 2.0])
def test_survivors_that_are_lost_as_they_adopt_lose_nothing(wait_s: float, losses: Losses) -> None:
    losses.lose("a")
    losses.scheduler.advance(LEASE_S + wait_s)
    losses.lose("b")
    losses.lose("c")
    losses.start("b", was_lost=True)
    losses.finish()
    assert losses.coordinators() <= {"b", "c"}


def test_of_survivors_that_adopt_the_same_at_once_one_gets_each_request(
    losses: Losses, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Adoption, "look", lambda _: Inherited())
        losses.lose("a")
        losses.scheduler.advance(LEASE_S + 2.0)
    with monkeypatch.context() as patched:
        patched.setattr("jobx.actors.cluster.heirs.Heirs.waits_s", lambda *_: 0.0)
        for name in ("b", "c"):
            node = losses.nodes[name]
            found = node.adoption.look()
            assert len(found.requests) == len(REQUESTS)
            node.base.deliver(node.supervisor, Adopt(found.requests))
    losses.finish()
    assert losses.adoptions() == [1] * len(REQUESTS)


def test_a_survivor_that_does_not_adopt_is_replaced(losses: Losses) -> None:
    losses.nodes["b"].adoption.look = Inherited  # type: ignore[method-assign]  # counts looks
    losses.lose("a")
    losses.scheduler.advance(LEASE_S + PATIENCE_S + 3.0)
    assert losses.coordinators() == {"c"}
    losses.finish()


def test_nothing_is_adopted_of_a_node_that_is_back_when_its_logs_are_read(losses: Losses) -> None:
    node = losses.nodes["b"]
    found = tuple(Waiting(RequestKey(WORKFLOW, name), node_id="a") for name in REQUESTS)
    node.base.deliver(node.supervisor, Adopt(found))
    losses.finish()
    assert losses.adoptions() == [0] * len(REQUESTS)


def test_a_log_of_an_unknown_form_stays_for_nodes_that_know_it(losses: Losses) -> None:
    number = event_log.next_number(losses.store, WORKFLOW, "r0")
    event = event_log.event_write(WORKFLOW, "r0", number, {"event": "of a later version"})
    losses.store.commit([event])
    losses.lose("a")
    losses.scheduler.advance(200.0)
    markers = [entry.key for entry in losses.store.range(keys.OPEN)]
    assert markers == [keys.opened("a", WORKFLOW, "r0")]
    losses.store.commit([Delete(event.key)])  # as if this version knew it
    losses.finish()


def test_an_adopted_request_that_no_coordinator_can_continue_is_given_up(
    losses: Losses, monkeypatch: pytest.MonkeyPatch
) -> None:
    recover = Coordinator._recover

    def fail(coordinator: Coordinator, begin: Recover) -> None:
        if begin.request.request_id == "r0":
            raise ArithmeticError("a fault of ours")
        recover(coordinator, begin)

    monkeypatch.setattr(Coordinator, "_recover", fail)
    losses.lose("a")
    losses.scheduler.advance(1000.0)
    request = losses.entity("r0")
    assert request is not None and request.failure is not None
    assert request.failure.type == "CoordinatorFailed"
    assert losses.store.range(keys.OPEN) == []


def test_who_reads_a_log_to_adopt_it_is_on_record_before(
    losses: Losses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RemoteLog, "read", lambda *_, **__: None)
    losses.lose("a")
    losses.scheduler.advance(LEASE_S + 2.0)
    readers = [one.mark.reader for one in lives.opened(losses.store, "a")]
    assert {*readers} == {"b", "c"}


def test_of_a_request_that_has_ended_meanwhile_nobody_is_told_again(losses: Losses) -> None:
    losses.scheduler.advance(2000.0)
    told = {name: len(found) for name, found in losses.ended.items()}
    losses.lose("a")
    losses.scheduler.advance(2 * LEASE_S)
    node, notified = losses.nodes["b"], list[object]()
    services: Any = node.base.services
    node.base.services = dataclasses.replace(services, notify=notified.append)
    found = tuple(Waiting(RequestKey(WORKFLOW, name), node_id="a") for name in REQUESTS)
    node.base.deliver(node.supervisor, Adopt(found))
    losses.scheduler.advance(10.0)
    assert {name: len(found) for name, found in losses.ended.items()} == told
    assert notified == []
    assert [one.name for one in node.base.tree()] == ["Supervisor (0 open)"]
