"""A transport between nodes of one process, as good or as bad as one likes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from jobx.actors.bridge.transport import Lane, Receive
from jobx.actors.runtime.scheduler import Scheduler


def at_once(_source: str, _target: str) -> Iterable[float]:
    """Let a datagram arrive once, without a delay."""
    return (0.0,)


class MemoryNetwork:
    """Connects the nodes of one process.

    Args:
        scheduler: Its time is that of the network.
        fate: Gets the ids of sender and receiver, and returns after how many seconds each copy of a
            datagram arrives; none: it is lost.
    """

    def __init__(
        self, scheduler: Scheduler, fate: Callable[[str, str], Iterable[float]] = at_once
    ) -> None:
        self.fate = fate
        self._scheduler = scheduler
        self._inboxes: dict[Lane, Receive] = {}

    def carry(self, source: str, lane: Lane, datagram: bytes) -> None:
        """Take a datagram of ``source``."""
        for delay_s in self.fate(source, lane.peer):
            self._scheduler.call_later(delay_s, lambda: self._arrive(lane, datagram))

    def open(self, lane: Lane, receive: Receive) -> None:
        """Open the inbox of a node for a workflow, or give it to the node's next life."""
        self._inboxes[lane] = receive

    def close(self, lane: Lane) -> None:
        """Close an inbox."""
        self._inboxes.pop(lane, None)

    def _arrive(self, lane: Lane, datagram: bytes) -> None:
        receive = self._inboxes.get(lane)
        if receive is not None:
            receive(lane.workflow, datagram)


class MemoryTransport:
    """One node's transport over a network."""

    def __init__(self, network: MemoryNetwork, node: str) -> None:
        self._network = network
        self._node = node

    def reach(self, peers: Mapping[str, str], earlier: Collection[str] = ()) -> None:
        """Do nothing: the network knows all nodes."""

    def is_reached(self, peer: str) -> bool:
        """Say that the network is there."""
        del peer
        return True

    def listen(self, workflow: str, receive: Receive) -> None:
        """Take in datagrams for this node in a workflow."""
        self._network.open(Lane(self._node, workflow), receive)

    def leave(self, workflow: str) -> None:
        """Take in nothing more in a workflow."""
        self._network.close(Lane(self._node, workflow))

    def when_open(self, opened: Callable[[str | None], None]) -> None:
        self.opened = opened

    def send(self, lane: Lane, datagram: bytes) -> None:
        """Give a datagram to the network."""
        self._network.carry(self._node, lane, datagram)
