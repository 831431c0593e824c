"""Connections to one server that stay open: what python-etcd uses instead of urllib3's pool.

A call over urllib3 costs twice the processor time. Here a request goes out in one piece, and all
waits of a call have one deadline together, however slowly an answer arrives. Errors are those of
urllib3, which python-etcd understands.
"""

from __future__ import annotations

import http.client
import io
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from msgspec import Struct
from urllib3 import exceptions

#: Connections that stay open.
CONNECTIONS: Final = 32


class Access(Struct, frozen=True):
    """How servers are spoken to.

    Attributes:
        is_tls: Whether over TLS.
        ca_file: The authorities of their certificates; empty: those of the system.
        certificate: The files of this node's own certificate and of its key.
        user: Name and password.
    """

    is_tls: bool = False
    ca_file: str = ""
    certificate: tuple[str, str] | None = None
    user: tuple[str, str] | None = None


class CallLimit(Struct, frozen=True):
    """The time limit of a call, and of a new connection in it."""

    whole_s: float
    connect_s: float


class HttpAnswer(Struct, frozen=True):
    """What a server answered."""

    status: int
    headers: Mapping[str, str] | http.client.HTTPMessage
    data: bytes


class HttpPool:
    """Asks one server; threads may share it.

    Args:
        server: ``host:port``.
        access: How to speak to it.
    """

    def __init__(self, server: str, access: Access) -> None:
        host, _, port = server.rpartition(":")
        self._host = host.strip("[]")
        self._port = int(port)
        self._head = f"HTTP/1.1\r\nHost: {server}\r\nAccept-Encoding: identity\r\n"
        self._access = access
        self._context: ssl.SSLContext | None = None
        self._idle: deque[socket.socket] = deque()
        self._is_closed = False

    def ask(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, limit: CallLimit
    ) -> HttpAnswer:
        """Ask once, and return the whole answer.

        Raises:
            NewConnectionError: Nobody accepts connections there.
            ConnectTimeoutError: Nor was one refused in time.
            SSLError: TLS fails.
            ProtocolError: The connection broke after the question, or something else came.
            ReadTimeoutError: The answer has not come in time.
        """
        fields = {**headers, "Content-Length": str(len(body))} if body else headers
        more = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        question = f"{method} {path} {self._head}{more}\r\n".encode("ascii") + body
        deadline = time.monotonic() + limit.whole_s
        sock = self._connection(min(limit.connect_s, limit.whole_s))
        try:
            answer, stays = _exchange(sock, method, question, deadline)
        except TimeoutError as error:
            sock.close()
            url: Any = path
            raise exceptions.ReadTimeoutError(self, url, "Read timed out.") from error  # type: ignore[arg-type]  # nobody reads its pool
        except ssl.SSLError as error:
            sock.close()
            raise exceptions.SSLError(error) from error
        except (OSError, http.client.HTTPException) as error:
            sock.close()
            raise exceptions.ProtocolError(f"Connection aborted: {error!r}") from error
        except BaseException:
            sock.close()
            raise
        self._keep(sock, stays)
        return answer

    def close(self) -> None:
        """Close all connections, those in use as soon as they are not."""
        self._is_closed = True
        with suppress(IndexError):
            while True:
                self._idle.pop().close()

    def _keep(self, sock: socket.socket, stays: bool) -> None:
        if not stays or len(self._idle) >= CONNECTIONS:
            sock.close()
            return
        self._idle.append(sock)
        if self._is_closed:
            self.close()

    def _connection(self, limit_s: float) -> socket.socket:
        """Return a connection: the one that was used last, or a new one."""
        with suppress(IndexError):
            while True:
                sock = self._idle.pop()
                if not _is_readable(sock):
                    return sock
                sock.close()  # by the server, or something is left over in it
        try:
            return self._connected(limit_s)
        except TimeoutError as error:
            raise exceptions.ConnectTimeoutError(f"no connection within {limit_s:.1f} s") from error
        except ssl.SSLError as error:
            raise exceptions.SSLError(error) from error
        except OSError as error:
            raise exceptions.NewConnectionError(self, str(error)) from error  # type: ignore[arg-type]  # nobody reads it

    def _connected(self, limit_s: float) -> socket.socket:
        sock = socket.create_connection((self._host, self._port), limit_s)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if not self._access.is_tls:
                return sock
            return self._tls().wrap_socket(sock, server_hostname=self._host)
        except ConnectionError as error:
            sock.close()
            raise exceptions.ProtocolError(f"Connection aborted: {error!r}") from error
        except BaseException:
            sock.close()
            raise

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            context = ssl.create_default_context(cafile=self._access.ca_file or None)
            if self._access.certificate is not None:
                context.load_cert_chain(*self._access.certificate)
            self._context = context
        return self._context


class _Timed(io.RawIOBase):
    """What comes from a socket until a deadline."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(_left_s(self._deadline))
        return self._sock.recv_into(buffer)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Be the socket of an ``HTTPResponse``."""
        return io.BufferedReader(self)


def _exchange(
    sock: socket.socket, method: str, question: bytes, deadline: float
) -> tuple[HttpAnswer, bool]:
    """Send a question and return its answer, and whether the connection may be used again."""
    sock.settimeout(_left_s(deadline))
    with suppress(BrokenPipeError, ConnectionResetError):  # it may have answered all the same
        sock.sendall(question)
    source: Any = _Timed(sock, deadline)
    with http.client.HTTPResponse(source, method=method) as response:
        response.begin()
        data = response.read()
        return HttpAnswer(response.status, response.headers, data), not response.will_close


def _left_s(deadline: float) -> float:
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s


def _is_readable(sock: socket.socket) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
