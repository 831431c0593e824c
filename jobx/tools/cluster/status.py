"""Gathers the state of a cluster, from its store and from its nodes.

It needs the store alone. Nodes are asked through it (``kv/node_calls.py``), so nothing has to run
on this host, and a node that does not answer keeps back only its own report.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec

from jobx.actors.cluster.identity import record_of
from jobx.actors.cluster.members import Member, member_of
from jobx.errors import UNREADABLE, EntryDamaged, JobxError
from jobx.kv import keys, node_calls
from jobx.kv.entities.entities import Entities
from jobx.kv.leases import Held
from jobx.kv.opening import leases_of
from jobx.kv.store import Entry, Store
from jobx.model import Workflow
from jobx.tools.cluster import nsqd
from jobx.tools.cluster.trouble import troubles
from jobx.views import (
    ClusterView,
    MemberView,
    NodeReport,
    OpenView,
    StoreServerView,
    WorkflowView,
)

#: How long nodes may take to answer, all together.
ANSWER_S: Final = 6.0
#: Open requests of one node that are counted.
MOST_OPEN: Final = 1000
#: Servers of nsqd that are asked at once.
_MOST_ASKED: Final = 32
#: After all keys that begin with the same text.
_LAST: Final = "\U0010ffff"


def gather(store: Store, etcd: list[StoreServerView]) -> ClusterView:
    """Return the state of a cluster.

    Raises:
        JobxError: The store does not answer, or cannot be used.
    """
    held = leases_of(store).watch(keys.node("")).next(0.0) or {}
    holders = {key.removeprefix(keys.node("")): one for key, one in held.items()}
    nodes = _with_nsqd([_node(name, one) for name, one in sorted(holders.items())])
    reports = _reports(store, [node.node_id for node in nodes if node.nsqd])
    nodes = [msgspec.structs.replace(one, report=reports.get(one.node_id)) for one in nodes]
    damaged: list[EntryDamaged] = []
    view = ClusterView(
        cluster=record.name if (record := record_of(store)) else None,
        nodes=nodes,
        workflows=_workflows(store, nodes, damaged),
        open_requests=open_requests(store, set(holders)),
        etcd=etcd,
        trouble=[],
    )
    trouble = [*troubles(view), *(str(error) for error in damaged)]
    return msgspec.structs.replace(view, trouble=trouble)


def without_store(etcd: list[StoreServerView], error: JobxError) -> ClusterView:
    """Return what is known when the store does not answer."""
    view = ClusterView(
        cluster=None, nodes=[], workflows=[], open_requests=[], etcd=etcd, trouble=[]
    )
    found = troubles(view)  # these say it already, server by server
    return msgspec.structs.replace(view, trouble=found or [str(error)])


def open_requests(store: Store, registered: Iterable[str]) -> list[OpenView]:
    """Count the open requests of each node that has some, or is registered."""
    found = {name: OpenView(node_id=name, count=0) for name in registered}
    after = keys.OPEN
    while entries := store.range(keys.OPEN, after=after, limit=1):
        name = entries[0].key.removeprefix(keys.OPEN).partition("/")[0]
        prefix = f"{keys.OPEN}{name}/"
        count = len(store.range(prefix, limit=MOST_OPEN + 1))
        found[name] = OpenView(
            node_id=name,
            count=min(count, MOST_OPEN),
            has_more=count > MOST_OPEN,
            is_registered=name in found,
        )
        after = prefix + _LAST
    return [found[name] for name in sorted(found)]


def _reports(store: Store, names: list[str]) -> dict[str, NodeReport]:
    """Ask nodes how they are, all at once; return the reports of those that answer in time."""
    before = {name: node_calls.last_report(store, name) for name in names}
    for name in names:
        node_calls.call(store, name, node_calls.REPORT)
    deadline = time.monotonic() + ANSWER_S
    found = {}
    for name, entry in before.items():
        left_s = max(0.0, deadline - time.monotonic())
        answer = store.wait(keys.report(name), entry.revision if entry else 0, left_s)
        if answer is not None and (report := _read(answer)) is not None:
            found[name] = report
    return found


def _read(answer: Entry) -> NodeReport | None:
    try:
        return msgspec.json.decode(answer.value, type=NodeReport)
    except UNREADABLE:
        return None  # of another version


def _with_nsqd(nodes: list[MemberView]) -> list[MemberView]:
    """Ask each nsqd from this host; one that stands still keeps nobody else waiting."""
    addresses = sorted({node.nsqd for node in nodes if node.nsqd})
    with ThreadPoolExecutor(_MOST_ASKED) as threads:
        found = dict(zip(addresses, threads.map(nsqd.trouble, addresses), strict=True))
    return [msgspec.structs.replace(one, nsqd_trouble=found.get(one.nsqd)) for one in nodes]


def _node(name: str, held: Held) -> MemberView:
    member: Member = member_of(held)
    record = member.record
    return MemberView(
        node_id=name,
        holder=held.holder,
        registration=record.registration,
        nsqd=record.nsqd,
        workflows=list(record.workflows),
        capabilities=list(record.capabilities),
        slots=record.slots,
        version=record.version,
    )


def _workflows(
    store: Store, nodes: list[MemberView], damaged: list[EntryDamaged]
) -> list[WorkflowView]:
    found = Entities(store).list(Workflow, damaged=damaged)
    names = [one.workflow_name for one in found]
    return [
        WorkflowView(
            workflow=name,
            nodes=[one.node_id for one in nodes if not one.workflows or name in one.workflows],
        )
        for name in names
    ]
