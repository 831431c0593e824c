"""A real gunicorn in front of a gateway that is served by a thread of the test."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_node import FakeNode, gateway_thread
from tests.support.ports import free_port
from tests.support.waiting import eventually

#: Longer than any answer takes.
DRAIN_S = 60.0
MAX_BODY_BYTES = 10_000
JSON = {"Content-Type": "application/json"}


class Web:
    """A running gunicorn and the node behind it."""

    def __init__(self, node: FakeNode, loop: asyncio.AbstractEventLoop, port: int = 0) -> None:
        self.node = node
        self.loop = loop
        self.port = port
        self.process: subprocess.Popen[bytes]

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        connection = self.connect()
        with contextlib.closing(connection):
            connection.request(method, path, body and json.dumps(body), {**JSON, **headers})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def is_up(self) -> bool:
        with contextlib.suppress(ConnectionError):
            return bool(self.ask("GET", "/health/ready")[0] == 200)
        return False

    def post_slow(self) -> http.client.HTTPConnection:
        """Return a connection on which the answer to a slow job is awaited."""
        before = self.node.count("submit")
        connection = self.connect()
        connection.request("POST", "/job/texts/slow", "{}", JSON)
        eventually(lambda: self.node.count("submit") > before)
        return connection

    def release(self) -> None:
        self.loop.call_soon_threadsafe(self.node.release, [("k", 1)])


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    with listening(tmp_path) as web:
        yield web


@contextlib.contextmanager
def listening(tmp_path: Path, **limits: str) -> Iterator[Web]:
    """Run a gunicorn on a port."""
    port = free_port()
    limits |= {
        "JOBX_HTTP_BIND": f"127.0.0.1:{port}",
        "JOBX_HTTP_MAX_BODY_BYTES": str(MAX_BODY_BYTES),
    }
    with running(tmp_path, limits) as web:
        web.port = port
        eventually(web.is_up)
        yield web


@contextlib.contextmanager
def running(tmp_path: Path, limits: dict[str, str]) -> Iterator[Web]:
    """Run a gunicorn with settings of its own; it may not answer yet."""
    node = FakeNode()
    settings = {
        "JOBX_NODE_DATA_DIR": str(tmp_path),
        "JOBX_NODE_DRAIN_S": str(DRAIN_S),
        **limits,
    }
    command = [sys.executable, "-m", "gunicorn", "-c", "python:jobx.http.gunicorn_conf"]
    command += ["--asgi-disconnect-grace-period", "0"]  # the hardest on handlers
    with gateway_thread(node, tmp_path / "gateway.sock") as loop:
        web = Web(node, loop)
        web.process = subprocess.Popen(
            [*command, "jobx.http.asgi:create()"], env={**os.environ, **settings}
        )
        try:
            yield web
        finally:
            web.process.send_signal(signal.SIGQUIT)
            web.process.wait(60)


def test_post_is_answered(web: Web) -> None:
    status, headers, body = web.ask("POST", "/job/texts/count", {"arguments": {"text": "b a"}})
    assert (status, json.loads(body)) == (200, {"result": {"pairs": [["a", 1], ["b", 1]]}})
    assert headers["X-MR-REQUEST-ID"]


def test_large_result_is_streamed_whole(web: Web) -> None:
    body = {"arguments": {"count": 200_000}}
    status, headers, text = web.ask("POST", "/job/texts/pairs", body)
    assert (status, headers["Transfer-Encoding"]) == (200, "chunked")
    assert [pair[0] for pair in json.loads(text)["result"]["pairs"]] == list(range(200_000))


def test_client_that_leaves_does_not_cancel_its_request(web: Web) -> None:
    web.post_slow().close()
    request_id = web.node.last("submit").request_id
    web.release()
    status, _, _ = web.ask("GET", f"/request/texts/{request_id}/result", Prefer="wait=60")
    assert (status, web.node.count("request.cancel")) == (200, 0)


def test_body_over_the_limit_is_refused_by_its_announcement(web: Web) -> None:
    status, _, body = web.ask("POST", "/job/texts/count", {"a": "x" * MAX_BODY_BYTES})
    assert (status, json.loads(body)["code"]) == (413, "too-large")


def test_chunked_body_over_the_limit_is_refused_before_its_end(web: Web) -> None:
    head = b"POST /job/texts/count HTTP/1.1\r\nHost: localhost\r\n"
    head += b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"1000\r\n" + b" " * 4096 + b"\r\n"
    with socket.create_connection(("127.0.0.1", web.port), timeout=60) as client:
        client.sendall(head + chunk * 3)
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 413 ")


def test_many_clients_wait_in_one_worker(web: Web) -> None:
    waiting = [web.post_slow() for _ in range(50)]
    web.release()
    assert [one.getresponse().status for one in waiting] == [200] * 50
    for one in waiting:
        one.close()


def test_stopping_worker_lets_answers_come(web: Web) -> None:
    answered = web.post_slow()
    web.process.send_signal(signal.SIGTERM)
    web.release()
    assert answered.getresponse().status == 200
    answered.close()
    web.process.wait(60)


def test_wait_that_outlasts_the_drain_gets_a_location(tmp_path: Path) -> None:
    with listening(tmp_path, JOBX_NODE_DRAIN_S="1") as web:
        waiting = web.post_slow()
        web.process.send_signal(signal.SIGTERM)
        answer = waiting.getresponse()
        request_id = web.node.last("submit").request_id
        assert (answer.status, answer.headers["Location"]) == (202, f"/request/texts/{request_id}")
        waiting.close()
        assert web.process.wait(60) == 0


#: More than a Unix socket takes at once (net.core.wmem_default), by less than what pauses writing.
JUST_OVER_BYTES = 260_000


def test_answer_may_be_taken_later_than_a_head_must_come(tmp_path: Path) -> None:
    place = tmp_path / "web.sock"
    limits = {
        "JOBX_HTTP_BIND": f"unix:{place}",
        "JOBX_HTTP_HEAD_S": "2",
        "JOBX_HTTP_STALL_S": "60",
    }
    with running(tmp_path, limits), contextlib.ExitStack() as stack:
        eventually(lambda: listens(place))
        arguments = {"count": JUST_OVER_BYTES // 1000, "value": "x" * 1000}
        body = json.dumps({"arguments": arguments}).encode()
        head = b"POST /job/texts/pairs HTTP/1.1\r\nHost: localhost\r\n"
        head += b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        slow, silent = (stack.enter_context(connected(place)) for _ in range(2))
        slow.sendall(head + body)
        assert slow.recv(100).startswith(b"HTTP/1.1 200 ")
        assert silent.recv(1) == b""
        later = stack.enter_context(connected(place))
        assert later.recv(1) == b""
        assert len(taken(slow)) > JUST_OVER_BYTES


def listens(place: Path) -> bool:
    with contextlib.suppress(FileNotFoundError, ConnectionRefusedError), connected(place):
        return True
    return False


def connected(place: Path) -> socket.socket:
    """Return a connection to a Unix socket."""
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(socket.socket(socket.AF_UNIX))
        client.settimeout(60)
        client.connect(str(place))
        stack.pop_all()
    return client


def taken(client: socket.socket) -> bytes:
    """Return what comes until the server closes."""
    parts = []
    while part := client.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)
