"""Mail that nobody will read: it is counted, logged at a bounded rate, and sent to a handler."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from thespian.actors import ActorAddress, ActorExitRequest, DeadEnvelope

_LOGGED_PER_S: Final = 10
_LOG: Final = logging.getLogger(__name__)


class DeadLetters:
    """Receives the mail of dead actors and full mailboxes.

    Args:
        deliver: Sends to an actor: target, message, sender.
        now: Monotonic seconds.
    """

    def __init__(
        self, deliver: Callable[[ActorAddress, Any, ActorAddress], None], now: Callable[[], float]
    ) -> None:
        self.count = 0
        self._deliver = deliver
        self._now = now
        self._handler: ActorAddress | None = None
        self._since_s = 0.0
        self._logged = 0

    def handle(self, address: ActorAddress, enable: bool) -> None:
        """Start or stop sending DeadEnvelopes to ``address``; the newest handler gets them."""
        if enable:
            self._handler = address
        elif self._handler == address:
            self._handler = None

    def take(
        self, target: ActorAddress, message: Any, sender: ActorAddress, level: int = logging.DEBUG
    ) -> None:
        """Take a message that ``target`` will not read, logging it at ``level``."""
        # A dead actor has already done what an exit request asks for.
        if isinstance(message, ActorExitRequest):
            return
        self.count += 1
        if _LOG.isEnabledFor(level) and self._may_log():
            _LOG.log(level, "%s did not get a %s", target, type(message).__name__)
        # No envelope inside an envelope: a full handler would fill itself.
        if self._handler is not None and not isinstance(message, DeadEnvelope):
            self._deliver(self._handler, DeadEnvelope(target, message), sender)

    def _may_log(self) -> bool:
        now = self._now()
        if now - self._since_s >= 1.0:
            self._since_s, self._logged = now, 0
        self._logged += 1
        return self._logged <= _LOGGED_PER_S
