"""A node that is lost: those that are left take over what it had."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.clusters import Cluster, cluster, places
from tests.support.etcd import Etcd
from tests.support.waiting import eventually


@pytest.fixture
def two(tmp_path: Path, etcd: Etcd, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    with cluster(tmp_path, etcd, monkeypatch) as found:
        found.start("a")
        found.start("b")
        yield found


def test_a_request_of_a_killed_node_ends_on_another_one_whose_client_waits(
    two: Cluster, tmp_path: Path
) -> None:
    a, b, gate = two.nodes["a"], two.nodes["b"], tmp_path / "gate"
    asked = {"gate": str(gate)}
    posted = a.post("gate", asked, Prefer="respond-async", Idempotency_Key="once")
    a.kill_all()
    gate.touch()
    answer = b.post("gate", asked, Prefer="wait=60", Idempotency_Key="once")
    assert (answer.pairs, answer.request_id) == ([["n", 1]], posted.request_id)
    assert b.get(posted.request_id).body["coordinator"] == "b"
    eventually(lambda: "node.lost: node a" in two.log("b"))


def test_a_request_waits_for_a_capability_also_after_its_node_is_lost(two: Cluster) -> None:
    a, b = two.nodes["a"], two.nodes["b"]
    request_id = a.post("patient", {}, Prefer="respond-async").request_id

    def waits_on(node_id: str) -> bool:
        shown = b.get(request_id).body
        return (shown["coordinator"], shown["waits_for"]) == (node_id, ["gpu"])

    eventually(lambda: waits_on("a"), 60.0)
    a.kill_all()
    eventually(lambda: waits_on("b"), 60.0)
    two.start("c", JOBX_NODE_CAPABILITIES="general,gpu")
    answer = b.get(request_id, "/result", Prefer="wait=60")
    assert answer.pairs == [["n", 1]]
    assert set(places(b, answer)) == {"c"}
