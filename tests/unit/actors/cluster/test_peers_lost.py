"""Nodes that are lost, silent or back."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from jobx.actors.bridge.link import MAX_PROBE_S
from jobx.actors.bridge.transport import Lane
from jobx.actors.cluster.members import Member, NodeRecord
from jobx.actors.cluster.peers import REST_S
from jobx.actors.cluster.silence import SILENT_S
from jobx.actors.executors.rebalancing import Away
from jobx.actors.ports import GONE_S
from tests.unit.actors.cluster.lending_nodes import Cluster, Node

#: How long it takes at most until a node that is back has work again.
BACK_S = 3.0


def lost_and_back(cluster: Cluster, *, is_same: bool, away_s: float) -> None:
    """Lose node b, and have it come back: started again, or the same, which stood still."""
    b, member = cluster.nodes["b"], cluster.members.pop("b")
    cluster.network.fate = lambda source, target: () if "b" in (source, target) else (0.0,)
    cluster.nodes["a"].peers.saw(dict(cluster.members))
    cluster.run(away_s)
    cluster.network.fate = lambda *_: (0.0,)
    if is_same:
        b.bridge.register(2)
    else:
        b.peers.close()
        b.bridge.close()
        b = Node(cluster.scheduler, cluster.network, "b", member.record.capabilities, life=2)
        b.peers.serve(["w"])
    cluster.nodes["b"] = b
    cluster.members["b"] = member._replace(record=replace(member.record, registration=2), term="t2")
    for node in cluster.nodes.values():
        node.peers.saw(dict(cluster.members))


def test_a_lost_node_lends_nothing() -> None:
    cluster = Cluster()
    cluster.begin("a", 3)
    del cluster.members["b"]
    cluster.nodes["a"].peers.saw(dict(cluster.members))
    assert cluster.nodes["a"].pool.borrowed == 0


def test_a_node_rests_before_it_lends_again_over_a_link_that_broke() -> None:
    cluster = Cluster()
    cluster.begin("a", 3)
    bridge = cluster.nodes["b"].bridge
    end = bridge._ends[Lane("a", "w")]
    bridge._broke(end, end.link.give_up("its work could not be handled"))
    cluster.begin("a", 1)
    assert bridge.is_up(Lane("a", "w"))
    assert cluster.nodes["a"].pool.borrowed == 0
    cluster.run(REST_S)
    cluster.begin("a", 1)
    assert cluster.nodes["a"].pool.borrowed == 2


def test_a_node_that_is_gone_is_forgotten_after_a_while_and_may_come_back() -> None:
    cluster = Cluster("abc")
    here, b = cluster.nodes["a"].bridge, cluster.members.pop("b")
    cluster.meet()
    assert {state.lane.peer for state in here.states()} == {"b", "c"}
    cluster.run(GONE_S)
    cluster.meet()
    assert {state.lane.peer for state in here.states()} == {"c"}
    cluster.members["b"] = b._replace(term="t2")
    cluster.nodes["b"].bridge.register(2)
    cluster.meet()
    cluster.run(MAX_PROBE_S)
    assert here.is_up(Lane("b", "w"))
    cluster.begin("a", 3)
    assert cluster.where(cluster.begin("a", 4)).count("b") == 2


@pytest.mark.parametrize("is_same", [True, False])
@pytest.mark.parametrize("away_s", [1.0, 15.0, 2 * GONE_S])
@pytest.mark.parametrize("requires", ["general", "gpu"])
def test_a_node_that_is_back_gets_what_waits_and_what_is_new_within_seconds(
    requires: str, away_s: float, *, is_same: bool
) -> None:
    cluster = Cluster(b=("general", "gpu"))
    a = cluster.nodes["a"]
    if requires == "gpu":
        a.pool.lacks = {frozenset({"gpu"})}
    assert cluster.where(cluster.begin("a", 3, (requires,))) == "aaa"
    lost_and_back(cluster, is_same=is_same, away_s=away_s)
    cluster.run(BACK_S)
    assert a.pool.idle() == [Away("w", frozenset({"general", "gpu"}), 2)]
    assert cluster.where(cluster.begin("a", 2, (requires,))) == "bb"


def test_a_node_that_loses_its_executors_lends_none_and_gives_work_back() -> None:
    cluster = Cluster()
    cluster.begin("a", 3)
    cluster.begin("a", 2)
    assert cluster.nodes["b"].pool.asked_back == 0
    cluster.nodes["b"].pool.own_slots = 0
    cluster.run()
    assert cluster.nodes["a"].pool.borrowed == 0
    assert cluster.nodes["b"].pool.asked_back > 0


def test_the_offer_of_a_node_that_is_deaf_does_not_last() -> None:
    cluster = Cluster()
    cluster.begin("a", 3)
    assert cluster.nodes["a"].pool.borrowed == 2
    cluster.network.fate = lambda *_: ()
    cluster.run(6.0)  # longer than a node is waited for
    assert cluster.nodes["a"].pool.borrowed == 0
    assert cluster.where(cluster.begin("a", 2)) == "aa"


def test_a_node_of_another_version_that_never_answers_is_named_with_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cluster = Cluster("a")
    record = NodeRecord(1, "there:4150", (), ("general",), 2, version="7.0.0")
    cluster.members["c"] = Member(record, "t1")
    cluster.meet()
    cluster.run(SILENT_S + 1.0)
    assert "its JobX is 7.0.0, ours " in caplog.text


def test_a_registered_node_that_never_answers_is_named(caplog: pytest.LogCaptureFixture) -> None:
    cluster = Cluster()
    cluster.members["c"] = Member(NodeRecord(1, "127.0.0.1:4150", (), ("general",), 2), "t1")
    cluster.meet()
    cluster.run(SILENT_S + 1.0)
    told = [record.getMessage() for record in caplog.records]
    found = [text for text in told if "does not answer" in text]
    assert len(found) == 2  # a and b say so
    assert all(text.startswith("node c ") and "127.0.0.1:4150" in text for text in found)
    assert not any("version" in text for text in found)
    assert cluster.where(cluster.begin("a", 2)) == "aa"
