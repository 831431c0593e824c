"""Who is at the other end of a Unix socket: the operating system says it, not the peer."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path
from typing import Any, Final, NamedTuple

from jobx.errors import NodeUnreachable

_CREDENTIALS: Final = struct.Struct("3i")


class Peer(NamedTuple):
    """A process that connected, or that is connected to."""

    pid: int
    uid: int
    gid: int


def peer_of(sock: Any) -> Peer:
    """Return who is at the other end of a connected Unix socket."""
    body = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return Peer(*_CREDENTIALS.unpack(body))


def is_ours(peer: Peer) -> bool:
    """Say whether a peer is of this process' own user, or of root."""
    return peer.uid in (0, os.geteuid())


def check_node(sock: Any, path: Path) -> None:
    """Check that who answers at a gateway's path is whom it belongs to: nothing was sent to it.

    Root may ask the node of another user, whose folder the socket is in.

    Raises:
        NodeUnreachable: It is a process of somebody else.
    """
    peer = peer_of(sock)
    if is_ours(peer) or (os.geteuid() == 0 and peer.uid == path.parent.stat().st_uid):
        return
    taken = f"process {peer.pid} of user {peer.uid} listens there"
    raise NodeUnreachable(f"the node at {path} is not asked: {taken}")
