"""Links for workflows that are deleted, and there again."""

from __future__ import annotations

import pytest
from thespian.actors import ActorExitRequest

from jobx.actors.bridge.link import MAX_PROBE_S
from jobx.actors.bridge.transport import Lane
from jobx.actors.cluster.peers import LEAVES, REST_S
from tests.unit.actors.cluster.lending_nodes import Cluster, Node


def lanes(cluster: Cluster) -> list[tuple[Node, Lane]]:
    return [(cluster.nodes["a"], Lane("b", "w")), (cluster.nodes["b"], Lane("a", "w"))]


def test_a_workflow_that_was_deleted_has_links_only_when_it_is_there_again() -> None:
    cluster = Cluster("abc")
    for name in "ab":
        cluster.nodes[name].peers.serve([])
    cluster.run()
    assert [node.bridge.states() for node in cluster.nodes.values()][:2] == [[], []]
    assert {state.is_up for state in cluster.nodes["c"].bridge.states()} == {False}
    for name in "ab":
        cluster.nodes[name].peers.serve(["w"])
    cluster.run(REST_S + MAX_PROBE_S)
    cluster.begin("a", 3)
    assert set(cluster.where(cluster.begin("a", 4))) == {"b", "c"}


def test_many_deleted_workflows_are_left_some_in_a_turn_of_the_loop() -> None:
    cluster, many = Cluster(), [f"w{number}" for number in range(3 * LEAVES)]
    for node in cluster.nodes.values():
        node.peers.serve(["w", *many])
    cluster.run(REST_S + MAX_PROBE_S)
    a = cluster.nodes["a"]

    def left() -> set[str]:
        return {"w", *many} - {one.lane.workflow for one in a.bridge.states()}

    a.peers.serve(["w"])
    assert len(left()) == LEAVES
    back = (set(many) - left()).pop()
    a.peers.serve(["w", back])
    assert len(left()) == LEAVES
    cluster.run()
    assert left() == {*many} - {back}


def test_workflows_are_left_though_a_turn_in_which_some_are_left_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster, many = Cluster(), [f"w{number}" for number in range(2 * LEAVES)]
    a = cluster.nodes["a"]
    a.peers.serve(many)
    a.peers.serve([])
    with monkeypatch.context() as failing, pytest.raises(ZeroDivisionError):
        failing.setattr(a.bridge, "leave", lambda _: 1 / 0)
        cluster.run()
    a.peers.serve([])
    assert a.bridge.states() == []


def test_a_node_that_stops_leaves_no_further_workflows() -> None:
    cluster, many = Cluster(), [f"w{number}" for number in range(2 * LEAVES)]
    a = cluster.nodes["a"]
    a.peers.serve(many)
    a.peers.serve([])
    a.peers.close()
    cluster.run()
    assert len(a.bridge.states()) == len(many) - LEAVES


def test_a_deleted_workflow_has_links_until_its_work_has_ended() -> None:
    cluster = Cluster()
    cluster.begin("a", 3)
    away = cluster.begin("a", 2)
    assert cluster.where(away) == "bb"
    for node in cluster.nodes.values():
        node.peers.serve([])
    assert [node.bridge.is_up(lane) for node, lane in lanes(cluster)] == [True, True]
    a = cluster.nodes["a"]
    for address in away:
        a.base.deliver(address, ActorExitRequest(), a.boss)
    cluster.run()
    for node in cluster.nodes.values():
        node.peers.serve([])
    assert [node.bridge.states() for node in cluster.nodes.values()] == [[], []]


def test_links_that_come_up_are_looked_at_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, many = Cluster(), [f"w{number}" for number in range(50)]
    a = cluster.nodes["a"].peers
    told: list[Lane] = []
    looks: list[None] = []
    monkeypatch.setattr(a, "_tell", lambda lane, *_, **__: told.append(lane))
    monkeypatch.setattr(a._silent, "look", lambda: looks.append(None))
    for node in cluster.nodes.values():
        node.peers.serve(["w", *many])
    looks.clear()
    cluster.run(REST_S + MAX_PROBE_S)
    assert {state.is_up for state in cluster.nodes["a"].bridge.states()} == {True}
    assert (told, looks) == ([], [])


def test_only_peers_of_workflows_with_work_are_told_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = Cluster()
    for node in cluster.nodes.values():
        node.peers.serve(["v", "w"])
    cluster.run(REST_S + MAX_PROBE_S)
    a = cluster.nodes["a"]
    told: list[Lane] = []
    real = a.peers._tell
    monkeypatch.setattr(
        a.peers,
        "_tell",
        lambda lane, *rest, **named: told.append(lane) or real(lane, *rest, **named),
    )
    cluster.begin("a", 3)
    assert set(cluster.where(cluster.begin("a", 2))) == {"b"}
    assert {*told} == {Lane("b", "w")}
