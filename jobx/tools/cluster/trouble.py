"""What somebody should look at in a cluster, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from jobx.views import ClusterView, MemberView, NodeReport, OpenView, StoreServerView

#: Share of etcd's quota from which on it is trouble.
QUOTA_SHARE: Final = 0.8
#: Changes after which etcd should have removed old values.
UNCOMPACTED: Final = 100_000
_LOOPBACK: Final = ("127.", "localhost:", "[::1]:")


def troubles(view: ClusterView) -> list[str]:
    """Return a sentence for each thing that is wrong, the store's first."""
    names = {node.node_id for node in view.nodes}
    return [
        *(line for server in view.etcd for line in of_server(server)),
        *(line for node in view.nodes for line in of_node(node, names)),
        *of_nodes(view.nodes),
        *(line for one in view.open_requests for line in of_open(one)),
        *(
            f"no node runs the workflow {one.workflow}; see node.workflows"
            for one in view.workflows
            if not one.nodes
        ),
    ]


def of_server(server: StoreServerView) -> Iterator[str]:
    """Yield what is wrong with a server of etcd."""
    name = f"etcd {server.server}"
    if server.error is not None:
        yield f"{name} does not answer: {server.error}"
        return
    if not server.has_leader:
        yield f"{name} has no leader: too few servers are connected"
    for alarm in server.alarms:
        yield f"{name} has the alarm {alarm}; make room, then: etcdctl alarm disarm"
    if server.size_bytes and server.quota_bytes:
        share = server.size_bytes / server.quota_bytes
        if share >= QUOTA_SHARE:
            yield f"{name} has used {share:.0%} of its quota; compact and defragment it"
    if (server.revision or 0) > UNCOMPACTED and not server.is_compacted:
        yield f"{name} keeps all old values; start it with --auto-compaction-retention"


def of_node(node: MemberView, registered: set[str]) -> Iterator[str]:
    """Yield what is wrong with a node; links to nodes that are not registered are down rightly."""
    name = f"node {node.node_id}"
    if not node.nsqd:
        yield f"{name} has no bridge.nsqd, so it works alone on the store"
    elif node.report is None:
        yield f"{name} is registered, but did not answer"
    else:
        yield from _of_report(name, node.report, registered)
    if node.nsqd_trouble is not None:
        yield f"nsqd {node.nsqd} of {name} does not answer: {node.nsqd_trouble}"


def _of_report(name: str, report: NodeReport, registered: set[str]) -> Iterator[str]:
    if report.trouble is not None:
        yield f"{name}: {report.trouble}"
    if report.notice is not None:
        yield f"{name}: {report.notice}"
    if report.node is not None and report.node.state != "running":
        yield f"{name} is {report.node.state}"
    down = {link.peer for link in report.links if not link.is_up} & registered
    if down:
        yield f"{name} has no link to {', '.join(sorted(down))}; see bridge.nsqd and its log"
    if report.dropped.get("key"):
        yield f"{name} dropped {report.dropped['key']} datagrams of another cluster.key"


def of_nodes(nodes: list[MemberView]) -> Iterator[str]:
    """Yield what is wrong with nodes beside each other."""
    versions = sorted({node.version for node in nodes if node.version})
    if len(versions) > 1:
        yield f"nodes have different versions: {', '.join(versions)}"
    hosts = {node.holder.partition(":")[0] for node in nodes}
    local = [node.node_id for node in nodes if node.nsqd.startswith(_LOOPBACK)]
    if local and len(hosts) > 1:
        yield f"other hosts cannot reach the nsqd of {', '.join(local)}: it is on loopback"
    if nodes and not any(node.slots for node in nodes):
        yield "no node has executors, so no request ends"


def of_open(one: OpenView) -> Iterator[str]:
    """Yield what is wrong with the open requests of a node."""
    if one.count and not one.is_registered:
        count = f"{one.count}{' or more' if one.has_more else ''}"
        yield f"open requests of node {one.node_id}, which is not there: {count}"
