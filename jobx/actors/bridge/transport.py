"""What carries the datagrams of the bridge, and the names of its queues."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from typing import Final, NamedTuple, Protocol, TypeAlias

#: nsqd removes a queue of such a name when its last reader leaves it, and keeps none on disk.
EPHEMERAL: Final = "#ephemeral"
#: NSQ's longest name.
_MAX_NAME: Final = 64
_DIGEST_BYTES: Final = 16

#: Takes a workflow and a datagram for this node in it.
Receive: TypeAlias = Callable[[str, bytes], None]


class Lane(NamedTuple):
    """One workflow of one peer."""

    peer: str
    workflow: str


class Transport(Protocol):
    """Carries datagrams as well as it can: they may get lost, come twice, or in another order.

    On the loop's thread only. No method blocks.
    """

    def reach(self, peers: Mapping[str, str], earlier: Collection[str] = ()) -> None:
        """Set who can be reached.

        Args:
            peers: The addresses of the servers that have the queues of all peers, by node id.
            earlier: Peers of an earlier version, whose queues and ours for them have other names.
        """

    def is_reached(self, peer: str) -> bool:
        """Whether the server of a peer's queues is connected, or was not needed yet."""

    def listen(self, workflow: str, receive: Receive) -> None:
        """Take in datagrams for this node in a workflow, from now on."""

    def leave(self, workflow: str) -> None:
        """Take in nothing more in a workflow."""

    def when_open(self, opened: Callable[[str | None], None]) -> None:
        """Have something called whenever a way is open, for the first time or again.

        It gets the workflow that this node hears now; None: a server of peers can be sent to.
        """

    def send(self, lane: Lane, datagram: bytes) -> None:
        """Send a datagram, or drop it: when the peer cannot be reached, or too many wait."""


def topic_of(prefix: str, workflow: str, node: str, ending: str = EPHEMERAL) -> str:
    """Return the name of a node's queue for a workflow; different ones have different names.

    Names may have dots, so those are doubled: none begins with one. What is too long for NSQ is
    hashed; names have no capitals. For earlier versions they have no ``ending``.
    """
    parts = (part.replace(".", "..") for part in (prefix, workflow, node))
    topic = ".".join(parts)
    longest = _MAX_NAME - len(ending)
    if len(topic) <= longest:
        return f"{topic}{ending}"
    digest = hashlib.blake2b(topic.encode(), digest_size=_DIGEST_BYTES).hexdigest()
    return f"{topic[: longest - len(digest) - 1]}H{digest}{ending}"


def is_ephemeral(topic: str) -> bool:
    """Whether nsqd removes a queue with its last reader."""
    return topic.endswith(EPHEMERAL)
