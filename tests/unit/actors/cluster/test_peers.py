"""When nodes lend each other executors, and what then runs where."""

from __future__ import annotations

import pytest

from jobx.actors.bridge.codec import Offer
from jobx.actors.bridge.transport import Lane
from jobx.actors.cluster.members import Member, NodeRecord
from jobx.actors.cluster.recent_work import QUIET_S
from jobx.actors.executors.rebalancing import MAX_AWAY_BYTES, Away
from tests.unit.actors.cluster.lending_nodes import Cluster


def test_a_node_with_idle_executors_borrows_none() -> None:
    cluster = Cluster()
    assert cluster.where(cluster.begin("a", 2)) == "aa"
    assert cluster.nodes["a"].pool.borrowed == 0


def test_a_busy_node_borrows_idle_executors() -> None:
    cluster = Cluster()
    cluster.begin("a", 3)
    assert cluster.nodes["a"].pool.borrowed == 2
    assert cluster.nodes["a"].more_room == ["w"]
    assert cluster.nodes["a"].pool.idle() == [Away("w", frozenset({"general"}), 2)]
    assert cluster.where(cluster.begin("a", 2)) == "bb"
    assert cluster.nodes["a"].pool.idle() == []


def test_a_node_that_divides_its_work_borrows_too() -> None:
    cluster = Cluster()
    cluster.nodes["a"].pool.is_divisible = True
    cluster.begin("a", 2)
    assert cluster.nodes["a"].pool.borrowed == 2


def test_long_work_goes_elsewhere_when_what_is_idle_here_is_kept_for_short_work() -> None:
    cluster = Cluster()
    pool = cluster.nodes["a"].pool
    cluster.begin("a", 1, step="long")
    pool.kept = 1
    assert cluster.where(cluster.begin("a", 1, step="long")) == "a"  # nothing is borrowed yet
    assert pool.borrowed == 2
    assert cluster.where(cluster.begin("a", 2, step="long")) == "bb"


def test_short_work_has_the_executor_that_is_kept_for_it() -> None:
    cluster = Cluster()
    pool = cluster.nodes["a"].pool
    made = cluster.begin("a", 3, step="long")
    assert pool.borrowed == 2
    cluster.end("a", made[1:])
    pool.work, pool.kept = pool.work[:1], 1
    assert cluster.where(cluster.begin("a", 1)) == "a"


def test_a_busy_node_lends_nothing() -> None:
    cluster = Cluster()
    cluster.begin("b", 2)
    cluster.begin("a", 3)
    assert cluster.nodes["a"].pool.borrowed == 0


def test_a_batch_goes_elsewhere_when_all_executors_here_are_at_work_for_others() -> None:
    cluster = Cluster("abc")
    cluster.begin("b", 3)
    assert sorted(cluster.where(cluster.begin("b", 4))) == ["a", "a", "c", "c"]
    cluster.nodes["c"].pool.work.clear()  # idle again, while a's executors are lent
    cluster.begin("a", 1)
    assert cluster.nodes["a"].pool.borrowed > 0
    assert cluster.where(cluster.begin("a", 1)) == "c"


def test_a_node_whose_work_has_waited_for_long_borrows_executors_that_become_idle() -> None:
    cluster = Cluster()
    theirs = cluster.begin("b", 2)
    cluster.begin("a", 3)
    cluster.run(3 * QUIET_S)
    assert cluster.nodes["a"].pool.borrowed == 0
    cluster.end("b", theirs)
    assert cluster.nodes["a"].pool.borrowed == 2


def test_idle_executors_are_shared_out() -> None:
    cluster = Cluster("abc")
    cluster.begin("a", 3)
    cluster.begin("b", 3)
    assert cluster.nodes["a"].pool.borrowed + cluster.nodes["b"].pool.borrowed == 2


def test_what_is_not_wanted_any_more_is_given_back() -> None:
    cluster = Cluster()
    made = cluster.begin("a", 3)
    cluster.nodes["a"].pool.work.clear()
    cluster.run()
    assert len(made) == 3
    assert cluster.nodes["a"].pool.borrowed == 0


def test_a_large_batch_stays() -> None:
    cluster = Cluster()
    cluster.begin("a", 3)
    assert cluster.where(cluster.begin("a", 1, pairs=bytes(MAX_AWAY_BYTES + 1))) == "a"


def test_a_closed_node_places_nothing_elsewhere() -> None:
    cluster = Cluster()
    cluster.begin("a", 3)
    cluster.nodes["a"].peers.close()
    assert cluster.where(cluster.begin("a", 2)) == "aa"
    assert cluster.nodes["a"].pool.borrowed == 0


def test_work_is_given_back_too_when_nobody_wants_executors_any_more() -> None:
    cluster = Cluster()
    made = cluster.begin("a", 3)
    cluster.begin("a", 2)
    cluster.end("a", made)
    cluster.run(10.0)
    cluster.nodes["b"].pool.own_slots = 0
    cluster.run()
    assert cluster.nodes["b"].pool.asked_back > 0


@pytest.mark.parametrize(("told", "used"), [(-5, 0), (1 << 63, 2)])
def test_no_node_offers_more_executors_than_it_has(told: int, used: int) -> None:
    cluster = Cluster()
    cluster.nodes["a"].peers.heard(Lane("b", "w"), Offer(told))
    assert cluster.nodes["a"].pool.borrowed == used


def test_a_node_without_executors_and_work_looks_for_nothing() -> None:
    cluster = Cluster()
    cluster.nodes["a"].pool.own_slots = 0
    cluster.end("a", cluster.begin("a", 1))
    cluster.run()
    assert cluster.nodes["a"].peers._timer is None


def test_nodes_of_earlier_versions_are_reached_by_the_names_of_their_queues(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster, told = Cluster(), []
    peers = cluster.nodes["a"].peers
    monkeypatch.setattr(peers._transport, "reach", lambda *arguments: told.append(arguments))
    members = {
        name: Member(NodeRecord(1, "x:1", has_ephemeral_queues=is_later), "t1")
        for name, is_later in (("a", True), ("b", False), ("c", True))
    }
    peers.saw(members)
    assert told == [({"a": "x:1", "b": "x:1", "c": "x:1"}, ["b"])]
