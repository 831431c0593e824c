"""Faults of commits: when the next try is due, and when new requests are refused meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from jobx.errors import JobxError, OutcomeUnknown, StoreUnavailable
from jobx.system.backoff import doubled

#: First and longest wait before a commit is tried again.
RETRY_S: Final = (0.2, 5.0)

#: Faults that end by themselves.
_PASSING: Final = (StoreUnavailable, OutcomeUnknown)


class CommitFaults:
    """Follows the faults of commits; on the node's loop.

    Args:
        loop: The node's event loop.
        told: Called with the reason why nothing can be written, and with None once writes work.
        refuse: Called with the error of the new requests that wait, once these are refused.
        patience_s: How long new requests wait for a store that does not answer.

    Attributes:
        last: Why the last commit failed; None if it did not.
        stalled: Why new requests are refused; None if they are not.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        told: Callable[[JobxError | None], object],
        refuse: Callable[[JobxError], object],
        patience_s: float,
    ) -> None:
        self.last: JobxError | None = None
        self.stalled: JobxError | None = None
        self._loop = loop
        self._told = told
        self._refuse = refuse
        self._patience_s = patience_s
        self._failed = 0
        #: When new requests are refused because of the last fault.
        self._refuse_at: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def failed(self, fault: JobxError) -> float:
        """Note that a commit failed; return after how long it is tried again, in seconds."""
        self.last = fault
        self._failed += 1
        return doubled(RETRY_S[0], self._failed - 1, RETRY_S[1])

    def await_end(self, began: float) -> None:
        """Refuse new requests, now or when they have waited long enough for the end of a fault.

        Args:
            began: When the commit began that failed, on the clock of the loop.
        """
        if self._refuse_at is None:
            self._refuse_at = began + self._patience_s
        left_s = self._refuse_at - self._loop.time()
        if left_s <= 0 or not isinstance(self.last, _PASSING):
            self._stall()
        elif self._timer is None:
            self._timer = self._loop.call_later(left_s, self._stall)

    def over(self) -> None:
        """Note that a commit worked: new requests are taken again."""
        self.last = None
        self._failed = 0
        self._refuse_at = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.stalled is not None:
            self.stalled = None
            self._told(None)

    def close(self) -> None:
        """Refuse nothing more."""
        if self._timer is not None:
            self._timer.cancel()

    def _stall(self) -> None:
        """Refuse new requests until a commit works."""
        fault = self.last
        if fault is None:
            return
        if self.stalled is None:
            self._told(fault)
        self.stalled = fault
        if isinstance(fault, OutcomeUnknown):  # of others: these were not tried
            fault = StoreUnavailable(str(fault))
        self._refuse(fault)
