"""Mail that nobody will read: it is counted, logged at a bounded rate, and sent to a handler."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from msgspec import Struct
from thespian.actors import (
    ActorAddress,
    ActorExitRequest,
    ChildActorExited,
    DeadEnvelope,
    WakeupMessage,
)

from jobx.actors.runtime.log_limit import LogLimit

#: Groups of dead letters that are kept: the last ones.
MOST_GROUPS: Final = 100
#: Why a message was not read.
GONE: Final = "its receiver is gone"
UNREAD: Final = "its receiver stopped before it read it"
FAILED: Final = "its receiver failed before it read it"
FULL: Final = "the mailbox of its receiver is full"

_LOGGED_PER_S: Final = 10
#: What an actor hears of its own life; once it has ended, that is all done.
_OF_ITS_LIFE: Final = (ActorExitRequest, ChildActorExited, WakeupMessage)
_LOG: Final = logging.getLogger(__name__)
#: Type of the message, target, sender.
_Key: TypeAlias = tuple[type, object, object]


class Perishable(Struct, frozen=True):
    """A message that means nothing any more once its receiver has ended as it should.

    Whatever is on its way to an actor may cross its end, so nobody need look first whether it is
    still there, and such a message is no dead letter.
    """


class Answered(Struct, frozen=True):
    """A message that is answered for its receiver, if that has ended before it reads it.

    So nobody waits for the answer of an actor that is gone, and such a message is no dead letter.
    """

    def unread(self) -> tuple[ActorAddress, Any]:
        """Return who waits for an answer, and the answer."""
        raise NotImplementedError


class Letters:
    """Dead letters of one type and sender for one target; nothing of their content is kept.

    Attributes:
        reason: Why the last one was not read.
        first_s: When the first one came, monotonic …
        last_s: … and the last one.
    """

    __slots__ = ("count", "first_s", "last_s", "message", "reason", "sender", "target")

    def __init__(self, message: str, target: ActorAddress, sender: ActorAddress) -> None:
        self.message = message
        self.target = target
        self.sender = sender
        self.count = 0
        self.reason = ""
        self.first_s = self.last_s = 0.0


class DeadLetters:
    """Receives the mail of dead actors and full mailboxes.

    Args:
        deliver: Sends to an actor: target, message, sender.
        now: Monotonic seconds.

    Attributes:
        count: How many there were.
        handler: The actor that gets them; None: no actor does.
    """

    def __init__(
        self, deliver: Callable[[ActorAddress, Any, ActorAddress], None], now: Callable[[], float]
    ) -> None:
        self.count = 0
        self._deliver = deliver
        self._now = now
        self.handler: ActorAddress | None = None
        self._groups: dict[_Key, Letters] = {}
        self._log_limit = LogLimit(now, 1.0, _LOGGED_PER_S)

    def handle(self, address: ActorAddress, enable: bool) -> None:
        """Start or stop sending DeadEnvelopes to ``address``; the newest handler gets them."""
        if enable:
            self.handler = address
        elif self.handler == address:
            self.handler = None

    def last(self) -> list[Letters]:
        """Return the last groups of dead letters, newest first."""
        return list(reversed(self._groups.values()))

    def take(
        self, target: ActorAddress, message: Any, sender: ActorAddress, reason: str = GONE
    ) -> None:
        """Take a message that ``target`` will not read. One of a full mailbox is a warning."""
        has_ended = reason in (GONE, UNREAD)
        if isinstance(message, _OF_ITS_LIFE) or (has_ended and isinstance(message, Perishable)):
            return
        if isinstance(message, Answered) and reason is not FULL:
            asker, answer = message.unread()
            self._deliver(asker, answer, target)
            return
        self.count += 1
        self._note(target, message, sender, reason)
        level = logging.WARNING if reason is FULL else logging.DEBUG
        if _LOG.isEnabledFor(level) and self._log_limit.may_log():
            _LOG.log(level, "%s did not get a %s", target, type(message).__name__)
        # No envelope inside an envelope: a full handler would fill itself.
        if self.handler is not None and not isinstance(message, DeadEnvelope):
            self._deliver(self.handler, DeadEnvelope(target, message), sender)

    def _note(self, target: ActorAddress, message: Any, sender: ActorAddress, reason: str) -> None:
        key = type(message), target.addressDetails, sender.addressDetails
        letters, now = self._groups.pop(key, None), self._now()
        if letters is None:
            letters = Letters(type(message).__name__, target, sender)
            letters.first_s = now
        self._groups[key] = letters  # the last one is at the end
        letters.count += 1
        letters.last_s, letters.reason = now, reason
        if len(self._groups) > MOST_GROUPS:
            del self._groups[next(iter(self._groups))]
