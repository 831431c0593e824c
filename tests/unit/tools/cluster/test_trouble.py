from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from jobx.tools.cluster.trouble import troubles
from jobx.views import (
    ClusterView,
    LinkView,
    MemberView,
    NodeReport,
    OpenView,
    StoreServerView,
    WorkflowView,
)

LINK = LinkView(
    peer="b",
    workflow="w",
    is_up=True,
    children=0,
    hosted=0,
    unacked_bytes=0,
    resent=0,
    duplicates=0,
    stale=0,
    breaks=0,
)
A = MemberView(
    node_id="a",
    holder="h1:/d",
    registration=1,
    nsqd="10.0.0.1:4150",
    workflows=[],
    capabilities=["general"],
    slots=2,
    version="1.1.0",
    report=NodeReport(links=[LINK]),
)
B = replace(A, node_id="b", holder="h2:/d", nsqd="10.0.0.2:4150", report=NodeReport())
SERVER = StoreServerView(
    server="h:2379",
    version="3.4.23",
    is_leader=True,
    has_leader=True,
    size_bytes=10,
    quota_bytes=100,
    revision=200_000,
    is_compacted=True,
)
FINE = ClusterView(
    cluster="jobx",
    nodes=[A, B],
    workflows=[WorkflowView(workflow="w", nodes=["a", "b"])],
    open_requests=[OpenView(node_id="a", count=3)],
    etcd=[SERVER],
    trouble=[],
)


def node(**changes: Any) -> dict[str, Any]:
    return {"nodes": [A, replace(B, **changes)]}


def report(**changes: Any) -> dict[str, Any]:
    return {"nodes": [replace(A, report=NodeReport(**changes)), B]}


def server(**changes: Any) -> dict[str, Any]:
    return {"etcd": [replace(SERVER, **changes)]}


def test_a_cluster_without_trouble_has_none() -> None:
    assert troubles(FINE) == []


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (server(error="refused"), "etcd h:2379 does not answer: refused"),
        (server(has_leader=False), "no leader"),
        (server(alarms=["NOSPACE"]), "alarm NOSPACE"),
        (server(size_bytes=80), "used 80% of its quota"),
        (server(is_compacted=None), "keeps all old values"),
        (node(report=None), "node b is registered, but did not answer"),
        (node(nsqd=""), "node b has no bridge.nsqd"),
        (
            node(nsqd_trouble="timed out"),
            "nsqd 10.0.0.2:4150 of node b does not answer: timed out",
        ),
        (node(version="1.2.0"), "different versions: 1.1.0, 1.2.0"),
        (node(nsqd="127.0.0.1:4150"), "nsqd of b: it is on loopback"),
        ({"nodes": [replace(A, slots=0, report=NodeReport())]}, "no node has executors"),
        (report(trouble="no store"), "node a: no store"),
        (report(notice="left open"), "node a: left open"),
        (report(links=[replace(LINK, is_up=False)]), "node a has no link to b"),
        (report(dropped={"key": 4}), "node a dropped 4 datagrams of another cluster.key"),
        (
            {"open_requests": [OpenView(node_id="z", count=3, is_registered=False)]},
            "open requests of node z, which is not there: 3",
        ),
        (
            {"workflows": [WorkflowView(workflow="v", nodes=[])]},
            "no node runs the workflow v",
        ),
    ],
)
def test_trouble_is_one_sentence(changes: dict[str, Any], line: str) -> None:
    (found,) = troubles(replace(FINE, **changes))
    assert line in found


def test_links_to_a_node_that_left_are_no_trouble() -> None:
    down = replace(LINK, is_up=False, peer="c")
    assert troubles(replace(FINE, **report(links=[down]))) == []


def test_few_changes_need_no_compaction() -> None:
    assert troubles(replace(FINE, **server(is_compacted=False, revision=10))) == []
