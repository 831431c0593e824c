"""When a failed invocation is retried. Pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from jobx.model import Failure, Retry
from jobx.system.backoff import doubled

#: Failures without an exception: the executor of the invocation, or a blob, is gone.
EXECUTOR_FAILURES: Final = frozenset({"crash", "blob"})
#: Failures for which the handler's own policy decides.
FAULTS: Final = frozenset({"author", "timeout", "memory"})
#: The disk is full or does not do as told, or the executor lacks descriptors: nobody's fault here.
DISK: Final = frozenset({"full", "disk"})
#: After this an invocation is tried again that failed by it, until that is over …
DISK_S: Final = 2.0
#: … after twice as long each time, but at most this: others need the executor meanwhile.
DISK_MOST_S: Final = 16.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """The tries of one invocation so far.

    Attributes:
        number: The current attempt, from 1.
        executor_failures: Earlier attempts that took their executor, or a blob, with them.
        faults: Earlier attempts that ended in the handler's own failure.
    """

    number: int = 1
    executor_failures: int = 0
    faults: int = 0

    def after(self, failure: Failure) -> Attempt:
        """Return the attempt that follows ``failure``.

        An attempt that ended only because its neighbour killed the executor counts as neither, so
        a poison invocation never uses up the tries of others.
        """
        return replace(
            self,
            number=self.number + 1,
            executor_failures=self.executor_failures + (failure.kind in EXECUTOR_FAILURES),
            faults=self.faults + (failure.kind in FAULTS),
        )


FIRST: Final = Attempt()


def next_delay_s(
    policy: Retry, failure: Failure, attempt: Attempt, lost_attempts: int
) -> float | None:
    """Return the seconds before the next try of an invocation, or None if there is none.

    Args:
        policy: The handler's policy, for its own faults.
        failure: What ended the attempt.
        attempt: The attempt that it ended.
        lost_attempts: Attempts in all that may take their executor with them.
    """
    spent = attempt.after(failure)
    if failure.kind in EXECUTOR_FAILURES:
        return 0.0 if spent.executor_failures < lost_attempts else None
    if failure.kind == "lost":
        return 0.0
    if failure.kind in DISK:
        others = attempt.executor_failures + attempt.faults
        return doubled(DISK_S, attempt.number - 1 - others, DISK_MOST_S)
    if failure.kind not in FAULTS or spent.faults >= policy.attempts:
        return None
    if policy.on and not _named(failure, policy.on):
        return None
    return doubled(policy.backoff_s, spent.faults - 1, policy.max_backoff_s)


def _named(failure: Failure, names: tuple[str, ...]) -> bool:
    """Tell whether a policy names the class of an exception, or one of its base classes."""
    classes = (failure.type, *failure.bases)
    return any(name in names or name.rpartition(".")[2] in names for name in classes)
