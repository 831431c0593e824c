from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jobx import frames
from jobx.actors.gateway.server import Gateway
from jobx.errors import (
    DeadlineExceeded,
    Draining,
    FrameError,
    InvalidInput,
    JobxError,
    NodeLost,
    NodeUnreachable,
    NotFound,
    Overloaded,
)
from jobx.http.node import connection
from jobx.http.node.client import NodeClient
from jobx.questions import (
    PROTOCOL,
    AwaitRequest,
    GetNode,
    GetRequest,
    Question,
    SubmitJob,
    decode_call,
    encode_answer,
    encode_error,
)
from jobx.views import Greeting, View
from tests.support.fake_node import VIEW, FakeGateway, FakeNode
from tests.support.waiting import eventually

SUBMIT = SubmitJob(workflow="texts", request_id="r1", job="slow", wait_s=20.0)
GET = GetRequest(workflow="texts", request_id="r1")
WAIT = AwaitRequest(workflow="texts", request_id="r1", wait_s=20.0)


def _after(wait_s: float) -> SubmitJob:
    return msgspec.structs.replace(SUBMIT, wait_s=wait_s)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.sock"


@contextlib.asynccontextmanager
async def connected(path: Path) -> AsyncIterator[NodeClient]:
    client = NodeClient(path)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


@contextlib.asynccontextmanager
async def served(node: FakeNode, path: Path) -> AsyncIterator[FakeGateway]:
    gateway = FakeGateway(node, path)
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.kill()


async def until(predicate: Any) -> None:
    await asyncio.to_thread(eventually, predicate)


def run(scene: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scene, 60))


def test_answers_reach_their_callers_in_any_order(node: FakeNode, path: Path) -> None:
    async def scene() -> None:
        async with served(node, path) as gateway, connected(path) as client:
            slow = asyncio.create_task(client.attend(SUBMIT))
            await until(lambda: node.count("submit"))
            views = await asyncio.gather(*(client.call(GET) for _ in range(50)))
            assert {view.state for view in views} == {"running"}
            node.release([("k", 1)])
            assert (await slow).request.state == "succeeded"
            assert len(gateway._connections) == 1

    run(scene())


def test_error_of_the_node_is_raised_as_it_was(node: FakeNode, path: Path) -> None:
    async def scene() -> None:
        async with served(node, path), connected(path) as client:
            with pytest.raises(NotFound, match="there is no request named texts/r1"):
                await client.call(GET)

    run(scene())


def test_call_without_a_node_fails_at_its_deadline(path: Path) -> None:
    async def scene() -> None:
        async with connected(path) as client:
            with pytest.raises(NodeUnreachable, match="No such file"):
                await client.call(GetNode(), 0.5)

    run(scene())


def test_call_to_a_node_that_comes_in_time_succeeds(node: FakeNode, path: Path) -> None:
    async def scene() -> None:
        async with connected(path) as client:
            calling = asyncio.create_task(client.call(GetNode()))
            await asyncio.sleep(0)
            async with served(node, path):
                assert (await calling).node_id == "fake"

    run(scene())


def test_call_that_is_not_answered_fails_at_its_deadline(node: FakeNode, path: Path) -> None:
    async def scene() -> None:
        async with served(node, path), connected(path) as client:
            await client.attend(_after(0.0))
            with pytest.raises(DeadlineExceeded, match="wait took longer"):
                await client.call(WAIT, 0.05)

    run(scene())


def test_lost_connection_fails_a_call_at_once(node: FakeNode, path: Path) -> None:
    async def scene() -> None:
        async with served(node, path) as gateway, connected(path) as client:
            await client.attend(_after(0.0))
            waiting = asyncio.create_task(client.call(WAIT))
            await until(lambda: node.count("wait"))
            await gateway.kill()
            with pytest.raises(NodeLost, match="went away"):
                await waiting

    run(scene())


def test_submit_survives_a_killed_node_under_the_same_id(node: FakeNode, path: Path) -> None:
    async def scene() -> None:
        async with connected(path) as client:
            async with served(node, path):
                submitting = asyncio.create_task(client.attend(SUBMIT))
                await until(lambda: node.count("submit") == 1)
            again = FakeNode()
            async with served(again, path):
                await until(lambda: again.count("submit") == 1)
                again.release([("k", 1)])
                assert (await submitting).request.state == "succeeded"
        first, second = node.last("submit"), again.last("submit")
        assert first.request_id == second.request_id
        assert second.wait_s < first.wait_s
        assert (first.was_sent, second.was_sent) == (False, True)

    run(scene())


def test_submit_gives_up_when_the_node_stays_away_longer_than_the_wait(
    node: FakeNode, path: Path
) -> None:
    async def scene() -> None:
        async with connected(path) as client:
            async with served(node, path):
                submitting = asyncio.create_task(client.attend(_after(2.0)))
                await until(lambda: node.count("submit") == 1)
            with pytest.raises(NodeLost):
                await submitting

    run(scene())


def test_cancelled_caller_does_not_take_its_submit_back(node: FakeNode, path: Path) -> None:
    async def scene() -> None:
        async with connected(path) as client:
            submitting = asyncio.create_task(client.attend(SUBMIT))
            await asyncio.sleep(0)
            submitting.cancel()
            await asyncio.wait([submitting])
            async with served(node, path):
                await until(lambda: node.count("submit") == 1)

    run(scene())


def test_submit_whose_caller_was_cancelled_survives_a_killed_node(
    node: FakeNode, path: Path
) -> None:
    async def scene() -> None:
        async with connected(path) as client:
            async with served(node, path):
                submitting = asyncio.create_task(client.attend(SUBMIT))
                await until(lambda: node.count("submit") == 1)
                submitting.cancel()
                await asyncio.wait([submitting])
            again = FakeNode()
            async with served(again, path):
                await until(lambda: again.count("submit") == 1)
        assert again.last("submit").request_id == node.last("submit").request_id

    run(scene())


def test_answer_to_a_cancelled_caller_is_dropped(node: FakeNode, path: Path) -> None:
    async def scene() -> None:
        async with served(node, path), connected(path) as client:
            submitting = asyncio.create_task(client.attend(SUBMIT))
            await until(lambda: node.count("submit") == 1)
            submitting.cancel()
            await asyncio.wait([submitting])
            node.release([("k", 1)])
            assert (await client.call(GET)).state == "succeeded"

    run(scene())


def test_closed_client_leaves_nobody_waiting(node: FakeNode, path: Path) -> None:
    async def scene() -> None:
        async with served(node, path):
            async with connected(path) as client:
                waiting = asyncio.create_task(client.attend(SUBMIT))
                await until(lambda: node.count("submit") == 1)
            with pytest.raises(NodeLost):
                await waiting

    run(scene())


def test_cut_wait_learns_how_its_request_stands(node: FakeNode, path: Path) -> None:
    async def scene() -> None:
        async with served(node, path), connected(path) as client:
            submitting = asyncio.create_task(client.attend(SUBMIT))
            await until(lambda: node.count("submit") == 1)
            client.cut_waits()
            assert (await submitting).request.state == "running"
            assert (node.count("submit"), node.last("submit").wait_s) == (2, 0.0)

    run(scene())


def test_cut_wait_for_a_node_that_is_away_ends(path: Path) -> None:
    async def scene() -> None:
        async with connected(path) as client:
            submitting = asyncio.create_task(client.attend(SUBMIT))
            await asyncio.sleep(0)
            client.cut_waits()
            with pytest.raises(NodeUnreachable):
                await submitting

    run(scene())


@pytest.mark.parametrize(
    ("hello", "reason"),
    [
        (encode_answer(0, Greeting(protocol=99)), f"it speaks protocol 99, not {PROTOCOL}"),
        (b"\xff\xff\xff\xff", "a frame of 4294967295 bytes"),
        (encode_error(0, Draining("stopping")), "stop"),
    ],
    ids=["protocol", "garbage", "error"],
)
def test_wrong_hello_is_said(
    path: Path, caplog: pytest.LogCaptureFixture, hello: bytes, reason: str
) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(hello)
        writer.close()

    async def scene() -> None:
        async with await asyncio.start_unix_server(greet, str(path)), connected(path) as client:
            with pytest.raises(NodeUnreachable, match=reason):
                await client.call(GetNode(), 1.0)

    run(scene())


HELLO = encode_answer(0, Greeting(protocol=PROTOCOL, pid=7))


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (frames.with_head(b"\x91\x01"), JobxError),
        (frames.with_head(b"\x92\x01\x81\xa7request\x05"), FrameError),
        (frames.with_head(b"\x92\x01\xc1"), FrameError),  # what msgpack never uses
        (frames.with_head(b"\x93\x01\xc0\x81\xa1a\xa1\xff"), FrameError),  # no UTF-8
        (frames.with_head(b"\x93\x01\xc0\x81\xa1a\xd4\x02x"), FrameError),  # no decimal
    ],
    ids=["empty", "other", "damaged", "text", "decimal"],
)
def test_reply_that_is_none_is_an_error_of_ours(
    path: Path, reply: bytes, error: type[JobxError], caplog: pytest.LogCaptureFixture
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        decoder, asked = frames.FrameDecoder(), 0
        while chunk := await reader.read(1 << 16):
            for _ in decoder.bodies(chunk):
                writer.write(reply if asked else HELLO)
                asked += 1
        writer.close()

    async def scene() -> None:
        async with await asyncio.start_unix_server(serve, str(path)), connected(path) as client:
            with pytest.raises(error):
                await client.attend(_after(2.0))

    run(scene())
    assert "asyncio" not in {record.name for record in caplog.records}


def test_too_many_calls_are_refused(
    node: FakeNode, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "MAX_CALLS", 1)

    async def scene() -> None:
        async with served(node, path), connected(path) as client:
            submitting = asyncio.create_task(client.attend(SUBMIT))
            await until(lambda: node.count("submit") == 1)
            with pytest.raises(Overloaded):
                await client.call(GetNode())
            node.release([])
            await submitting

    run(scene())


def test_a_reply_that_cannot_be_read_is_an_error_of_its_call_alone(path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        decoder = frames.FrameDecoder()
        while chunk := await reader.read(1 << 16):
            for number, _ in map(decode_call, decoder.bodies(chunk)):
                bad = frames.with_head(b"\x92\x01\xc1")
                writer.write((HELLO, bad)[number] if number < 2 else encode_answer(number, VIEW))
        writer.close()

    async def scene() -> None:
        async with await asyncio.start_unix_server(serve, str(path)), connected(path) as client:
            await until(lambda: client._connection is not None)
            asked = [client.call(GetNode(), 5) for _ in range(3)]
            answers = await asyncio.gather(*asked, return_exceptions=True)
            assert isinstance(answers[0], FrameError)
            assert answers[1:] == [VIEW] * 2

    run(scene())


def test_a_frame_that_the_node_cannot_read_is_an_error_of_its_caller(path: Path) -> None:
    async def answer(_: Question[Any]) -> View:
        return VIEW

    async def scene() -> None:
        gateway = Gateway(path, "n", answer)
        await gateway.start()
        try:
            async with connected(path) as client:
                context = {"n": msgspec.msgpack.Ext(99, b"x")}
                with pytest.raises(InvalidInput, match="extension type 99"):
                    await client.attend(msgspec.structs.replace(SUBMIT, context=context))
                assert await client.call(GetNode()) == VIEW
        finally:
            await gateway.stop()

    run(scene())


def test_a_call_that_breaks_two_connections_is_an_error_and_not_sent_again(path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        decoder = frames.FrameDecoder()
        while chunk := await reader.read(1 << 16):
            for number, question in map(decode_call, decoder.bodies(chunk)):
                if isinstance(question, SubmitJob):
                    writer.close()
                    return
                writer.write(encode_answer(number, VIEW) if number else HELLO)
        writer.close()

    async def scene() -> None:
        async with await asyncio.start_unix_server(serve, str(path)), connected(path) as client:
            with pytest.raises(FrameError, match="each time submit was sent"):
                await client.attend(_after(300.0))
            assert await client.call(GetNode()) == VIEW

    run(scene())
