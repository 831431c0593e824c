"""Channels of notifications: the log, mail, HTTP."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from string import Template
from typing import Final, Protocol
from urllib.parse import urlencode

import msgspec

from jobx import logs
from jobx.actors.egress import signing
from jobx.actors.egress.http_client import Outbound
from jobx.actors.egress.mailer import DELIVERY_ID, Mailer, compose
from jobx.actors.notification import Notification
from jobx.config import Settings
from jobx.errors import ConfigError

_LEVELS: Final = logging.getLevelNamesMapping()
_LINE_CHARACTERS: Final = 1000
#: The logger of mr that posted notifications.
LOGGER_OF_MR: Final = "MR_HANDLER.HTTP"

_log = logging.getLogger("jobx.notify")


@dataclass(frozen=True, slots=True)
class Message:
    """A notification with an id and a time, to be sent.

    Attributes:
        delivery_id: The same in every try to send it.
        at: When it was made, wall clock.
        node_id: The sending node.
    """

    delivery_id: str
    at: float
    node_id: str
    notification: Notification


class Channel(Protocol):
    """Sends messages; blocks."""

    def send(self, message: Message) -> None:
        """Send a message.

        Raises:
            JobxError: It was not accepted.
        """


def message(notification: Notification, node_id: str, now_at: float) -> Message:
    """Return a notification as a message with a new id."""
    return Message(secrets.token_hex(12), now_at, node_id, notification)


def to_log(notification: Notification) -> None:
    """Write a notification to the log, one line."""
    repeats = f" ({notification.count} times)" if notification.count > 1 else ""
    _log.log(
        _LEVELS[notification.level.upper()],
        "%s: %s%s",
        notification.kind,
        _line(notification),
        repeats,
        extra=_about(notification),
    )


def _about(notification: Notification) -> dict[str, str | int | None]:
    workflow, request_id = notification.workflow, notification.request_id
    key = (workflow, request_id) if workflow and request_id else None
    failure = notification.failure
    if failure is None:
        return logs.about(key)
    return logs.about(
        key,
        invocation=failure.invocation_id,
        attempt=failure.attempt,
        step=failure.step_name,
    )


class MailChannel:
    """Mails notifications.

    Raises:
        ConfigError: Something that mail needs is not set.
    """

    def __init__(self, settings: Settings) -> None:
        if not settings.mail.sender:
            raise ConfigError("mail.sender", "''", "must be set for notify.email_to")
        self._settings = settings
        self._mailer = Mailer(settings)
        compose(settings.mail.sender, settings.notify.email_to, "")

    def send(self, message: Message) -> None:
        """Send a mail."""
        notify = self._settings.notify
        mail = compose(self._settings.mail.sender, notify.email_to, self._subject(message))
        mail["Message-ID"] = f"<{message.delivery_id}@jobx>"
        mail[DELIVERY_ID] = message.delivery_id
        mail.set_content(_body(message))
        self._mailer.send(mail)

    def _subject(self, message: Message) -> str:
        notification = message.notification
        return Template(self._settings.notify.email_subject).safe_substitute(
            level=notification.level,
            subject=notification.subject,
            node=message.node_id,
            workflow=notification.workflow or "",
            request_id=notification.request_id or "",
        )


class HttpChannel:
    """Posts notifications as JSON, or as a form with the fields of a log record; signed."""

    def __init__(self, settings: Settings, outbound: Outbound, now_at: Callable[[], float]) -> None:
        self._key = settings.notify.http_key
        self._outbound = outbound
        self._now_at = now_at
        self._target = outbound.check("notify.http_url", settings.notify.http_url)
        self._is_form = settings.notify.http_format == "mr"

    @property
    def origin(self) -> str:
        """Who gets them; the rest of the address may be a secret."""
        return self._target.origin

    def send(self, message: Message) -> None:
        """Post a message."""
        body = _form(message) if self._is_form else msgspec.json.encode(_fields(message))
        kind = "x-www-form-urlencoded" if self._is_form else "json"
        headers = {
            "Content-Type": f"application/{kind}",
            **signing.headers(self._key, message.delivery_id, self._now_at(), [body]),
        }
        self._outbound.post(self._target, [body], len(body), headers)


def _line(notification: Notification) -> str:
    """Return the subject as one printable line."""
    return "".join(c if c.isprintable() else " " for c in notification.subject[:_LINE_CHARACTERS])


def _fields(message: Message) -> dict[str, object]:
    notification = message.notification
    return {
        "delivery_id": message.delivery_id,
        "at": message.at,
        "node": message.node_id,
        "kind": notification.kind,
        "level": notification.level,
        "count": notification.count,
        "workflow": notification.workflow,
        "request_id": notification.request_id,
        "subject": notification.subject,
        "text": notification.text,
    }


def _form(message: Message) -> bytes:
    """Return a message as mr posted it: the fields of a log record of Python, as a form."""
    notification = message.notification
    text = "\n\n".join(filter(None, (notification.subject, notification.text)))
    level = _LEVELS[notification.level.upper()]
    record = logging.LogRecord(LOGGER_OF_MR, level, "", 0, text, (), None)
    record.created, record.msecs = message.at, message.at % 1 * 1000
    return urlencode(vars(record)).encode()


def _body(message: Message) -> str:
    notification, fields = message.notification, _fields(message)
    names = ("kind", "level", "count", "node", "workflow", "request_id")
    lines = [f"{name}: {fields[name]}" for name in names if fields[name] is not None]
    return "\n".join([notification.subject, "", *lines, "", notification.text, ""])
