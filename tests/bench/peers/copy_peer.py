"""Bytes to another process over a Unix socket, or from it: the floor of large values."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path

from tests.bench import measure
from tests.bench.peers.base import Peer
from tests.bench.work import large_text
from tests.bench.works import LARGE_BYTES

#: How many bytes follow, and how many are wanted.
_HEAD = struct.Struct("!QQ")


class CopyPeer(Peer):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._sock, theirs = socket.socketpair()
        if not os.fork():
            self._sock.close()
            _serve(theirs)
        theirs.close()

    def argument(self, text: str) -> Callable[[], int]:
        sent = text.encode()

        def ask() -> int:
            self._sock.sendall(_HEAD.pack(len(sent), _HEAD.size))
            self._sock.sendall(sent)
            return len(sent) if _receive(self._sock, _HEAD.size) else 0

        return ask

    def result(self, size: int) -> Callable[[], bytes]:
        def ask() -> bytes:
            self._sock.sendall(_HEAD.pack(0, size))
            return _receive(self._sock, size)

        return ask

    def close(self) -> None:
        self._sock.close()


def _serve(sock: socket.socket) -> None:
    """Take what comes and send what is wanted, until the other end is closed."""
    text = large_text(LARGE_BYTES).encode()
    while head := _receive(sock, _HEAD.size):
        follow, wanted = _HEAD.unpack(head)
        _receive(sock, follow)
        sock.sendall(text[:wanted])
    os._exit(0)


def _receive(sock: socket.socket, size: int) -> bytes:
    return sock.recv(size, socket.MSG_WAITALL)


if __name__ == "__main__":
    measure.main("copy", CopyPeer)
