"""Seeds of requests on three nodes of one store that die, stand still and are cut off.

``JOBX_SIMULATION_SEEDS=10000 pytest tests/simulation/test_cluster.py`` draws more.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobx.actors.request.events import Adopted, Finished, from_record
from jobx.kv.requests import event_log
from tests.simulation.cluster import Cluster
from tests.simulation.cluster_node import NAMES
from tests.simulation.executors import unpack_result
from tests.simulation.simulator import WORKFLOW, unread

SEEDS = int(os.environ.get("JOBX_SIMULATION_SEEDS", "600"))
BLOCK = 25
ASKS = ("r0", "r1", "r2")


def check(cluster: Cluster) -> None:
    """Run requests, and check that each ended once and right, and that nothing is left of them."""
    for ask, name in zip(ASKS, NAMES, strict=True):
        cluster.submit(ask, name)
    cluster.run(ASKS)
    assert set(cluster.entities()) == set(ASKS)
    accepted = {one.request_id for (one,) in cluster.entities().values()}
    assert cluster.opened <= accepted
    for request_id in accepted:
        check_end(cluster, request_id)
    assert cluster.store.range("open/") == []
    assert unread(cluster.bases) == []
    for node in cluster.nodes.values():
        assert [record.name for record in node.base.tree()] == ["Supervisor (0 open)"]
        assert node.executors.kept == {}
        assert node.executors.foreign == []
        assert {(one.children, one.hosted) for one in node.bridge.states()} == {(0, 0)}
        assert set(node.bridge.refused) <= {"node"}


def check_end(cluster: Cluster, name: str) -> None:
    """Check that a request ended once and right."""
    request = cluster.entity(name)
    assert request is not None
    assert request.state == "succeeded", request.failure
    assert unpack_result(request.result or ()) == cluster.world.expected()
    told = {(one.state, one.result) for one in cluster.ended.get(name, [])}
    assert told <= {(request.state, request.result)}
    events = [from_record(one) for _, one in event_log.read(cluster.store, WORKFLOW, name)]
    assert [isinstance(event, Finished) for event in events].count(True) == 1
    assert isinstance(events[-1], Finished)
    owners = [event.node for event in events if isinstance(event, Adopted)]
    assert not owners or request.coordinator == owners[-1]


@pytest.mark.parametrize("block", range(SEEDS // BLOCK))
def test_requests_end_once_and_right_on_three_nodes(block: int, tmp_path: Path) -> None:
    for seed in range(block * BLOCK, (block + 1) * BLOCK):
        try:
            check(Cluster(seed, tmp_path))
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error}") from error
