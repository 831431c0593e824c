"""What the actors of each class have done: messages, time in handlers, failures, slow handlers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from jobx.actors.runtime.log_limit import LogLimit

#: A message that takes longer is counted by its type.
SLOW_S: Final = 0.010
#: Pairs of class and message type whose slow messages are counted; further ones are ``other``.
MOST_SLOW: Final = 200
#: Characters that are kept of a reason.
REASON_CHARS: Final = 500

_OTHER: Final = ("other", "other")
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Restarted:
    """How often an actor was started again, and why the last time.

    Attributes:
        used: How much of its budget of restarts was used when it was started the last time.
        limit: That budget.
    """

    count: int
    used: int
    limit: int
    reason: str


class Account:
    """The counts of one class of actors. Times in seconds.

    Attributes:
        handled: Messages that were handled, in ``time_s`` altogether.
        slow: Those of them over ``SLOW_S``; the longest took ``longest_s``.
        failure: Why the last one failed.
        restart_reason: Why the last one was started again.
    """

    __slots__ = (
        "class_name",
        "created",
        "failed",
        "failure",
        "handled",
        "live",
        "longest_s",
        "restart_reason",
        "restarts",
        "slow",
        "time_s",
    )

    def __init__(self, class_name: str) -> None:
        self.class_name = class_name
        self.live = self.created = self.failed = self.handled = self.slow = self.restarts = 0
        self.time_s = self.longest_s = 0.0
        self.failure: str | None = None
        self.restart_reason: str | None = None


class Slow:
    """Slow messages of one type at one class of actors; ``last_s``: when, monotonic."""

    __slots__ = ("count", "last_s", "longest_s", "time_s")

    def __init__(self) -> None:
        self.count = 0
        self.time_s = self.longest_s = self.last_s = 0.0


class Accounts(dict[type, Account]):
    """The accounts by class, made when they are looked up; names slow handlers.

    Args:
        now: Monotonic seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__()
        self._log_limit = LogLimit(now, 10.0, 1)
        self.slow: dict[tuple[str, str], Slow] = {}

    def __missing__(self, actor_class: type) -> Account:
        account = self[actor_class] = Account(actor_class.__name__)
        return account

    def all(self) -> list[Account]:
        """Return the accounts of classes that had an actor here."""
        return [account for account in self.values() if account.created]

    def was_slow(self, account: Account, message: Any, took_s: float, now: float) -> None:
        """Count a message that took longer than ``SLOW_S``."""
        account.slow += 1
        account.longest_s = max(account.longest_s, took_s)
        named = account.class_name, type(message).__name__
        slow = self.slow.get(named)
        if slow is None:
            named = named if len(self.slow) < MOST_SLOW else _OTHER
            slow = self.slow.setdefault(named, Slow())
        slow.count += 1
        slow.time_s += took_s
        slow.longest_s, slow.last_s = max(slow.longest_s, took_s), now
        if self._log_limit.may_log():
            text = "a %s took %.0f ms to handle a %s%s"
            more = self._log_limit.left_out
            others = f"; {more} slow messages before it are not logged" if more else ""
            _LOG.info(text, named[0], took_s * 1000, named[1], others)
