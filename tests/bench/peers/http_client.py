"""A client over HTTP that takes no time of its own."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from tests.bench import work

_ANSWER_S = 60.0
#: A larger body is not copied to its head.
_SMALL_BYTES = 64 << 10


class HttpClient:
    """One connection that stays open; knows no more of HTTP than these servers' answers need.

    An ordinary client library takes as long as the server, and would be what is measured.

    Args:
        address: Host and port of the server.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self._sock = socket.create_connection(address, timeout=_ANSWER_S)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._fields = f"Host: {address[0]}:{address[1]}\r\nContent-Type: application/json\r\n"

    def post(self, path: str, body: bytes) -> bytes:
        """Return the body of the answer to a POST.

        Raises:
            WrongResultError: It has another status than 200.
        """
        head = f"POST {path} HTTP/1.1\r\n{self._fields}Content-Length: {len(body)}\r\n\r\n"
        if len(body) < _SMALL_BYTES:
            self._sock.sendall(head.encode() + body)
        else:
            self._sock.sendall(head.encode())
            self._sock.sendall(body)
        answer = bytearray()
        while (end := answer.find(b"\r\n\r\n")) < 0:
            answer += self._read()
        status, *lines = answer[:end].decode().lower().split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines)
        del answer[: end + 4]
        body = self._body(answer, fields)
        if " 200 " not in status:
            raise work.WrongResultError(f"{status}: {body.decode()}")
        return body

    def _body(self, answer: bytearray, fields: dict[str, str]) -> bytes:
        """Return the body of an answer of which a part has come."""
        if fields.get("transfer-encoding") == "chunked":
            return b"".join(self._chunks(answer))
        while len(answer) < int(fields["content-length"]):
            answer += self._read()
        return bytes(answer)

    def _chunks(self, answer: bytearray) -> Iterator[bytes]:
        size = 1
        while size:
            while (start := answer.find(b"\r\n") + 2) < 2:
                answer += self._read()
            size = int(answer[: start - 2], 16)
            while len(answer) < start + size + 2:
                answer += self._read()
            yield answer[start : start + size]
            del answer[: start + size + 2]

    def _read(self) -> bytes:
        chunk = self._sock.recv(1 << 16)
        if not chunk:
            raise ConnectionResetError("the server closed the connection")
        return chunk


def argument(number: int) -> bytes:
    """Return the body of a request to map and reduce one number."""
    return f'{{"arguments":{{"number":{number}}}}}'.encode()
