"""What slow readers of large answers leave of the memory of a web worker, and for how long."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.test_large_bodies import MIB, memory_bytes
from tests.support.authoring import WORKFLOW, define
from tests.support.served import Served, served
from tests.support.waiting import eventually

READERS = 60
RESULT_BYTES = 12 * MIB
LARGE = f"""
def handler(arguments):
    yield Return()
    for number in range(120):
        yield number, "x" * {RESULT_BYTES // 120}
"""
SMALL = LARGE.replace("range(120)", "range(40)").replace(str(RESULT_BYTES // 120), "4000")
KEEP = "def handler(key, values):\n    for value in values:\n        yield key, value\n"


@pytest.fixture
def serving(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    """Cuts readers off that take nothing for so many seconds."""
    stall_s = getattr(request, "param", 5)
    handlers = {"large": LARGE, "small": SMALL, "keep": KEEP}
    define(tmp_path / "d", handlers, {"large": ("large", "keep"), "small": ("small", "keep")})
    environ = {"JOBX_HTTP_ANSWERS_BYTES": str(8 * MIB), "JOBX_HTTP_STALL_S": str(stall_s)}
    with served(tmp_path / "d", **environ) as one:
        yield one


def ended(serving: Served) -> str:
    """Return the id of a request whose result is large."""
    posted = serving.post("large", {}, Prefer="respond-async")
    assert serving.get(posted.request_id, "/result", Prefer="wait=60").status == 200
    return posted.request_id


def reader(serving: Served, head: bytes, stack: contextlib.ExitStack) -> socket.socket:
    """Return a connection that has sent a head and takes next to nothing of what comes."""
    connection = stack.enter_context(socket.socket())
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(60)
    connection.connect(("127.0.0.1", serving.port))
    connection.sendall(head + b"Host: 127.0.0.1\r\n\r\n")
    return connection


def first_line(connection: socket.socket) -> bytes:
    """Return the status line, and take no more than a little."""
    return connection.recv(400).split(b"\r\n")[0]


def test_slow_readers_have_a_budget_and_a_time_limit(serving: Served) -> None:
    request_id = ended(serving)
    head = f"GET /request/{WORKFLOW}/{request_id}/result HTTP/1.1\r\n".encode()
    (worker,) = serving.web_workers()
    before = memory_bytes(worker, "VmRSS")
    with contextlib.ExitStack() as stack:
        readers = [reader(serving, head, stack) for _ in range(READERS)]
        lines = {first_line(one) for one in readers}
        assert lines == {b"HTTP/1.1 200 OK", b"HTTP/1.1 503 Service Unavailable"}
        assert memory_bytes(worker, "VmHWM") < before + 32 * MIB

        eventually(lambda: serving.get(request_id, "/result").status == 200, timeout_s=60)


@pytest.mark.parametrize("serving", [600], indirect=True)
def test_a_result_for_which_there_is_no_room_is_had_later(serving: Served) -> None:
    head = f"GET /request/{WORKFLOW}/{ended(serving)}/result HTTP/1.1\r\n".encode()
    with contextlib.ExitStack() as stack:
        for _ in range(READERS):
            first_line(reader(serving, head, stack))
        posted = serving.post("large", {})
        assert posted.status == 202
        assert posted.body["state"] == "succeeded"
        assert posted.headers["Location"] == f"/request/{WORKFLOW}/{posted.request_id}"


def test_a_connection_that_is_to_be_closed_is_though_its_client_takes_nothing(
    serving: Served,
) -> None:
    request_id = serving.post("small", {}, Prefer="respond-async").request_id
    assert len(serving.get(request_id, "/result", Prefer="wait=60").pairs) == 40
    path = f"/request/{WORKFLOW}/{request_id}/result"
    head = f"GET {path} HTTP/1.1\r\nConnection: close\r\n".encode()
    (worker,) = serving.web_workers()
    before = connections_of(worker)
    with contextlib.ExitStack() as stack:
        readers = [reader(serving, head, stack) for _ in range(READERS)]
        for one in readers:
            assert one.recv(1) == b"H"
        eventually(lambda: connections_of(worker) <= before, timeout_s=60)


def connections_of(pid: int) -> int:
    """Return how many sockets a process has."""
    found = 0
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            found += os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:")
    return found


def test_a_slow_reader_that_takes_enough_gets_all(serving: Served) -> None:
    head = f"GET /request/{WORKFLOW}/{ended(serving)}/result HTTP/1.0\r\n".encode()
    with contextlib.ExitStack() as stack:
        connection = reader(serving, head, stack)
        parts = []
        while part := connection.recv(1 << 16):
            parts.append(part)
        body = b"".join(parts).split(b"\r\n\r\n", 1)[1]
    assert len(json.loads(body)["result"]["pairs"]) == 120
