"""The clients of nsqd with servers that do not behave as nsqd does."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from jobx.actors.bridge.nsq import clients, connection
from jobx.actors.bridge.nsq.clients import Publisher, Server, Subscriber
from jobx.actors.bridge.nsq.connection import Access
from tests.support.nsq_ends import PLAIN, TOPIC, any_of, ends
from tests.support.waiting import eventually_soon


class Impostor:
    """A server of a test's own.

    Attributes:
        heard: All that clients sent.
        opened: Number of connections so far.
    """

    def __init__(self, answer: Callable[[asyncio.StreamWriter], None]) -> None:
        self.heard = b""
        self.opened = self.open_now = 0
        self._answer = answer
        self._meetings: set[asyncio.Task[None]] = set()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        self.open_now += 1
        try:
            self._answer(writer)
            while chunk := await reader.read(1 << 16):
                self.heard += chunk
        except OSError:
            pass
        finally:
            self.open_now -= 1
            writer.close()

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._meetings.add(asyncio.create_task(self._meet(reader, writer)))

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[Server]:
        server = await asyncio.start_server(self._begin, "127.0.0.1", 0)
        try:
            yield Server(*server.sockets[0].getsockname())
        finally:
            server.close()
            await asyncio.gather(*self._meetings)


def frame(kind: int, body: bytes) -> bytes:
    return struct.pack(">ll", len(body) + 4, kind) + body


IDENTIFIED = frame(0, b'{"max_rdy_count": 2500}')


def test_nsqd_is_asked_not_to_hold_messages_back() -> None:
    async def test() -> dict[str, Any]:
        impostor = Impostor(lambda _: None)
        async with impostor.serve() as server, ends(server):
            await eventually_soon(lambda: impostor.heard.endswith(b"}"))
        _, _, identify = impostor.heard.partition(b"IDENTIFY\n")
        (size,) = struct.unpack(">l", identify[:4])
        asked: dict[str, Any] = json.loads(identify[4 : 4 + size])
        return asked

    assert asyncio.run(test())["output_buffer_size"] == -1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "the handshake took longer"),
        (struct.pack(">l", 1 << 30), "it announced a frame of 1073741824 bytes"),
        (struct.pack(">l", -1), "it announced a frame of -1 bytes"),
        (frame(0, b"[]"), "list"),
        (frame(7, b"{}") + frame(0, b"}"), "failed to parse IDENTIFY response"),
    ],
)
def test_a_server_that_makes_no_sense_is_left_and_tried_again(
    answer: bytes, reason: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if not answer:
        monkeypatch.setattr(connection, "HANDSHAKE_S", 0.2)

    async def test() -> None:
        impostor = Impostor(lambda writer: writer.write(answer))
        async with impostor.serve() as server:
            publisher = Publisher(server, PLAIN)
            await eventually_soon(lambda: any_of(reason, caplog) and impostor.opened > 2)
            publisher.close()

    with caplog.at_level(logging.WARNING):
        asyncio.run(test())


def test_a_server_that_falls_silent_in_the_handshake_of_tls_is_left_and_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "HANDSHAKE_S", 0.2)
    offered = frame(0, b'{"max_rdy_count": 2500, "tls_v1": true}')

    async def test() -> None:
        impostor = Impostor(lambda writer: writer.write(offered))
        async with impostor.serve() as server:
            publisher = Publisher(server, Access(ssl.create_default_context()))
            await eventually_soon(lambda: impostor.opened > 2)
            publisher.close()

    asyncio.run(test())


def test_a_client_never_has_two_connections() -> None:
    async def test() -> None:
        most = 0
        impostor = Impostor(lambda writer: writer.close())
        async with impostor.serve() as server:
            publisher = Publisher(server, PLAIN)

            def has_tried() -> bool:
                nonlocal most
                most = max(most, impostor.open_now)
                return impostor.opened > 5

            await eventually_soon(has_tried)
            publisher.close()
        assert most <= 1

    asyncio.run(test())


def test_an_error_that_nsqd_reports_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        failed = frame(1, b"E_FIN_FAILED FIN 1 failed ID not in flight")
        impostor = Impostor(lambda writer: writer.write(IDENTIFIED + failed))
        async with impostor.serve() as server:
            publisher = Publisher(server, PLAIN)
            await eventually_soon(lambda: any_of("E_FIN_FAILED", caplog))
            assert publisher.is_ready
            publisher.close()

    asyncio.run(test())


@pytest.mark.parametrize("client", ["publisher", "subscriber"])
def test_a_server_that_refuses_again_and_again_is_named_once(
    client: str, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(writer: asyncio.StreamWriter) -> None:
        writer.write(IDENTIFIED + frame(1, b"E_INVALID cannot PUB (TLS required)"))
        asyncio.get_running_loop().call_later(0.05, writer.close)

    async def test() -> None:
        impostor = Impostor(refuse)
        async with impostor.serve() as server:
            one = (
                Publisher(server, PLAIN)
                if client == "publisher"
                else Subscriber(server, PLAIN, TOPIC, lambda _: None)
            )
            await eventually_soon(lambda: impostor.opened > 3)
            assert one._tries >= 3  # so the next tries come later and later
            one.close()

    with caplog.at_level(logging.INFO):
        asyncio.run(test())
    told = [text for record in caplog.records if "nsqd" in (text := record.getMessage())]
    assert [text.partition(": ")[2] for text in told] == ["E_INVALID cannot PUB (TLS required)"]


def test_a_publisher_trusts_a_server_that_holds_after_a_publication(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(clients, "STEADY_S", 0.01)

    def refuse_first(writer: asyncio.StreamWriter) -> None:
        if impostor.opened == 1:
            writer.close()
        else:
            writer.write(IDENTIFIED)

    impostor = Impostor(refuse_first)

    async def test() -> None:
        async with impostor.serve() as server:
            publisher = Publisher(server, PLAIN)
            await eventually_soon(lambda: publisher.is_ready)
            await asyncio.sleep(0.1)
            assert not any_of("is there", caplog)
            publisher.publish(TOPIC, b"hello")
            await eventually_soon(lambda: any_of("is there", caplog))
            publisher.close()

    with caplog.at_level(logging.INFO):
        asyncio.run(test())


def test_what_is_sent_just_before_the_end_leaves() -> None:
    async def test() -> None:
        impostor = Impostor(lambda writer: writer.write(IDENTIFIED))
        async with impostor.serve() as server:
            publisher = Publisher(server, PLAIN)
            await eventually_soon(lambda: publisher.is_ready)
            publisher.publish(TOPIC, b"the last one")
            publisher.close()
            await eventually_soon(lambda: b"the last one" in impostor.heard)

    asyncio.run(test())


def test_a_publisher_waits_for_answers_for_a_limited_time() -> None:
    async def test() -> int:
        impostor = Impostor(lambda writer: writer.write(IDENTIFIED))
        async with impostor.serve() as server:
            publisher = Publisher(server, PLAIN)
            await eventually_soon(lambda: publisher.is_ready)
            publisher.publish(TOPIC, b"never answered")
            await publisher.finish(0.05)
            unanswered = publisher.unanswered
            publisher.close()
            await publisher.finish(60.0)
        return unanswered

    assert asyncio.run(test()) == 1
