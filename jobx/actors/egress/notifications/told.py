"""What was told last, when, to whom, and how far it is on its way; in bounded memory."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import Final

from jobx.actors.notification import Notification
from jobx.views import NotificationView, SendingView
from jobx.views.notifications import SendingState

#: Notifications that are kept.
KEPT: Final = 100
#: Characters of a subject, of a text, and of an error that are kept.
SUBJECT_CHARACTERS: Final = 500
TEXT_CHARACTERS: Final = 2000


@dataclass(slots=True)
class Sending:
    """A message on its way by one channel; see ``SendingView``."""

    channel: str
    to: str
    state: SendingState = "waiting"
    attempts: int = 0
    next_at: float | None = None
    ended_at: float | None = None
    error: str | None = None

    def failed(self, error: Exception, next_at: float) -> None:
        """Note that a try failed, and when the next one is."""
        self.attempts, self.state, self.next_at = self.attempts + 1, "retrying", next_at
        self.error = _cut(str(error), SUBJECT_CHARACTERS)

    def sent(self, at: float) -> None:
        """Note that the channel took it."""
        self.attempts, self.state, self.next_at = self.attempts + 1, "sent", None
        self.ended_at = at

    def lost(self, error: Exception | str, at: float, *, is_tried: bool = True) -> None:
        """Note that it is not sent any more."""
        self.attempts, self.state, self.next_at = self.attempts + is_tried, "lost", None
        self.error, self.ended_at = _cut(str(error), SUBJECT_CHARACTERS), at

    def view(self) -> SendingView:
        """Return how far it is."""
        return SendingView(
            channel=self.channel,
            to=self.to,
            state=self.state,
            attempts=self.attempts,
            next_at=self.next_at,
            ended_at=self.ended_at,
            error=self.error,
        )


@dataclass(slots=True)
class _Entry:
    at: float
    notification: Notification
    sendings: list[Sending]


@dataclass(slots=True)
class Told:
    """The last notifications; for the node's loop.

    Attributes:
        count: How many there were.
    """

    count: int = 0
    _last: deque[_Entry] = field(default_factory=lambda: deque(maxlen=KEPT))

    def add(self, at: float, notification: Notification, sendings: list[Sending]) -> None:
        """Keep a notification with its ways to people."""
        self.count += 1
        kept = replace(
            notification,
            subject=_cut(notification.subject, SUBJECT_CHARACTERS),
            text=_cut(notification.text, TEXT_CHARACTERS),
            failure=None,
        )
        self._last.append(_Entry(at, kept, sendings))

    def views(self) -> list[NotificationView]:
        """Return the last ones, newest first."""
        return [_view(entry) for entry in reversed(self._last)]


def _view(entry: _Entry) -> NotificationView:
    told = entry.notification
    return NotificationView(
        at=entry.at,
        kind=told.kind,
        level=told.level,
        count=told.count,
        subject=told.subject,
        text=told.text,
        workflow=told.workflow,
        request_id=told.request_id,
        sent=[one.view() for one in entry.sendings],
    )


def _cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else f"{text[: characters - 3]}..."
