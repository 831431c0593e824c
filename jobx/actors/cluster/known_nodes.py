"""The members of the cluster, and the nodes that were some until lately. Pure."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct

from jobx.actors.cluster.members import Loss, Member, NodeRecord, losses
from jobx.actors.ports import GONE_S


class Gone(NamedTuple):
    """What a node showed that is no member any more, and since when; monotonic."""

    record: NodeRecord
    since: float


class KnownNodes(Struct, frozen=True):
    """The nodes that one of them knows.

    Attributes:
        own_id: The one that knows them.
        members: All members, itself among them; None: they are not known yet.
        gone: Those that were members less than ``GONE_S`` ago.
    """

    own_id: str
    members: dict[str, Member] | None = None
    gone: dict[str, Gone] = {}

    def after(self, members: dict[str, Member], now: float) -> KnownNodes:
        """Return what is known once these are the members."""
        gone = {name: Gone(one.record, now) for name, one in (self.members or {}).items()}
        gone = {
            name: one
            for name, one in {**self.gone, **gone}.items()
            if name not in members and now < one.since + GONE_S
        }
        return KnownNodes(self.own_id, members, gone)

    def losses(self, members: dict[str, Member]) -> list[Loss]:
        """Return the registrations that have ended once these are the members."""
        return losses(self.members or {}, members)

    @property
    def ids(self) -> set[str]:
        """The ids of all."""
        return {*(self.members or {}), *self.gone}

    @property
    def others(self) -> dict[str, NodeRecord]:
        """What the other members show."""
        members = (self.members or {}).items()
        return {name: member.record for name, member in members if name != self.own_id}

    def is_member(self, name: str) -> bool:
        """Whether a node is registered."""
        return name in (self.members or {})

    def record(self, name: str) -> NodeRecord:
        """Return what a node shows; nothing if it is no member."""
        member = (self.members or {}).get(name)
        return NodeRecord() if member is None else member.record

    def offers(self, workflow: str, now: float, gone_s: float) -> list[frozenset[str]] | None:
        """Return what each other node offers that runs a workflow; see ``Services.others``."""
        if self.members is None:
            return None
        gone = [record for record, since in self.gone.values() if now < since + gone_s]
        records = [*self.others.values(), *gone]
        return [frozenset(one.capabilities) for one in records if one.runs(workflow)]
