"""The peer of a Unix socket, as reported by the operating system."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path
from typing import Any, Final, NamedTuple

from jobx.errors import NodeUnreachable

_CREDENTIALS: Final = struct.Struct("3i")


class Peer(NamedTuple):
    """A process at the other end of a connection."""

    pid: int
    uid: int
    gid: int


def peer_of(sock: Any) -> Peer:
    """Return the peer of a connected Unix socket."""
    body = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return Peer(*_CREDENTIALS.unpack(body))


def is_ours(peer: Peer) -> bool:
    """Return whether a peer belongs to the user of this process, or to root."""
    return peer.uid in (0, os.geteuid())


def check_node(sock: Any, path: Path) -> None:
    """Check that the owner of a gateway's path also answers there; call this before sending.

    Root may ask the node of another user, whose folder has the socket.

    Raises:
        NodeUnreachable: A process of another user answers.
    """
    peer = peer_of(sock)
    if is_ours(peer) or (os.geteuid() == 0 and peer.uid == path.parent.stat().st_uid):
        return
    taken = f"process {peer.pid} of user {peer.uid} listens there"
    raise NodeUnreachable(f"the node at {path} is not asked: {taken}")
