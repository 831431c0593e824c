from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

import jobx
from jobx import questions, values
from jobx.errors import DeadlineExceeded, InternalError, NodeLost, NodeUnreachable, NotFound
from jobx.frames import FrameSocket, with_head
from jobx.questions import (
    PROTOCOL,
    GetReadiness,
    GetRequest,
    Hello,
    Question,
    encode_answer,
    encode_error,
)
from jobx.tools.shared.gateway_client import GatewayClient
from jobx.views import Greeting, ReadinessView

#: The reply to a call by its number, None to close the connection.
Answer = Callable[[int, Question[Any]], bytes | None]
Serve = Callable[[Answer], Path]


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Serve]:
    """Serve one connection; None from ``answer`` closes it."""
    listener = socket.socket(socket.AF_UNIX)
    threads = []

    def attend(answer: Answer) -> None:
        frames = FrameSocket(listener.accept()[0])
        with closing(frames), suppress(OSError):  # a client may be gone before its answer
            while (body := frames.receive_body()) is not None:
                number, question = questions.decode_call(body)
                is_hello = isinstance(question, Hello)
                reply = _greet(question) if is_hello else answer(number, question)
                if reply is None:
                    break
                frames.send_bytes(reply)

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
            thread.join(60)


def test_client_greets_and_gives_the_answer_to_a_question(gateway: Serve) -> None:
    path = gateway(lambda number, _: encode_answer(number, ReadinessView(state="running")))

    with GatewayClient(path) as client:
        assert client.call(GetReadiness()) == ReadinessView(state="running")


def test_client_passes_over_answers_to_other_calls(gateway: Serve) -> None:
    seen: list[int] = []

    def late(number: int, _: Question[Any]) -> bytes:
        seen.append(number)
        return encode_answer(seen[0], ReadinessView(state="running"))

    with GatewayClient(gateway(late)) as client:
        client.call(GetReadiness())
        with pytest.raises(DeadlineExceeded):
            client.call(GetReadiness(), timeout_s=0.2)


def test_client_raises_the_error_of_the_node(gateway: Serve) -> None:
    path = gateway(lambda number, _: encode_error(number, NotFound("request", "w/r")))

    with GatewayClient(path) as client, pytest.raises(NotFound, match="w/r"):
        client.call(GetRequest(workflow="w", request_id="r"))


def test_client_gives_up_when_no_answer_comes_in_time(gateway: Serve) -> None:
    path = gateway(lambda *_: encode_answer(-1, ReadinessView(state="running")))

    with GatewayClient(path) as client, pytest.raises(DeadlineExceeded, match=r"node\.ready"):
        client.call(GetReadiness(), timeout_s=0.1)


def test_client_says_when_the_node_goes_away(gateway: Serve) -> None:
    path = gateway(lambda *_: None)

    with GatewayClient(path) as client, pytest.raises(NodeLost, match="closed"):
        client.call(GetReadiness())


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
    path = gateway(lambda number, _: with_head(values.pack([number, None, {"code": "new"}])))

    with GatewayClient(path) as client, pytest.raises(InternalError):
        client.call(GetReadiness())


def _greet(hello: Hello) -> bytes:
    assert hello == Hello(protocol=PROTOCOL, role="tools", version=jobx.__version__)
    return encode_answer(0, Greeting(protocol=PROTOCOL, node_id="n"))
