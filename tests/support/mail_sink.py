"""A real mail server that keeps what it is given; STARTTLS and a password before that."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from tests.support.ports import free_port

USER, PASSWORD = "jobx", "planted-mail-secret"


@dataclass
class MailSink:
    """What came, and how to reach it."""

    port: int
    mails: list[EmailMessage] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if address.startswith("nobody@"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - as above
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"


def _authenticate(*words: Any) -> AuthResult:
    login = words[-1]
    assert isinstance(login, LoginPassword)
    success = (login.login, login.password) == (USER.encode(), PASSWORD.encode())
    # Not handled means that the server answers by itself; else a refused client hangs.
    return AuthResult(success=success, handled=success)


@contextmanager
def mail_sink(folder: Path) -> Iterator[MailSink]:
    """Serve on a port; the certificate of its authority is ``folder/ca.pem``."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(tls)
    sink = MailSink(free_port())
    controller = Controller(
        sink,
        hostname="127.0.0.1",
        port=sink.port,
        tls_context=tls,
        require_starttls=True,
        auth_required=True,
        authenticator=_authenticate,
        ready_timeout=60.0,
    )
    controller.start()
    try:
        yield sink
    finally:
        controller.stop()
