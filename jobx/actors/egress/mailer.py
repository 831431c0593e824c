"""Mail: composed here, sent to the server of the settings."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate
from functools import cached_property
from typing import Final

from jobx import printable
from jobx.actors.egress.http_client import tls_context
from jobx.config import Settings
from jobx.errors import ConfigError, InvalidInput, Unavailable

#: Header that is the same in repeats of a mail; servers may replace a Message-ID.
DELIVERY_ID: Final = "X-DELIVERY-ID"
#: Time limit of each step of the server.
STEP_S: Final = 10.0
_SUBJECT_CHARACTERS: Final = 200


class Mailer:
    """Sends mail, each on a new connection. Blocks.

    Args:
        settings: ``[mail]``, and the authorities of ``[outbound]``.

    Raises:
        ConfigError: A password would be sent in the clear.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = mail = settings.mail
        if mail.username and mail.encryption == "none":
            reason = "a password is not sent without encryption"
            raise ConfigError("mail.encryption", "'none'", reason)
        self._authorities = settings.outbound

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return tls_context(self._authorities)

    def send(self, mail: EmailMessage) -> None:
        """Send one mail.

        Raises:
            Unavailable: The server refused it, or refused one of its receivers.
        """
        host = self._settings.host
        try:
            with self._connected() as server:
                refused = server.send_message(mail)
        except smtplib.SMTPResponseException as error:
            # The server's answer may quote the password.
            reason = f"mail server {host} answered {error.smtp_code} ({type(error).__name__})"
            raise Unavailable(reason, 0.0) from None
        except (OSError, smtplib.SMTPException) as error:
            reason = f"mail server {host}: {type(error).__name__}: {_short(error)}"
            raise Unavailable(reason, 0.0) from None
        if refused:
            raise Unavailable(f"mail server {host} refused {', '.join(refused)}", 0.0)

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        mail = self._settings
        server = self._server()
        with server:
            if mail.encryption == "starttls":
                server.starttls(context=self._tls)
            if mail.username:
                server.login(mail.username, mail.password)
            yield server

    def _server(self) -> smtplib.SMTP:
        mail = self._settings
        if mail.encryption == "tls":
            return smtplib.SMTP_SSL(mail.host, mail.port, timeout=STEP_S, context=self._tls)
        return smtplib.SMTP(mail.host, mail.port, timeout=STEP_S)


def compose(sender: str, to: Sequence[str], subject: str) -> EmailMessage:
    """Return a mail without a body; its subject is one short line.

    Raises:
        InvalidInput: One of the addresses is invalid.
    """
    mail = EmailMessage()
    mail["From"] = _address(sender)
    mail["To"] = tuple(map(_address, to))
    mail["Subject"] = _one_line(subject)
    mail["Date"] = formatdate()
    mail["Auto-Submitted"] = "auto-generated"
    return mail


def _one_line(text: str) -> str:
    """Return text that is safe in a header.

    Encoded words (``=?utf-8?q?...?=``) in a header are decoded by its writer and by its reader, and
    may contain the end of a line. So they are taken out.
    """
    line = printable.line(" ".join(text.split()))[:_SUBJECT_CHARACTERS]
    return line.replace("=?", "= ?").encode("utf-8", "replace").decode()


def _address(text: str) -> Address:
    try:
        address = Address(addr_spec=text)
    except (MessageError, ValueError, IndexError) as error:
        raise InvalidInput("mail address", repr(text)[:80], str(error)) from error
    if not address.domain:
        raise InvalidInput("mail address", repr(text)[:80], "must be NAME@DOMAIN")
    return address


def _short(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return " ".join(str(error).split())[:200]
