"""Who is in the cluster, by the leases of its nodes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec
from msgspec import Struct

from jobx.errors import UNREADABLE
from jobx.kv.leases import Held, Holders
from jobx.views import PeerView


class NodeRecord(Struct, frozen=True):
    """What a node shows in its lease; fields of later versions are ignored.

    Attributes:
        registration: Grows with each registration of the node.
        nsqd: ``host:port`` of the nsqd of its queues; empty: it has no bridge.
        workflows: Workflows whose jobs it runs; none: all.
        capabilities: What it offers.
        slots: Number of its executors.
        version: Its version of JobX.
        has_ephemeral_queues: Its queues go with it; those of earlier versions have other names.
        is_heir: It adopts requests of lost nodes; those of earlier versions do not.
    """

    registration: int = 0
    nsqd: str = ""
    workflows: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    slots: int = 0
    version: str = ""
    is_heir: bool = False
    has_ephemeral_queues: bool = False

    def runs(self, workflow: str) -> bool:
        """Whether the node runs jobs of a workflow."""
        return not self.workflows or workflow in self.workflows

    def adopts(self, workflow: str) -> bool:
        """Whether the node adopts requests of a workflow."""
        return self.is_heir and self.runs(workflow)


class Member(NamedTuple):
    """A node in the cluster, and the term of its lease."""

    record: NodeRecord
    term: str


class Loss(NamedTuple):
    """The end of a registration."""

    node_id: str
    registration: int


def encode(record: NodeRecord) -> str:
    """Return a record as the text of a lease."""
    return msgspec.json.encode(record).decode()


def members_of(holders: Holders, prefix: str) -> dict[str, Member]:
    """Return the nodes with a bridge by their ids; ``prefix`` is that of the keys of leases."""
    found = {key.removeprefix(prefix): member_of(held) for key, held in holders.items()}
    return {name: member for name, member in found.items() if member.record.nsqd}


def records_of(holders: Holders, prefix: str) -> dict[str, NodeRecord]:
    """Return what all nodes show, also those without a bridge, by their ids."""
    return {key.removeprefix(prefix): member_of(held).record for key, held in holders.items()}


def seen(records: Mapping[str, NodeRecord], links: Iterable[tuple[str, bool]]) -> list[PeerView]:
    """Return the nodes as one of them sees them.

    Args:
        records: What they show, by their ids.
        links: The peers of its links, each with whether the link is up.
    """
    is_up: dict[str, bool] = {}
    for peer, up in links:
        is_up[peer] = up or is_up.get(peer, False)
    return [
        PeerView(
            node_id=name,
            version=one.version,
            executors=one.slots,
            workflows=list(one.workflows),
            capabilities=list(one.capabilities),
            nsqd=one.nsqd,
            is_up=is_up.get(name),
        )
        for name, one in sorted(records.items())
    ]


def losses(before: dict[str, Member], after: dict[str, Member]) -> list[Loss]:
    """Return the registrations that have ended: their leases are gone, or others."""
    found = []
    for name, (record, term) in before.items():
        now = after.get(name)
        if now is None or now.term != term or now.record.registration > record.registration:
            found.append(Loss(name, record.registration))
    return found


def member_of(held: Held) -> Member:
    """Return the node that holds a lease; its record is empty if it shows none."""
    try:
        return Member(msgspec.json.decode(held.value, type=NodeRecord), held.term)
    except UNREADABLE:
        return Member(NodeRecord(), held.term)  # of a node that shows no record, as 1.0.0's
