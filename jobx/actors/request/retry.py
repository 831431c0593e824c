"""When a failed invocation is tried again. Pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from jobx.model import Failure, Retry
from jobx.system.backoff import doubled

#: Failures that are nobody's exception: the executor under the invocation, or a blob, is gone.
LOSSES: Final = frozenset({"crash", "blob"})
#: Failures that a handler's own policy decides about.
FAULTS: Final = frozenset({"author", "timeout", "memory"})
#: The disk is full or does not do as told, or the executor lacks descriptors: nobody's fault here.
DISK: Final = frozenset({"full", "disk"})
#: After this an invocation is tried again that failed by it, until that is over.
DISK_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """Where the tries of one invocation stand.

    Attributes:
        number: The current attempt, from 1.
        losses: Earlier attempts that took their executor, or a blob, with them.
        faults: Earlier attempts that ended in the handler's own failure.
    """

    number: int = 1
    losses: int = 0
    faults: int = 0

    def after(self, failure: Failure) -> Attempt:
        """Return the attempt that follows ``failure``.

        One that ended only because its neighbour killed the executor counts as neither loss
        nor fault, so a poison invocation never uses up the tries of others.
        """
        return replace(
            self,
            number=self.number + 1,
            losses=self.losses + (failure.kind in LOSSES),
            faults=self.faults + (failure.kind in FAULTS),
        )


FIRST: Final = Attempt()


def next_delay_s(
    policy: Retry, failure: Failure, attempt: Attempt, lost_attempts: int
) -> float | None:
    """Return after how many seconds an invocation is tried again, or None: not at all.

    Args:
        policy: The handler's policy, for its own faults.
        failure: What ended the attempt.
        attempt: The attempt that it ended.
        lost_attempts: Attempts in all that may take their executor with them.
    """
    spent = attempt.after(failure)
    if failure.kind in LOSSES:
        return 0.0 if spent.losses < lost_attempts else None
    if failure.kind == "lost":
        return 0.0
    if failure.kind in DISK:
        return DISK_S
    if failure.kind not in FAULTS or spent.faults >= policy.attempts:
        return None
    if policy.on and not _named(failure, policy.on):
        return None
    return doubled(policy.backoff_s, spent.faults - 1, policy.max_backoff_s)


def _named(failure: Failure, names: tuple[str, ...]) -> bool:
    """Tell whether a policy names the class of an exception, or one that it is derived from."""
    classes = (failure.type, *failure.bases)
    return any(name in names or name.rpartition(".")[2] in names for name in classes)
