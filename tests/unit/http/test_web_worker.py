"""Connections of a web worker, fed without a socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from gunicorn.config import Config

from jobx.http.web_worker import Connection, WebWorker

HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: %s\r\n\r\n"
#: As many bytes of a body, each in a chunk of its own.
COUNT = 1_000
END = b"0\r\n\r\n"
#: Clients that come at once: more than asyncio lets wait by itself.
QUEUE = 200


class Application:
    """Reads the bodies of requests, and keeps their pieces."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.ended = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        more = True
        while more:
            event = await receive()
            self.pieces.append(event["body"])
            more = event["more_body"]
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})
        self.ended.set()


class Transport(asyncio.Transport):
    """A transport to nowhere."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.sent = b""

    def write(self, data: Any) -> None:
        self.sent += data

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass


def connected(application: Application) -> tuple[Connection, Transport]:
    worker = SimpleNamespace(
        cfg=Config(),
        log=Mock(access_log_enabled=False),
        asgi=application,
        loop=asyncio.get_running_loop(),
        nr_conns=0,
        nr=0,
        max_requests=10,
        alive=True,
        state={},
        silent={},
        head_s=60.0,
        stall_s=60.0,
        connection_limit=10,
        make_room=lambda: True,
    )
    connection, transport = Connection(worker), Transport()
    connection.connection_made(transport)
    return connection, transport


async def received(*reads: bytes) -> list[bytes]:
    """Return the pieces of a body that an application gets of what was read from a socket."""
    application = Application()
    connection, _ = connected(application)
    for data in reads:
        connection.data_received(data)
    await application.ended.wait()
    return [piece for piece in application.pieces if piece]


@pytest.mark.parametrize("is_ended", [True, False], ids=["whole", "in two reads"])
def test_chunks_of_one_read_are_one_piece_for_the_application(is_ended: bool) -> None:
    body = HEAD % b"chunked" + b"1\r\nx\r\n" * COUNT
    reads = [body + END] if is_ended else [body, END]
    assert asyncio.run(asyncio.wait_for(received(*reads), 60)) == [b"x" * COUNT]


@pytest.mark.parametrize("coding", [b"gzip, chunked", b"gzip\r\nTransfer-Encoding: chunked"])
def test_coding_that_nobody_undoes_is_refused(coding: bytes) -> None:
    async def sent() -> bytes:
        application = Application()
        connection, transport = connected(application)
        connection.data_received(HEAD % coding + b"1\r\nx\r\n" + END)
        assert not application.pieces
        return transport.sent

    assert asyncio.run(sent()).startswith(b"HTTP/1.1 501 ")


class Listening(WebWorker):
    """A web worker that counts, once it serves, how many clients may wait in its queue."""

    taken = 0

    def notify(self) -> None:
        super().notify()
        address = self.sockets[0].sock.getsockname()
        with contextlib.ExitStack() as waiting, contextlib.suppress(BlockingIOError):
            while self.taken < QUEUE:  # nobody takes them up meanwhile
                client = waiting.enter_context(socket.socket(socket.AF_UNIX))
                client.setblocking(False)
                client.connect(address)
                self.taken += 1
        raise asyncio.CancelledError  # it is to stop


def test_as_many_clients_wait_as_are_configured(tmp_path: Path) -> None:
    async def taken() -> int:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(tmp_path / "s"))
            listener.listen(QUEUE)
            configured = Config()
            configured.set("asgi_lifespan", "off")
            worker = Listening(
                1, os.getppid(), [Mock(sock=listener)], Mock(), 60, configured, Mock()
            )
            worker.loop = asyncio.get_running_loop()
            await worker._serve()
            worker.tmp.close()
            return worker.taken

    most = int(Path("/proc/sys/net/core/somaxconn").read_text())
    assert asyncio.run(asyncio.wait_for(taken(), 60)) >= min(QUEUE, most)
