"""The clients of nsqd over TLS, and with a secret."""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path

import pytest
import trustme

from jobx.actors.bridge.nsq.clients import Server
from jobx.actors.bridge.nsq.connection import Access
from tests.support import nsq
from tests.support.nsq_ends import TOPIC, any_of, ends, kind, nsqd, server_of
from tests.support.waiting import eventually_soon

__all__ = ["kind", "nsqd"]


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
