"""Commits that leave a store to others for as long as each has taken, in batches of fit size."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from jobx.errors import Conflict
from jobx.kv.store import Store, Write

#: Units of one commit: at first, and the bounds.
BATCH: Final = 128
MIN_BATCH: Final = 64
MAX_BATCH: Final = 512
#: How long one commit should take; batches grow and shrink towards it.
COMMIT_S: Final = 0.03
_LEAST_PAUSE_S: Final = 0.002


class PacedCommits:
    """Commits what can wait. For one thread, but any may stop it.

    Args:
        store: The store.
        now: Monotonic seconds.

    Attributes:
        batch: Number of units that the next commit should have.
    """

    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        self.batch = BATCH
        self._store = store
        self._now = now
        self._stopping = threading.Event()

    def stop(self) -> None:
        """End the present pause, and all later ones at once."""
        self._stopping.set()

    @property
    def is_stopping(self) -> bool:
        """Whether it was stopped, so that nothing more should be committed."""
        return self._stopping.is_set()

    def commit(self, units: list[list[Write]], *, is_raced: bool = False) -> list[bool]:
        """Commit, leave the store to others for as long, and size the next batch by that.

        Args:
            units: What is written, each unit by itself.
            is_raced: Another process may have done the same to some of it, which is no error.

        Returns:
            Which units were written.

        Raises:
            JobxError: See ``Store.commit_many``.
        """
        if not any(units):
            return [False] * len(units)
        began = self._now()
        outcomes = self._store.commit_many([[unit] for unit in units])
        took_s = self._now() - began
        wanted = int(self.batch * COMMIT_S / max(took_s, 1e-3))
        self.batch = max(MIN_BATCH, min(MAX_BATCH, 2 * self.batch, wanted))
        self.pause(took_s)
        for outcome in outcomes:
            if outcome.error is not None and not (is_raced and isinstance(outcome.error, Conflict)):
                raise outcome.error
        return [outcome.error is None for outcome in outcomes]

    def pause(self, took_s: float) -> None:
        """Leave the store to others after what has taken so long."""
        self._stopping.wait(max(took_s, _LEAST_PAUSE_S))
