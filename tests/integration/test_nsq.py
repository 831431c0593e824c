"""Publishers and subscribers of NSQ: servers die, stand still, lie, or are somebody else."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from jobx.actors.bridge.nsq import clients, connection
from jobx.actors.bridge.nsq.clients import UNSENT_BYTES, Publisher, Server, Subscriber
from jobx.actors.bridge.nsq.connection import Access
from tests.support import nsq
from tests.support.waiting import eventually_soon

TOPIC = "jobx.w.n"
PLAIN = Access()


def server_of(nsqd: nsq.Nsqd) -> Server:
    return Server("127.0.0.1", nsqd.port)


@pytest.fixture(params=nsq.KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def nsqd(kind: str, tmp_path: Path) -> Iterator[nsq.Nsqd]:
    with nsq.running(kind, tmp_path) as server:
        yield server


class Ends:
    """A publisher and a subscriber of one topic."""

    def __init__(self, server: Server, access: Access = PLAIN) -> None:
        self.got: list[bytes] = []
        self.opened: list[str] = []
        hear = self.opened.append
        self.subscriber = Subscriber(
            server, access, TOPIC, self.got.append, lambda: hear("subscriber")
        )
        self.publisher = Publisher(server, access, lambda: hear("publisher"))

    async def pass_on(self, body: bytes) -> None:
        """Wait until a message arrives; it is sent until then."""

        def has_come() -> bool:
            self.publisher.publish(TOPIC, body)
            return body in self.got

        await eventually_soon(has_come)

    async def close(self) -> None:
        self.subscriber.close()
        self.publisher.close()
        await asyncio.sleep(0)


@asynccontextmanager
async def ends(server: Server, access: Access = PLAIN) -> AsyncIterator[Ends]:
    both = Ends(server, access)
    try:
        yield both
    finally:
        await both.close()


def test_messages_flow_again_when_nsqd_is_back(nsqd: nsq.Nsqd) -> None:
    async def test() -> None:
        async with ends(server_of(nsqd)) as both:
            await both.pass_on(b"before")
            nsqd.kill()
            await eventually_soon(lambda: not both.publisher.is_ready)
            both.opened.clear()
            nsqd.start()
            await both.pass_on(b"after")
            assert sorted(both.opened) == ["publisher", "subscriber"]

    asyncio.run(test())


def test_messages_flow_when_nsqd_starts_last(kind: str, tmp_path: Path) -> None:
    async def test(nsqd: nsq.Nsqd) -> None:
        async with ends(server_of(nsqd)) as both:
            await asyncio.sleep(0.2)
            nsqd.start()
            await both.pass_on(b"hello")

    with nsq.running(kind, tmp_path) as nsqd:
        nsqd.kill()
        asyncio.run(test(nsqd))


def test_a_server_that_stands_still_is_noticed(nsqd: nsq.Nsqd) -> None:
    async def test() -> None:
        async with ends(server_of(nsqd)) as both:
            await both.pass_on(b"before")
            nsqd.signal(signal.SIGSTOP)
            await eventually_soon(lambda: not both.publisher.is_ready)
            await eventually_soon(lambda: not both.subscriber.is_ready)
            nsqd.signal(signal.SIGCONT)
            await both.pass_on(b"after")

    asyncio.run(test())


def test_a_publisher_without_a_connection_drops_and_counts(nsqd: nsq.Nsqd) -> None:
    async def test() -> None:
        publisher = Publisher(server_of(nsqd), PLAIN)
        publisher.publish(TOPIC, b"too early")
        assert publisher.dropped == 1
        publisher.close()

    asyncio.run(test())


def test_a_publisher_keeps_a_limited_number_of_bytes(nsqd: nsq.Nsqd) -> None:
    async def test() -> None:
        publisher = Publisher(server_of(nsqd), PLAIN)
        await eventually_soon(lambda: publisher.is_ready)
        for _ in range(UNSENT_BYTES // (1 << 19) + 10):
            publisher.publish(TOPIC, bytes(1 << 19))
        assert publisher.dropped > 0
        publisher.close()

    asyncio.run(test())


class Pki:
    """Certificates of a server, and of an authority that nobody knows."""

    def __init__(self, folder: Path) -> None:
        self.authority, self.other = trustme.CA(), trustme.CA()
        self.folder = folder

    def files(self, name: str) -> tuple[Path, Path]:
        """Return certificate and key of a host."""
        issued = self.authority.issue_cert(name)
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        issued.cert_chain_pems[0].write_to_path(str(certificate))
        issued.private_key_pem.write_to_path(str(key))
        return certificate, key

    def access(self, authority: trustme.CA) -> Access:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        authority.configure_trust(context)
        return Access(context)


def test_messages_travel_in_tls(kind: str, tmp_path: Path) -> None:
    pki = Pki(tmp_path)

    async def test(nsqd: nsq.Nsqd) -> None:
        async with ends(server_of(nsqd), pki.access(pki.authority)) as both:
            await both.pass_on(b"hello")

    with nsq.running(kind, tmp_path, *nsq.tls_flags(kind, *pki.files("127.0.0.1"))) as nsqd:
        asyncio.run(test(nsqd))


@pytest.mark.parametrize(
    ("host", "is_known", "reason"),
    [
        ("localhost.example", True, "Hostname mismatch|IP address mismatch"),
        ("127.0.0.1", False, "certificate verify failed"),
    ],
)
def test_a_server_that_is_somebody_else_is_refused(
    kind: str,
    tmp_path: Path,
    host: str,
    reason: str,
    caplog: pytest.LogCaptureFixture,
    *,
    is_known: bool,
) -> None:
    pki = Pki(tmp_path)
    access = pki.access(pki.authority if is_known else pki.other)
    with nsq.running(kind, tmp_path, *nsq.tls_flags(kind, *pki.files(host))) as nsqd:
        asyncio.run(is_refused(server_of(nsqd), access, reason, caplog))


def test_a_server_without_tls_is_sent_nothing_in_clear(
    nsqd: nsq.Nsqd, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pki = Pki(tmp_path)
    access = pki.access(pki.authority)
    asyncio.run(is_refused(server_of(nsqd), access, "it does not offer TLS", caplog))


def test_a_wrong_secret_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with nsq.running("broker", tmp_path, "--secret", "open sesame") as nsqd:
        access = Access(None, "wrong")
        asyncio.run(is_refused(server_of(nsqd), access, "E_UNAUTHORIZED", caplog))


def test_a_right_secret_is_taken(tmp_path: Path) -> None:
    async def test(nsqd: nsq.Nsqd) -> None:
        async with ends(server_of(nsqd), Access(None, "open sesame")) as both:
            await both.pass_on(b"hello")

    with nsq.running("broker", tmp_path, "--secret", "open sesame") as nsqd:
        asyncio.run(test(nsqd))


async def is_refused(
    server: Server, access: Access, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Check that no connection is used, and that the log says why."""
    with caplog.at_level(logging.WARNING):
        async with ends(server, access) as both:
            await eventually_soon(lambda: any_of(reason, caplog))
            both.publisher.publish(TOPIC, b"secret")
            assert both.publisher.dropped == 1


def any_of(reasons: str, caplog: pytest.LogCaptureFixture) -> bool:
    told = [record.getMessage() for record in caplog.records]
    return any(reason in text for reason in reasons.split("|") for text in told)


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


def test_what_is_sent_just_before_the_end_leaves_in_tls(kind: str, tmp_path: Path) -> None:
    pki = Pki(tmp_path)

    async def test(nsqd: nsq.Nsqd) -> None:
        async with ends(server_of(nsqd), pki.access(pki.authority)) as both:
            await both.pass_on(b"hello")
            both.publisher.publish(TOPIC, b"the last one")
            await both.publisher.finish(60.0)
            both.publisher.close()
            await eventually_soon(lambda: b"the last one" in both.got)

    with nsq.running(kind, tmp_path, *nsq.tls_flags(kind, *pki.files("127.0.0.1"))) as nsqd:
        asyncio.run(test(nsqd))
