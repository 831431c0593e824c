"""What carries the datagrams of the bridge, and the names of its queues."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, Protocol, TypeAlias

#: nsqd removes a queue of such a name when its last reader leaves it, and keeps none on disk.
EPHEMERAL: Final = "#ephemeral"
#: NSQ's longest name, without that.
_MAX_NAME: Final = 64 - len(EPHEMERAL)
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

    def reach(self, peers: Mapping[str, str]) -> None:
        """Set the addresses of the servers that have the queues of all peers, by node id."""

    def is_reached(self, peer: str) -> bool:
        """Whether the server of a peer's queues is connected, or was not needed yet."""

    def listen(self, workflow: str, receive: Receive) -> None:
        """Take in datagrams for this node in a workflow, from now on."""

    def leave(self, workflow: str) -> None:
        """Take in nothing more in a workflow."""

    def when_open(self, opened: Callable[[], None]) -> None:
        """Have something called whenever a way is open, for the first time or again."""

    def send(self, lane: Lane, datagram: bytes) -> None:
        """Send a datagram, or drop it: when the peer cannot be reached, or too many wait."""


def topic_of(prefix: str, workflow: str, node: str) -> str:
    """Return the name of a node's queue for a workflow; different ones have different names.

    Names may have dots, so those are doubled: none begins with one. What is too long for NSQ is
    hashed; names have no capitals.
    """
    parts = (part.replace(".", "..") for part in (prefix, workflow, node))
    topic = ".".join(parts)
    if len(topic) <= _MAX_NAME:
        return f"{topic}{EPHEMERAL}"
    digest = hashlib.blake2b(topic.encode(), digest_size=_DIGEST_BYTES).hexdigest()
    return f"{topic[: _MAX_NAME - len(digest) - 1]}H{digest}{EPHEMERAL}"
