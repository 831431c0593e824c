"""A proxy of TCP that a test can make slow, deaf or dead, at a time of its choosing."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

_PIECE: Final = 64 << 10
_LOOK_S: Final = 0.02
#: What was cut may be done first.
_DONE_S: Final = 0.3


class Proxy:
    """Passes bytes between clients and one server.

    Attributes:
        port: Where clients connect to, on loopback.
        delay_s: How long each piece waits.
        is_deaf: Nothing passes either way, and nobody is told: connections are half open.
        cuts_after: Once a client has sent these bytes, they still arrive, and the connection is
            cut in place of any answer. It is then None again.
    """

    def __init__(self, host: str, port: int) -> None:
        self.delay_s = 0.0
        self.is_deaf = False
        self.cuts_after: bytes | None = None
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._is_closed = False
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def cut(self) -> None:
        """Close all connections, as a server that is killed does."""
        for pair in self._pairs:
            for one in pair:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End everything."""
        self._is_closed = True
        self.cut()
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def _accept(self) -> None:
        self._listener.settimeout(_LOOK_S)
        while not self._is_closed:
            with suppress(TimeoutError):
                client, _ = self._listener.accept()
                self._begin(client)

    def _begin(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._target, timeout=5)
        except OSError:
            client.close()
            return
        self._pairs.append((client, server))
        thread = threading.Thread(target=self._pass, args=(client, server))
        self._threads.append(thread)
        thread.start()

    def _pass(self, client: socket.socket, server: socket.socket) -> None:
        with client, server, suppress(OSError):
            client.setblocking(True)
            server.setblocking(True)
            while not self._is_closed:
                ready, _, _ = select.select([client, server], [], [], _LOOK_S)
                for one in ready if not self.is_deaf else ():
                    piece = one.recv(_PIECE)
                    if not piece:
                        return
                    time.sleep(self.delay_s)
                    (server if one is client else client).sendall(piece)
                    if one is client and self._is_last(piece):
                        time.sleep(_DONE_S)
                        return

    def _is_last(self, piece: bytes) -> bool:
        if self.cuts_after is None or self.cuts_after not in piece:
            return False
        self.cuts_after = None
        return True


@contextmanager
def proxy(server: str) -> Iterator[Proxy]:
    """Run a proxy in front of a server, ``host:port``."""
    host, _, port = server.rpartition(":")
    made = Proxy(host, int(port))
    try:
        yield made
    finally:
        made.close()
