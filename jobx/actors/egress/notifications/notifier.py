"""Tells people: folds repeats, then hands each message to the channels that are for it.

Best effort, on purpose: what waits for a channel is in memory and bounded, and a channel that
fails is nobody's trouble but its own.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from jobx.actors.egress.http_client import Outbound
from jobx.actors.egress.notifications import channels
from jobx.actors.egress.notifications.channels import Channel, Message
from jobx.actors.egress.notifications.throttle import Folding
from jobx.actors.notification import Notice, is_at_least
from jobx.actors.threads import BoundedCalls
from jobx.config import Level, Settings
from jobx.errors import JobxError

#: Messages that wait for one channel; older ones are dropped for newer ones.
MAX_WAITING: Final = 1000
#: Tries of one message.
ATTEMPTS: Final = 6
#: Wait before the second try; doubles with each further one, and varies by half.
BACKOFF_S: Final = 1.0
#: One try to send a message that takes longer has failed.
SEND_S: Final = 60.0
_TICK_S: Final = 0.02

_log = logging.getLogger(__name__)


class Lane:
    """The messages of one channel, one after the other; runs on the node's loop."""

    def __init__(self, name: str, least: Level, channel: Channel, backoff_s: float = BACKOFF_S):
        self.name = name
        self.least = least
        self._channel = channel
        self._backoff_s = backoff_s
        self._calls = BoundedCalls()
        self._waiting: deque[Message] = deque()
        self._sending: asyncio.Task[None] | None = None
        self._lost = 0

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left to be sent."""
        return not self._waiting

    def put(self, message: Message) -> None:
        """Send a message when those before it have gone."""
        if len(self._waiting) == MAX_WAITING:
            self._waiting.popleft()
            self._lost += 1
        self._waiting.append(message)
        if self._sending is None:
            self._sending = asyncio.get_running_loop().create_task(self._run())

    def cancel(self) -> None:
        """Stop sending."""
        if self._sending is not None:
            self._sending.cancel()

    async def _run(self) -> None:
        while self._waiting:
            message = self._waiting[0]
            error = await self._send(message)
            if error is not None:
                self._lost += 1
                _log.warning("notifications by %s: %d were not sent: %s", *self._trouble(error))
            if self._waiting and self._waiting[0] is message:  # else it was dropped meanwhile
                self._waiting.popleft()
        self._sending = None

    async def _send(self, message: Message) -> Exception | None:
        """Try to send a message a few times; return why it was not, or None."""
        kind = f"channel {self.name}"
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await self._calls.run(kind, lambda: self._channel.send(message), SEND_S)
                return None
            except JobxError as error:
                if attempt == ATTEMPTS:
                    return error
            except Exception as error:  # noqa: BLE001 - no fault here may reach a request
                _log.warning("notifications by %s failed", self.name, exc_info=True)
                return error
            spread = 0.5 + random.random()  # noqa: S311 - it spreads tries and keeps no secret
            await asyncio.sleep(self._backoff_s * 2 ** (attempt - 1) * spread)
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
    """Tells people what happens on a node; ``notify`` is called on its loop.

    Args:
        node_id: The node.
        settings: Which channels, and from which level on.
        outbound: The way out for HTTP.
        clocks: The clocks.

    Raises:
        ConfigError: A channel cannot work as it is set.
    """

    def __init__(
        self, node_id: str, settings: Settings, outbound: Outbound, clocks: Clocks
    ) -> None:
        self._node_id = node_id
        self._log_level = settings.notify.log_level
        self._clocks = clocks
        self._folding = Folding()
        self._timer: asyncio.Handle | None = None
        self._lanes = _lanes(settings, outbound, clocks.now_at)

    def notify(self, notice: Notice) -> None:
        """Tell of something, now or folded with others of its cause."""
        message = self._folding.take(notice, self._clocks.now())
        if message is not None:
            self._tell(message)
        if self._timer is None:
            self._schedule()

    async def close(self, timeout_s: float) -> None:
        """Tell what was held back and wait a moment for the channels."""
        if self._timer is not None:
            self._timer.cancel()
        for notice in self._folding.flush():
            self._tell(notice)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while not all(lane.is_idle for lane in self._lanes) and loop.time() < deadline:
            await asyncio.sleep(_TICK_S)
        for lane in self._lanes:
            lane.cancel()

    def _schedule(self) -> None:
        due = self._folding.next_due()
        if due is None:
            self._timer = None
            return
        delay_s = max(0.0, due - self._clocks.now())
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._tell_due)

    def _tell_due(self) -> None:
        for notice in self._folding.due(self._clocks.now()):
            self._tell(notice)
        self._schedule()

    def _tell(self, notice: Notice) -> None:
        lanes = [lane for lane in self._lanes if notice.channel in (None, lane.name)]
        # What is for a channel that is not set up is better in the log than nowhere.
        is_for_log = notice.channel is None or not lanes
        if is_for_log and is_at_least(notice.level, self._log_level):
            channels.to_log(notice)
        for lane in lanes:
            if is_at_least(notice.level, lane.least):
                lane.put(channels.message(notice, self._node_id, self._clocks.now_at()))


def _lanes(settings: Settings, outbound: Outbound, now_at: Callable[[], float]) -> list[Lane]:
    notify, lanes = settings.notify, []
    if notify.email_to:
        lanes.append(Lane("email", notify.email_level, channels.MailChannel(settings)))
    if notify.http_url:
        http = channels.HttpChannel(settings, outbound, now_at)
        lanes.append(Lane("http", notify.http_level, http))
    return lanes
