"""Whether a failed child is restarted: a policy, and a budget of restarts.

The budget is that of Erlang/OTP (its manual's "Maximum Restart Intensity"): at most
``max_restarts`` within the last ``window_s``, borders included; the next failure ends it. OTP then
always ends the supervisor too. Here a policy decides whether it ends ("escalate") or continues
without the child ("restart"). OTP restarts at once. Here a back-off doubles with each failure in
the window. A child that exits without an exception is not restarted, like OTP's transient children.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal, TypeAlias

from jobx.system.backoff import doubled


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """What a supervisor does about a failed child.

    Attributes:
        mode: ``restart``: restart it while the budget lasts, then give it up. ``stop``: give it up
            at once. ``escalate``: restart it while the budget lasts, then fail.
        max_restarts: Restarts within ``window_s``.
        window_s: Older failures do not count.
        backoff_s: Delay of the first restart; doubled for each further failure in the window.
        max_backoff_s: Longest delay.
    """

    mode: Literal["restart", "stop", "escalate"] = "restart"
    max_restarts: int = 3
    window_s: float = 60.0
    backoff_s: float = 0.1
    max_backoff_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Restart:
    """Restart the child after ``delay_s``."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class Abandon:
    """Continue without the child."""


@dataclass(frozen=True, slots=True)
class Escalate:
    """Fail, so that the supervisor's own parent decides."""


SupervisionDecision: TypeAlias = Restart | Abandon | Escalate


class RestartBudget:
    """Counts the failures of one child and decides after each.

    Attributes:
        is_spent: Whether the last decision was not to restart.
    """

    __slots__ = ("_failures", "_policy", "is_spent")

    def __init__(self, policy: RestartPolicy) -> None:
        self._policy = policy
        self._failures: deque[float] = deque(maxlen=policy.max_restarts + 1)
        self.is_spent = False

    @property
    def used(self) -> int:
        """How many failures counted at the last one, at most the restarts of the policy."""
        return min(len(self._failures), self._policy.max_restarts)

    def failed(self, now: float) -> SupervisionDecision:
        """Count a failure at the monotonic instant ``now``, not before the last counted one."""
        policy, failures = self._policy, self._failures
        failures.append(now)
        while now - failures[0] > policy.window_s:
            failures.popleft()
        self.is_spent = policy.mode == "stop" or len(failures) > policy.max_restarts
        if not self.is_spent:
            return Restart(doubled(policy.backoff_s, len(failures) - 1, policy.max_backoff_s))
        return Escalate() if policy.mode == "escalate" else Abandon()

    def delay_s(self, now: float) -> float:
        """Count a failure; return when to try again, for what is tried however often it fails."""
        decision = self.failed(now)
        return decision.delay_s if isinstance(decision, Restart) else self._policy.max_backoff_s
