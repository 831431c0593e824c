"""Sends notifications: throttles repeats, then gives each message to its channels.

This is best effort on purpose: messages wait for a channel in bounded memory, and a channel that
fails affects no other.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from jobx.actors.egress.http_client import Outbound
from jobx.actors.egress.notifications import channels
from jobx.actors.egress.notifications.channels import Channel, Message
from jobx.actors.egress.notifications.throttle import Throttle
from jobx.actors.egress.notifications.told import Sending, Told
from jobx.actors.notification import Notification, is_at_least
from jobx.actors.threads import BoundedCalls
from jobx.config import Settings
from jobx.errors import JobxError
from jobx.setting_types import Level
from jobx.system import backoff
from jobx.views import ChannelView, NotificationPage

#: Messages that wait for one channel; older ones are dropped for newer ones.
MAX_WAITING: Final = 1000
#: Tries of one message.
ATTEMPTS: Final = 6
#: Wait before the second try; doubles with each further one up to the other, and varies by half.
BACKOFF_S: Final = 1.0
MAX_BACKOFF_S: Final = 60.0
#: One try to send a message that takes longer has failed.
SEND_S: Final = 60.0
#: So long they may be waited for at the end.
CLOSE_S: Final = 2.0
_TICK_S: Final = 0.02
#: Whom the log reaches.
_LOG: Final = "the log of the node"

_log = logging.getLogger(__name__)


class ChannelQueue:
    """Sends the messages of one channel one after the other; runs on the node's loop."""

    def __init__(
        self,
        name: str,
        least: Level,
        channel: Channel,
        backoff_s: float = BACKOFF_S,
        *,
        to: str = "",
        now_at: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self.least = least
        self._channel = channel
        self._backoff_s = backoff_s
        self._to = to
        self._now_at = now_at
        self._calls = BoundedCalls()
        self._waiting: deque[tuple[Message, Sending]] = deque()
        self._is_under_way = False
        self._sending: asyncio.Task[None] | None = None
        self._lost = self._lost_in_all = 0

    def view(self) -> ChannelView:
        """Return how the channel is."""
        return ChannelView(
            name=self.name,
            to=self._to,
            level=self.least,
            waiting=len(self._waiting) + self._is_under_way,
            lost=self._lost_in_all,
        )

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left to send."""
        return self._sending is None

    def put(self, message: Message) -> Sending:
        """Send a message after those before it; when the queue is full, drop the oldest.

        Returns:
            How far it is, from now on.
        """
        if len(self._waiting) == MAX_WAITING:
            _, dropped = self._waiting.popleft()
            self._lose(dropped, "newer ones took its place", is_tried=False)
        sending = Sending(self.name, self._to)
        self._waiting.append((message, sending))
        if self._sending is None:
            self._sending = asyncio.get_running_loop().create_task(self._run())
        return sending

    def cancel(self) -> None:
        """Stop sending."""
        if self._sending is not None:
            self._sending.cancel()

    async def _run(self) -> None:
        while self._waiting:
            message, sending = self._waiting.popleft()  # so that no newer one takes its place
            self._is_under_way = True
            error = await self._send(message, sending)
            self._is_under_way = False
            if error is None:
                sending.sent(self._now_at())
            else:
                self._lose(sending, error)
                _log.warning("notifications by %s: %d were not sent: %s", *self._trouble(error))
        self._sending = None

    def _lose(self, sending: Sending, error: Exception | str, *, is_tried: bool = True) -> None:
        self._lost += 1
        self._lost_in_all += 1
        sending.lost(error, self._now_at(), is_tried=is_tried)

    async def _send(self, message: Message, sending: Sending) -> Exception | None:
        """Send a message, with retries; return the error of the last try, or None."""
        kind = f"channel {self.name}"
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await self._calls.run(kind, lambda: self._channel.send(message), SEND_S)
                return None
            except JobxError as error:
                if attempt == ATTEMPTS:
                    return error
                failure = error
            except Exception as error:  # noqa: BLE001 - no fault here may reach a request
                _log.warning("notifications by %s failed", self.name, exc_info=True)
                return error
            delay_s = backoff.doubled(self._backoff_s, attempt - 1, MAX_BACKOFF_S)
            delay_s = backoff.spread(delay_s, backoff.luck())
            sending.failed(failure, self._now_at() + delay_s)
            await asyncio.sleep(delay_s)
        return None

    def _trouble(self, error: Exception) -> tuple[str, int, Exception]:
        lost, self._lost = self._lost, 0
        return self.name, lost, error


@dataclass(frozen=True, slots=True)
class Clocks:
    """Monotonic seconds, and the wall clock."""

    now: Callable[[], float]
    now_at: Callable[[], float]


class Notifier:
    """Tells people what happens on a node; call ``notify`` on its loop.

    Args:
        node_id: The node.
        settings: Which channels, and from which level on.
        outbound: The HTTP client.
        clocks: The clocks.

    Raises:
        ConfigError: A channel cannot work with these settings.
    """

    def __init__(
        self, node_id: str, settings: Settings, outbound: Outbound, clocks: Clocks
    ) -> None:
        self._node_id = node_id
        self._log_level = settings.notify.log_level
        self._clocks = clocks
        self._throttle = Throttle()
        self._timer: asyncio.Handle | None = None
        self._told = Told()
        self._queues = _queues(settings, outbound, clocks.now_at)

    def notify(self, notification: Notification) -> None:
        """Send a notification now, or later together with others of its cause."""
        message = self._throttle.take(notification, self._clocks.now())
        if message is not None:
            self._tell(message)
        if self._timer is None:
            self._schedule()

    def page(self) -> NotificationPage:
        """Return what was told last, and how the channels are."""
        log = ChannelView(name="log", to=_LOG, level=self._log_level)
        return NotificationPage(
            node_id=self._node_id,
            told=self._told.count,
            held_back=self._throttle.held_back,
            channels=[log, *(queue.view() for queue in self._queues)],
            notifications=self._told.views(),
        )

    async def close(self, is_over: Callable[[], bool]) -> None:
        """Send what was held back; wait for the channels up to CLOSE_S, unless ``is_over``."""
        if self._timer is not None:
            self._timer.cancel()
        for notification in self._throttle.flush():
            self._tell(notification)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + CLOSE_S
        while not all(queue.is_idle for queue in self._queues):
            if is_over() or loop.time() >= deadline:
                break
            await asyncio.sleep(_TICK_S)
        for queue in self._queues:
            queue.cancel()

    def _schedule(self) -> None:
        due = self._throttle.next_due()
        if due is None:
            self._timer = None
            return
        delay_s = max(0.0, due - self._clocks.now())
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._tell_due)

    def _tell_due(self) -> None:
        for notification in self._throttle.due(self._clocks.now()):
            self._tell(notification)
        self._schedule()

    def _tell(self, notification: Notification) -> None:
        queues = [queue for queue in self._queues if notification.channel in (None, queue.name)]
        # A notification for a channel that is not set up goes to the log, rather than nowhere.
        is_for_log = notification.channel is None or not queues
        now_at, sendings = self._clocks.now_at(), []
        if is_for_log and is_at_least(notification.level, self._log_level):
            channels.to_log(notification)
            sendings.append(Sending("log", _LOG, "sent", 1, ended_at=now_at))
        for queue in queues:
            if is_at_least(notification.level, queue.least):
                message = channels.message(notification, self._node_id, now_at)
                sendings.append(queue.put(message))
        self._told.add(now_at, notification, sendings)


def _queues(
    settings: Settings, outbound: Outbound, now_at: Callable[[], float]
) -> list[ChannelQueue]:
    notify, queues = settings.notify, []
    if notify.email_to:
        mail, to = channels.MailChannel(settings), ", ".join(notify.email_to)
        queues.append(ChannelQueue("email", notify.email_level, mail, to=to, now_at=now_at))
    if notify.http_url:
        http = channels.HttpChannel(settings, outbound, now_at)
        queues.append(ChannelQueue("http", notify.http_level, http, to=http.origin, now_at=now_at))
    return queues
