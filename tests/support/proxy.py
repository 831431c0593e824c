"""A proxy of TCP that a test can make slow, deaf or dead, at a time of its choosing."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

_PIECE: Final = 64 << 10
_LOOK_S: Final = 0.02
#: A connection that nobody cuts ends so late after its proxy.
_CLOSE_S: Final = 1.0
#: What was cut may be done first.
_DONE_S: Final = 0.3


class Proxy:
    """Passes bytes between clients and one server.

    Args:
        host: The host of the server.
        port: Its port.
        remembers: Keep what clients say, for ``count`` and ``repeat``.

    Attributes:
        port: Where clients connect to, on loopback.
        delay_s: How long each piece waits.
        is_shut: New connections are closed at once, as by a server that is gone.
        is_deaf: Nothing passes either way, and nobody is told: connections are half open.
        is_mute: What clients say arrives, but nothing comes back.
        cuts_after: Once a client has sent these bytes, they still arrive, and the connection is
            cut in place of any answer. It is then None again.
    """

    def __init__(self, host: str, port: int, *, remembers: bool = True) -> None:
        self.delay_s = 0.0
        self.is_shut = False
        self.is_deaf = False
        self.is_mute = False
        self.cuts_after: bytes | None = None
        self._remembers = remembers
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._is_closed = False
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._said: list[bytearray] = []  # by clients, for each connection
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def server(self) -> str:
        """``host:port`` of where clients connect to."""
        return f"127.0.0.1:{self.port}"

    def count(self, text: bytes) -> int:
        """Return how often clients have said something."""
        return sum(said.count(text) for said in self._said)

    def repeat(self) -> None:
        """Say to the server again all that clients have said, each connection in one of its own."""
        for said in [bytes(said) for said in self._said]:  # a copy: what is sent cannot grow
            with socket.create_connection(self._target, timeout=60) as again:
                again.sendall(said)
                again.settimeout(_DONE_S)
                with suppress(TimeoutError, ConnectionError):
                    while again.recv(_PIECE):
                        pass

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
            thread.join(60)
        self._listener.close()

    def _accept(self) -> None:
        self._listener.settimeout(_LOOK_S)
        while not self._is_closed:
            with suppress(OSError):  # a client may be gone before it is met
                client, _ = self._listener.accept()
                self._begin(client)

    def _begin(self, client: socket.socket) -> None:
        if self.is_shut:
            client.close()
            return
        try:
            server = socket.create_connection(self._target, timeout=60)
        except OSError:
            client.close()
            return
        self._pairs.append((client, server))
        self._said.append(bytearray())
        thread = threading.Thread(target=self._pass, args=(client, server, self._said[-1]))
        self._threads.append(thread)
        thread.start()

    def _pass(self, client: socket.socket, server: socket.socket, said: bytearray) -> None:
        with client, server, selectors.DefaultSelector() as both, suppress(OSError):
            for one in (client, server):
                one.setblocking(True)
                both.register(one, selectors.EVENT_READ)
            while not self._is_closed:
                ready = [key.fileobj for key, _ in both.select(_CLOSE_S)]
                if self.is_deaf:
                    time.sleep(_LOOK_S)
                    continue
                if server in ready and not self._answer(server, client):
                    return
                if client in ready and not self._ask(client, server, said):
                    return

    def _answer(self, server: socket.socket, client: socket.socket) -> bool:
        """Pass on what a server says; return whether the connection goes on."""
        piece = server.recv(_PIECE)
        time.sleep(self.delay_s)
        if not self.is_mute:
            client.sendall(piece)
        return bool(piece)

    def _ask(self, client: socket.socket, server: socket.socket, said: bytearray) -> bool:
        """Pass on what a client says; return whether the connection goes on."""
        piece = client.recv(_PIECE)
        time.sleep(self.delay_s)
        if self._remembers:
            said += piece
        server.sendall(piece)
        if self._is_last(piece):
            time.sleep(_DONE_S)
            return False
        return bool(piece)

    def _is_last(self, piece: bytes) -> bool:
        if self.cuts_after is None or self.cuts_after not in piece:
            return False
        self.cuts_after = None
        return True


@contextmanager
def proxy(server: str, *, remembers: bool = True) -> Iterator[Proxy]:
    """Run a proxy in front of a server, ``host:port``; see ``Proxy``."""
    host, _, port = server.rpartition(":")
    made = Proxy(host, int(port), remembers=remembers)
    try:
        yield made
    finally:
        made.close()
