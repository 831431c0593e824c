from __future__ import annotations

from collections.abc import Iterator
from email.header import decode_header
from pathlib import Path
from typing import Any

import pytest

from jobx.actors.egress.mailer import Mailer, compose
from jobx.config import Settings
from jobx.config_sections import MailSettings, OutboundSettings
from jobx.errors import ConfigError, InvalidInput, Unavailable
from tests.support.mail_sink import PASSWORD, USER, MailSink, mail_sink
from tests.support.ports import free_port

#: Those of a mail, and those that the server of the tests adds.
HEADERS = {"From", "To", "Subject", "Date", "Auto-Submitted", "MIME-Version"} | {
    *("Content-Type", "Content-Transfer-Encoding", "X-Peer", "X-MailFrom", "X-RcptTo")
}


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[MailSink]:
    with mail_sink(tmp_path) as sink:
        yield sink


def _settings(folder: Path, port: int, **mail: Any) -> Settings:
    login = {"username": USER, "password": PASSWORD, **mail}
    return Settings(
        outbound=OutboundSettings(ca_file=str(folder / "ca.pem")),
        mail=MailSettings(host="localhost", port=port, sender="jobx@example.com", **login),
    )


def _send(settings: Settings, *to: str, subject: str = "s") -> None:
    mail = compose("jobx@example.com", to or ("a@example.com",), subject)
    mail.set_content("text")
    Mailer(settings).send(mail)


def test_mail_goes_over_starttls_with_a_password(tmp_path: Path, sink: MailSink) -> None:
    _send(_settings(tmp_path, sink.port), "a@example.com", "b@example.com")

    (mail,) = sink.mails
    assert (mail["From"], mail["To"]) == ("jobx@example.com", "a@example.com, b@example.com")


def test_subject_is_one_short_line(tmp_path: Path, sink: MailSink) -> None:
    _send(_settings(tmp_path, sink.port), subject="a\r\nBcc: b@example.com\n" + "x" * 1000)

    (mail,) = sink.mails
    assert mail["Bcc"] is None
    assert mail["Subject"].startswith("a Bcc: b@example.com xxx")
    assert len(mail["Subject"]) == 200


@pytest.mark.parametrize(
    "subject",
    [
        "=?utf-8?q?=0d=0aBcc:_b@example.com=0d=0a?=",
        "=?utf-8?b?DQpCY2M6IGJAZXhhbXBsZS5jb20NCg==?=",
        "=?utf-8?q?a?= =?utf-8?q?=0aBcc:_b@example.com?=",
        "=\x00?utf-8?q?=0aBcc:_b@example.com?=",
        "= ?utf-8?q?=0aBcc:_b@example.com?=",
        "a\x0bBcc: b@example.com\x0c\x85b\u2028c",
        "\ud800\x1b[2J\x00",
        "==??utf-8?q?=0aBcc:_b@example.com?=",
    ],
)
def test_subject_cannot_become_another_header(subject: str, tmp_path: Path, sink: MailSink) -> None:
    _send(_settings(tmp_path, sink.port), subject=subject)

    (mail,) = sink.mails
    assert mail["Bcc"] is None
    assert set(mail.keys()) <= HEADERS
    shown = "".join(
        text.decode(kind or "ascii") if isinstance(text, bytes) else text
        for text, kind in decode_header(mail["Subject"])
    )
    assert not any(ord(char) < 32 for char in shown)


def test_some_receivers_may_be_refused(tmp_path: Path, sink: MailSink) -> None:
    with pytest.raises(Unavailable, match=r"refused nobody@example\.com"):
        _send(_settings(tmp_path, sink.port), "a@example.com", "nobody@example.com")


@pytest.mark.parametrize(
    ("mail", "reason"),
    [
        ({"password": "guess-no-more"}, "answered 535"),
        ({"username": ""}, "answered 530"),
        ({"username": "", "encryption": "none"}, "answered 530"),
        ({"encryption": "tls"}, "SSL"),
    ],
)
def test_what_the_server_refuses_is_told_without_secrets(
    tmp_path: Path, sink: MailSink, mail: dict[str, str], reason: str
) -> None:
    with pytest.raises(Unavailable, match=reason) as caught:
        _send(_settings(tmp_path, sink.port, **mail))
    chained = f"{caught.value!r} {caught.value.__cause__!r}"
    assert "guess-no-more" not in chained
    assert PASSWORD not in chained
    assert sink.mails == []


def test_server_with_an_unknown_certificate_gets_no_password(
    tmp_path: Path, sink: MailSink
) -> None:
    known = _settings(tmp_path, sink.port)
    with pytest.raises(Unavailable, match="SSLCertVerificationError"):
        _send(Settings(mail=known.mail))


def test_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="ConnectionRefusedError"):
        _send(Settings(mail=MailSettings(port=free_port())))


def test_password_without_encryption_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match=r"mail\.encryption"):
        Mailer(Settings(mail=MailSettings(username=USER, password=PASSWORD, encryption="none")))


@pytest.mark.parametrize("address", ["a", "a@", "@b", "a@b\nc", "a@b, c@d", ""])
def test_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(InvalidInput):
        compose("jobx@example.com", [address], "s")
