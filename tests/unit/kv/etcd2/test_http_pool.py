"""Connections to a server that answers, hangs up, drips, or says something else."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Final

import pytest
from urllib3 import exceptions

from jobx.kv.etcd2.http_pool import Access, CallLimit, HttpAnswer, HttpPool

LONG: Final = CallLimit(30.0, connect_s=30.0)
SHORT: Final = CallLimit(0.2, connect_s=30.0)
ANSWER: Final = b"HTTP/1.1 200 OK\r\nX-Etcd-Index: 7\r\nContent-Length: 2\r\n\r\n{}"
CLOSING: Final = ANSWER.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
CHUNKED: Final = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"
)


class _Server:
    """Does with its n-th connection what the n-th of its ways says."""

    def __init__(self, ways: list[Callable[[socket.socket], None]]) -> None:
        self._ways = ways
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.name = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        with self._listener:
            for way in self._ways:
                sock, _ = self._listener.accept()
                with sock, suppress(OSError):
                    sock.settimeout(60)
                    way(sock)


@contextmanager
def asking(*ways: Callable[[socket.socket], None]) -> Iterator[HttpPool]:
    server = _Server(list(ways))
    server.thread.start()
    with closing(HttpPool(server.name, Access())) as pool:
        yield pool
    server.thread.join(60)


def heard(sock: socket.socket, end: bytes = b"\r\n\r\n") -> bytes:
    said = b""
    while not said.endswith(end):
        piece = sock.recv(1 << 16)
        if not piece:
            raise ConnectionResetError
        said += piece
    return said


def saying(*answers: bytes) -> Callable[[socket.socket], None]:
    """Return the way of a server that answers a question each, and then waits for the end."""

    def way(sock: socket.socket) -> None:
        for answer in answers:
            heard(sock)
            sock.sendall(answer)
        sock.recv(1)

    return way


def hanging_up(*answers: bytes) -> Callable[[socket.socket], None]:
    """Return the way of a server that hangs up after its last answer."""

    def way(sock: socket.socket) -> None:
        for answer in answers:
            heard(sock)
            sock.sendall(answer)

    return way


def dripping(sock: socket.socket) -> None:
    heard(sock)
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    for _ in itertools.count():
        sock.sendall(b" ")
        threading.Event().wait(0.01)


def silent(sock: socket.socket) -> None:
    heard(sock)
    sock.recv(1)


def ask(pool: HttpPool, limit: CallLimit = LONG) -> HttpAnswer:
    return pool.ask("GET", "/v2/keys/a?quorum=true", {}, b"", limit)


def test_one_connection_carries_many_calls() -> None:
    with asking(saying(ANSWER, CHUNKED, ANSWER)) as pool:
        assert [ask(pool).data for _ in range(3)] == [b"{}"] * 3


def test_a_question_has_its_headers_and_its_body() -> None:
    said: list[bytes] = []

    def way(sock: socket.socket) -> None:
        said.append(heard(sock, b"value=v"))
        sock.sendall(ANSWER)

    with asking(way) as pool:
        answer = pool.ask("PUT", "/v2/keys/a", {"Authorization": "Basic x"}, b"value=v", LONG)
    lines = said[0].decode().split("\r\n")
    assert lines[0] == "PUT /v2/keys/a HTTP/1.1"
    assert {"Authorization: Basic x", "Content-Length: 7"} < set(lines)
    assert (answer.status, answer.headers.get("x-etcd-index"), answer.data) == (200, "7", b"{}")


@pytest.mark.parametrize("first", [saying(CLOSING), hanging_up(CLOSING)])
def test_a_connection_that_the_server_ends_is_not_used_again(
    first: Callable[[socket.socket], None],
) -> None:
    with asking(first, saying(ANSWER)) as pool:
        assert [ask(pool).data for _ in range(2)] == [b"{}"] * 2


def test_a_connection_that_was_closed_while_idle_is_replaced() -> None:
    closed = threading.Event()

    def way(sock: socket.socket) -> None:
        hanging_up(ANSWER)(sock)
        sock.shutdown(socket.SHUT_RDWR)
        closed.set()

    with asking(way, saying(ANSWER)) as pool:
        ask(pool)
        assert closed.wait(60)
        assert ask(pool).data == b"{}"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 2",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{}",
        CHUNKED[:-12],
        b"SSH-2.0-OpenSSH\r\n",
        b"<html>\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 1000 + b"\r\n",
    ],
    ids=str,
)
def test_an_answer_that_is_no_whole_one_is_an_error(answer: bytes) -> None:
    with asking(hanging_up(answer)) as pool, pytest.raises(exceptions.ProtocolError):
        ask(pool)


@pytest.mark.parametrize("way", [silent, dripping])
def test_an_answer_that_does_not_end_is_given_up_at_the_limit(
    way: Callable[[socket.socket], None],
) -> None:
    with asking(way, saying(ANSWER)) as pool:
        with pytest.raises(exceptions.ReadTimeoutError):
            ask(pool, SHORT)
        assert ask(pool).data == b"{}"


def test_nobody_there_is_known_before_anything_was_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        name = f"127.0.0.1:{gone.getsockname()[1]}"
    with pytest.raises(exceptions.NewConnectionError):
        ask(HttpPool(name, Access()))


def test_a_server_without_tls_is_told_from_one_that_is_gone() -> None:
    def way(sock: socket.socket) -> None:
        sock.recv(1 << 16)
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    server = _Server([way])
    server.thread.start()
    refused = (exceptions.SSLError, exceptions.ProtocolError)
    with closing(HttpPool(server.name, Access(is_tls=True))) as pool, pytest.raises(refused):
        ask(pool)
    server.thread.join(60)
