"""A web worker whose clients are slow, silent, many or rude."""

from __future__ import annotations

import contextlib
import json
import re
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.served import Served, served
from tests.support.waiting import eventually

MAX_CONNECTIONS = 20
MAX_BODY_BYTES = 1 << 20
HEAD = "Host: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    limits = {
        "JOBX_HTTP_MAX_CONNECTIONS": str(MAX_CONNECTIONS),
        "JOBX_HTTP_MAX_BODY_BYTES": str(MAX_BODY_BYTES),
        "JOBX_HTTP_HEAD_S": "3",
        "JOBX_HTTP_BODY_S": "3",
    }
    with served(tmp_path_factory.mktemp("connections") / "d", **limits) as one:
        yield one


def connected(one: Served) -> socket.socket:
    return socket.create_connection(("127.0.0.1", one.port), timeout=60)


def answered(client: socket.socket) -> tuple[int, str]:
    """Return the status and the code of the problem that comes before the end."""
    answer = bytearray()
    while piece := client.recv(1 << 16):
        answer += piece
    head, _, body = bytes(answer).partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["code"]


def sent(one: Served, text: str) -> tuple[int, str]:
    with connected(one) as client:
        client.sendall(text.encode())
        return answered(client)


def test_silent_connection_is_closed(serving: Served) -> None:
    with connected(serving) as client, contextlib.suppress(ConnectionResetError):
        assert client.recv(1) == b""


def test_head_that_does_not_end_is_a_problem(serving: Served) -> None:
    assert sent(serving, "GET /health/live HTTP/1.1\r\nHost: loc") == (408, "head-too-slow")


def test_body_that_does_not_end_is_a_problem(serving: Served) -> None:
    text = f"POST /workflow HTTP/1.1\r\n{HEAD}Content-Length: 10\r\n\r\n{{"
    assert sent(serving, text) == (408, "body-too-slow")


def test_client_that_sends_no_more_gets_its_answer(serving: Served) -> None:
    text = f"POST /workflow HTTP/1.1\r\n{HEAD}Content-Length: 2\r\n\r\n{{}}"
    with connected(serving) as client:
        client.sendall(text.encode())
        client.shutdown(socket.SHUT_WR)
        assert answered(client) == (400, "invalid-input")


def test_half_a_body_is_the_end(serving: Served) -> None:
    text = f"POST /workflow HTTP/1.1\r\n{HEAD}Content-Length: 20\r\n\r\n{{}}"
    with connected(serving) as client:
        client.sendall(text.encode())
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""


@pytest.mark.parametrize("expect", ["", "Expect: 100-continue\r\n"])
@pytest.mark.parametrize(
    ("target", "more", "problem"),
    [
        ("/workflow", f"Content-Length: {MAX_BODY_BYTES + 1}\r\n", (413, "too-large")),
        ("/nowhere", "Content-Length: 9\r\n", (404, "no-route")),
        ("/health/live", "Content-Length: 9\r\n", (405, "method-not-allowed")),
        ("/workflow", "Content-Length: 9\r\nOrigin: http://a.example\r\n", (403, "foreign-origin")),
    ],
)
def test_what_the_head_gives_away_is_answered_before_the_body(
    target: str, more: str, problem: tuple[int, str], expect: str, serving: Served
) -> None:
    text = f"POST {target} HTTP/1.1\r\n{HEAD}{more}{expect}\r\n"
    assert sent(serving, text) == problem


def test_body_is_asked_for_when_it_may_come(serving: Served) -> None:
    with connected(serving) as client:
        head = f"POST /workflow HTTP/1.1\r\n{HEAD}Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        client.sendall(head.encode())
        assert client.recv(1 << 16) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"{}")
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 400 ")


def test_body_comes_whole_in_whatever_pieces(serving: Served) -> None:
    body = json.dumps({"arguments": {"text": "0123456789" * 60_000}}).encode()
    head = f"POST /job/no/no HTTP/1.1\r\n{HEAD}Content-Length: {len(body)}\r\n\r\n".encode()
    following = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    text = head + body + following
    with connected(serving) as client:
        for at in range(0, len(text), 70_001):
            client.sendall(text[at : at + 70_001])
        answers = bytearray()
        while piece := client.recv(1 << 16):
            answers += piece
    # It can only be that the job is not found where the body is the JSON that was sent.
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"404", b"200"]


def test_refusal_can_be_read_though_the_body_came_all_the_same(serving: Served) -> None:
    size = 8 * MAX_BODY_BYTES
    with connected(serving) as client:
        head = f"POST /workflow HTTP/1.1\r\n{HEAD}Content-Length: {size}\r\n\r\n"
        client.sendall(head.encode())
        client.sendall(b" " * size)
        assert answered(client) == (413, "too-large")


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("GET / HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\nConnection: close\r\n\r\n", 400),
        ("nonsense\r\n\r\n", 400),
        (f"POST / HTTP/1.1\r\n{HEAD}Content-Length: {'9' * 5000}\r\n\r\n", 400),
        (f"POST / HTTP/1.1\r\n{HEAD}Content-Length: \u00b2\r\n\r\n", 400),
        (f"POST / HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (f"GET /{'x' * 9000} HTTP/1.1\r\n{HEAD}\r\n", 414),
        (f"GET / HTTP/1.1\r\n{HEAD}X: {'x' * 9000}\r\n\r\n", 431),
        (f"GET / HTTP/1.1\r\n{HEAD}" + f"X: {'x' * 8000}\r\n" * 20, 431),
        ("GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", 421),
    ],
)
def test_malformed_head_is_a_problem(text: str, status: int, serving: Served) -> None:
    with connected(serving) as client:
        client.sendall(text.encode())
        assert answered(client)[0] == status


@pytest.mark.parametrize("target", ["/health/live", "/workflow"])
def test_silent_connections_make_room(target: str, serving: Served) -> None:
    with contextlib.ExitStack() as silent:
        for _ in range(5 * MAX_CONNECTIONS):
            silent.enter_context(connected(serving))
        assert serving.ask("GET", target, None, 60, {}).status == 200


def test_connections_at_work_leave_room_for_health(serving: Served) -> None:
    head = f"POST /workflow HTTP/1.1\r\n{HEAD}Content-Length: 10\r\n\r\n{{"

    def is_full() -> bool:
        """Whether others are refused; who is at work is cut off in time, so it is begun anew."""
        with contextlib.ExitStack() as working:
            for _ in range(MAX_CONNECTIONS):
                client = working.enter_context(connected(serving))
                with contextlib.suppress(ConnectionError):  # it is full already
                    client.sendall(head.encode())
            is_refused = serving.ask("GET", "/workflow", None, 60, {}).status == 503
            assert serving.ask("GET", "/health/live", None, 60, {}).status == 200
            return is_refused

    eventually(is_full)
    eventually(lambda: serving.ask("GET", "/workflow", None, 60, {}).status == 200)


def test_web_worker_may_open_more_files_than_it_was_started_with(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, before[1]))
    try:
        with served(tmp_path / "d") as one:
            (worker,) = one.web_workers()
            limits = Path(f"/proc/{worker}/limits").read_text()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    (files,) = [line.split() for line in limits.splitlines() if line.startswith("Max open files")]
    assert int(files[3]) == min(10_000 + 64 + 256, int(files[4]))
