"""Work that not every node can run."""

from __future__ import annotations

import pytest

from jobx.actors.cluster.recent_work import QUIET_S
from jobx.actors.cluster.silence import AGAIN_S, SILENT_S
from jobx.actors.executors.rebalancing import MAX_AWAY_BYTES
from jobx.actors.ports import GONE_S
from tests.support.memory_transport import MemoryNetwork
from tests.unit.actors.cluster.lending_nodes import Cluster, Node


def test_a_node_that_does_not_offer_what_a_batch_requires_does_not_get_it() -> None:
    cluster = Cluster(b=("gpu",))
    cluster.begin("a", 3)
    assert cluster.where(cluster.begin("a", 2)) == "aa"


def test_a_node_that_offers_what_a_batch_requires_gets_it_whatever_else_it_lacks() -> None:
    cluster = Cluster(a=("general", "jre"))
    cluster.begin("a", 3)
    assert cluster.where(cluster.begin("a", 2)) == "bb"


def test_a_batch_that_no_executor_here_can_run_waits_for_a_node_that_can() -> None:
    cluster = Cluster("abc", b=("general", "gpu"))
    a = cluster.nodes["a"]
    a.pool.lacks = {frozenset({"gpu"})}
    assert cluster.where(cluster.begin("a", 1, ("gpu",))) == "a"
    assert a.pool.borrowed == 2  # of b alone
    assert cluster.where(cluster.begin("a", 4, ("gpu",))) == "bbbb"


def test_executors_for_work_that_none_here_can_run_stay_borrowed_between_its_batches() -> None:
    cluster = Cluster(b=("general", "gpu"))
    a = cluster.nodes["a"]
    a.pool.lacks = {frozenset({"gpu"})}
    cluster.begin("a", 1, ("gpu",))
    a.pool.lacks.clear()
    assert cluster.where(cluster.begin("a", 2, ("gpu",))) == "bb"
    assert a.pool.borrowed == 2
    cluster.run(2 * QUIET_S)
    assert a.pool.borrowed == 0


def test_work_that_waits_for_a_node_that_stays_away_is_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cluster = Cluster(b=("gpu",))
    cluster.network.fate = lambda *_: ()
    cluster.nodes["a"].pool.lacks = {frozenset({"gpu", "jre"})}
    cluster.begin("a", 1, ("gpu", "jre"))
    cluster.run(SILENT_S + 1.0)
    told = [record.getMessage() for record in caplog.records if "waits" in record.getMessage()]
    assert told == ["work of w that requires gpu, jre waits: no node that answers offers it"]
    cluster.nodes["a"].pool.lacks.clear()
    cluster.run(2 * AGAIN_S)
    assert cluster.nodes["a"].peers._timer is None


def test_a_large_batch_leaves_a_node_that_cannot_run_it() -> None:
    cluster = Cluster(b=("gpu",))
    cluster.nodes["a"].pool.lacks = {frozenset({"gpu"})}
    cluster.run()
    cluster.begin("a", 1, ("gpu",))
    large = bytes(MAX_AWAY_BYTES + 1)
    assert cluster.where(cluster.begin("a", 1, ("gpu",), pairs=large)) == "b"


def test_what_others_offer_is_known_once_they_were_seen_and_a_while_after_they_are_gone() -> None:
    cluster = Cluster(b=("gpu",))
    peers = cluster.nodes["a"].peers
    fresh = Node(cluster.scheduler, MemoryNetwork(cluster.scheduler), "x").peers
    assert fresh.others("w", 0.0) is None
    assert peers.others("w", 0.0) == [{"gpu"}]
    del cluster.members["b"]
    cluster.meet()
    assert peers.others("w", 0.0) == []
    assert peers.others("w", GONE_S) == [{"gpu"}]
    cluster.run(GONE_S)
    assert peers.others("w", GONE_S) == []
