from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import jobx
from jobx.errors import DeadlineExceeded, InternalError, NodeLost, NodeUnreachable, NotFound
from jobx.frames import Frame, FrameSocket
from jobx.tools.shared.gateway_client import GatewayClient

Answer = Callable[[Frame], Frame | None]
Serve = Callable[[Answer], Path]


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Serve]:
    """Serve one connection; None from ``answer`` closes it."""
    listener = socket.socket(socket.AF_UNIX)
    threads = []

    def attend(answer: Answer) -> None:
        frames = FrameSocket(listener.accept()[0])
        while (frame := frames.receive()) is not None:
            reply = _hello(frame) if frame["verb"] == "hello" else answer(frame)
            if reply is None:
                break
            frames.send(reply)
        frames.close()

    def serve(answer: Answer) -> Path:
        path = tmp_path / "gateway.sock"
        listener.bind(str(path))
        listener.listen()
        threads.append(threading.Thread(target=attend, args=(answer,)))
        threads[0].start()
        return path

    with listener:
        yield serve
        for thread in threads:
            thread.join(10)


def test_client_greets_and_gives_the_answer_to_a_verb(gateway: Serve) -> None:
    path = gateway(lambda frame: {"id": frame["id"], "ok": {"echo": frame["body"]}})

    with GatewayClient(path) as client:
        assert client.call("x", {"n": 1}) == {"echo": {"n": 1}}


def test_client_passes_over_answers_to_other_calls(gateway: Serve) -> None:
    seen: list[int] = []

    def late(frame: Frame) -> Frame:
        seen.append(frame["id"])
        return {"id": seen[0], "ok": len(seen)}

    with GatewayClient(gateway(late)) as client:
        client.call("x", {})
        with pytest.raises(DeadlineExceeded):
            client.call("x", {}, timeout_s=0.2)


def test_client_raises_the_error_of_the_node(gateway: Serve) -> None:
    error = NotFound("request", "w/r")
    path = gateway(lambda frame: {"id": frame["id"], "error": error.to_wire()})

    with GatewayClient(path) as client, pytest.raises(NotFound, match="w/r"):
        client.call("request.get", {})


def test_client_gives_up_when_no_answer_comes_in_time(gateway: Serve) -> None:
    path = gateway(lambda frame: {"id": -1, "ok": None})

    with GatewayClient(path) as client, pytest.raises(DeadlineExceeded, match=r"node\.status"):
        client.call("node.status", {}, timeout_s=0.1)


def test_client_says_when_the_node_goes_away(gateway: Serve) -> None:
    path = gateway(lambda _: None)

    with GatewayClient(path) as client, pytest.raises(NodeLost, match="closed"):
        client.call("node.status", {})


def test_client_names_the_folder_that_no_node_runs_on(tmp_path: Path) -> None:
    with pytest.raises(NodeUnreachable, match=f"no node runs on {tmp_path}"):
        GatewayClient(tmp_path / "gateway.sock")


def test_client_finds_no_node_behind_a_socket_that_was_left(tmp_path: Path) -> None:
    path = tmp_path / "gateway.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))

    with pytest.raises(NodeUnreachable):
        GatewayClient(path)


def test_client_takes_an_error_that_is_none_as_a_fault(gateway: Serve) -> None:
    path = gateway(lambda frame: {"id": frame["id"], "error": {"code": "new", "args": []}})

    with GatewayClient(path) as client, pytest.raises(InternalError):
        client.call("x", {})


def _hello(frame: Frame) -> Frame:
    assert frame == {
        "id": 0,
        "verb": "hello",
        "body": {"protocol": 1, "role": "tools", "version": jobx.__version__},
    }
    return {"id": 0, "ok": {"protocol": 1, "node_id": "n", "version": "0"}}
