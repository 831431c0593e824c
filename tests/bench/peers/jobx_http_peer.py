"""JobX over HTTP: ``jobx serve``, asked over connections that stay open."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from tests.bench import measure, work
from tests.bench.peers.base import Call
from tests.bench.peers.jobx_peer import WORKFLOW, JobxPeer
from tests.support.waiting import eventually

_START_S = 30.0
_ANSWER_S = 60.0


class JobxHttpPeer(JobxPeer):
    def __init__(self, folder: Path, store_url: str = "") -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self._address = listener.getsockname()
        host, port = self._address
        super().__init__(folder, ("serve", "--bind", f"{host}:{port}"), store_url)
        eventually(self._answers, _START_S)

    def client(self) -> Call:
        return _Client(self._address).post

    def _answers(self) -> bool:
        try:
            socket.create_connection(self._address).close()
        except ConnectionRefusedError:
            return False
        return True


class _Client:
    """One connection; knows no more of HTTP than this server's answers need.

    An ordinary client library takes as long as the server, and would be what is measured.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self._sock = socket.create_connection(address, timeout=_ANSWER_S)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = f"POST /job/{WORKFLOW}/one HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\n"
        self._head = f"{head}Content-Type: application/json\r\n"

    def post(self, number: int) -> dict[int, int]:
        body = f'{{"arguments":{{"number":{number}}}}}'
        self._sock.sendall(f"{self._head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        return dict(json.loads(self._receive())["result"]["pairs"])

    def _receive(self) -> bytes:
        """Return the body of an answer."""
        answer = b""
        while (end := answer.find(b"\r\n\r\n")) < 0:
            answer += self._read()
        status, *lines = answer[:end].decode().lower().split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines)
        whole = end + 4 + int(fields["content-length"])
        while len(answer) < whole:
            answer += self._read()
        if " 200 " not in status:
            raise work.WrongResultError(answer.decode())
        return answer[end + 4 :]

    def _read(self) -> bytes:
        chunk = self._sock.recv(1 << 16)
        if not chunk:
            raise ConnectionResetError("the server closed the connection")
        return chunk


if __name__ == "__main__":
    measure.main("jobx", JobxHttpPeer)
