"""What a node has told people."""

from __future__ import annotations

from typing import Literal, TypeAlias

from jobx.views.base import View

#: ``sent``: the channel took it. ``waiting``: for those before it, or for its first try to end.
#: ``retrying``: a try failed, and there are more. ``lost``: it is not sent any more.
SendingState: TypeAlias = Literal["sent", "waiting", "retrying", "lost"]


class SendingView(View, frozen=True, kw_only=True):
    """How far a notification is on its way by one channel.

    Attributes:
        channel: ``log``, ``email`` or ``http``.
        to: Whom it reaches.
        attempts: Tries that have ended.
        next_at: When it is tried again.
        ended_at: When it was sent or lost.
        error: Why the last try failed.
    """

    channel: str
    to: str
    state: SendingState
    attempts: int = 0
    next_at: float | None = None
    ended_at: float | None = None
    error: str | None = None


class NotificationView(View, frozen=True, kw_only=True):
    """One notification; ``count`` is how many it stands for, since repeats are throttled.

    Attributes:
        at: When it was told.
        sent: Its channels; none: it is below the levels of all.
    """

    at: float
    kind: str
    level: str
    count: int
    subject: str
    text: str
    workflow: str | None = None
    request_id: str | None = None
    sent: list[SendingView]


class ChannelView(View, frozen=True, kw_only=True):
    """A channel.

    Attributes:
        name: ``log``, ``email`` or ``http``.
        to: Whom it reaches.
        level: It takes notifications from this level on.
        waiting: Messages that are not sent yet.
        lost: Messages that were dropped or given up since the node started.
    """

    name: str
    to: str
    level: str
    waiting: int = 0
    lost: int = 0


class NotificationPage(View, frozen=True, kw_only=True):
    """The last notifications of a node since it started, newest first, and its channels.

    Attributes:
        told: How many there were; of older ones only this number is known.
        held_back: Repeats that are told within a minute.
    """

    node_id: str
    told: int
    held_back: int = 0
    channels: list[ChannelView]
    notifications: list[NotificationView]
