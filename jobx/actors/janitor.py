"""The janitor: removes what nobody needs any more, in slices, in a thread of its own.

What it removes it finds by index: requests by their end, plans and code by what refers to them.
After each of its commits it leaves the store to others for as long as that has taken.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from jobx.actors import code_sweep
from jobx.actors.orphans import Orphans, RequestNames
from jobx.config import FilesSettings
from jobx.errors import JobxError, Unavailable
from jobx.handlers.authoring.library import Library
from jobx.handlers.files import opening
from jobx.kv.blobs import BlobFolder
from jobx.kv.requests import deliveries, kept_requests
from jobx.kv.requests.kept_requests import FinishedRequest
from jobx.kv.store import Store, Write

#: Requests that are removed with one commit: at first, and within which bounds.
BATCH: Final = 128
MIN_BATCH: Final = 64
MAX_BATCH: Final = 512
#: How long one commit should take; batches grow and shrink towards it.
COMMIT_S: Final = 0.03
#: Events of a request that are removed with one commit, when it has more.
LOG_SLICE: Final = 1000
#: So many of them are one unit: no store takes less.
UNIT: Final = 100
#: Requests of 1.0.0 that are listed with one commit.
UPGRADE_BATCH: Final = 64
#: How much longer a request is kept whose result is still on its way, or whose blobs stay.
LATER_S: Final = 600.0
_LEAST_PAUSE_S: Final = 0.002

_log = logging.getLogger(__name__)


class Janitor:
    """Removes expired requests, folders without a request, and code that no request needs.

    Its methods block, for long where there is much to do: run them in a thread, one at a time.
    ``stop`` may be called from any.

    Args:
        store: Where requests are.
        blobs: Where their large values are.
        library: What the node knows of workflows.
        retention_s: How long a finished request is kept.
        now_at: The wall clock: retention is promised to people.
        now: Monotonic seconds.
        is_open: Tells whether the node works at a request; from any thread.
    """

    def __init__(
        self,
        store: Store,
        blobs: BlobFolder,
        library: Library,
        *,
        retention_s: float,
        now_at: Callable[[], float],
        now: Callable[[], float] = time.monotonic,
        is_open: Callable[[RequestNames], bool] = lambda _: False,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._library = library
        self._retention_s = retention_s
        self._now_at = now_at
        self._now = now
        self._stopping = threading.Event()
        self._batch = BATCH
        self._orphans = Orphans(store, blobs, is_open)

    def stop(self) -> None:
        """End what is under way within one slice, for good."""
        self._stopping.set()

    def sweep(self) -> int:
        """Remove all requests that have expired; return how many."""
        self._upgrade()
        removed = 0
        while not self._stopping.is_set():
            before_at, limit = self._now_at() - self._retention_s, self._batch
            found = kept_requests.expired(self._store, before_at, limit)
            removed += self._remove(found)
            if len(found) < limit:
                break
        return removed

    def _upgrade(self) -> None:
        """List what 1.0.0 finished; there is some once, after an upgrade."""
        while not self._stopping.is_set():
            units = kept_requests.upgrade(self._store, UPGRADE_BATCH)
            if not units:
                break
            self._commit(units)

    def _remove(self, found: Sequence[FinishedRequest]) -> int:
        """Remove finished requests: their blobs first, so that nothing can be left behind."""
        units: list[list[Write]] = []
        refused: list[str] = []
        removed = 0
        for item in found:
            if self._stopping.is_set():
                break
            if self._must_stay(item) or not self._remove_blobs(item, refused):
                later = self._now_at() - self._retention_s + LATER_S
                units.append(kept_requests.postpone_writes(self._store, item, later))
                continue
            if self._shorten(item):
                units.append(kept_requests.purge_writes(item))
                removed += 1
        if refused:  # they have one reason, as a rule: a line for each would fill a log
            _log.warning(
                "requests are kept because their blobs cannot be removed now: %d, the first %s",
                len(refused),
                refused[0],
            )
        self._commit(units)
        return removed

    def _must_stay(self, item: FinishedRequest) -> bool:
        names = item.workflow, item.request_id
        return item.has_delivery and deliveries.is_pending(self._store, *names)

    def _remove_blobs(self, item: FinishedRequest, refused: list[str]) -> bool:
        """Remove what a request has in blobs; return whether nothing of it is left.

        ``refused`` takes what the disk said against it.
        """
        try:
            return self._blobs.remove(item.workflow, item.request_id, self._stopping.is_set)
        except JobxError as error:
            refused.append(f"{item.workflow}/{item.request_id}: {error}")
            return False

    def _shorten(self, item: FinishedRequest) -> bool:
        """Remove a long log in slices, once its request is out of sight; False when stopped."""
        if item.events <= LOG_SLICE:
            return True
        self._commit([kept_requests.hide_writes(item)])
        for first in range(0, item.events, LOG_SLICE):
            if self._stopping.is_set():
                return False  # the rest is found by its marker
            stop = first + LOG_SLICE
            starts = range(first, min(stop, item.events), UNIT)
            self._commit([kept_requests.log_writes(item, n, min(UNIT, stop - n)) for n in starts])
        return True

    def _commit(self, units: list[list[Write]]) -> None:
        """Commit, leave the store to others for as long, and size the next batch by that."""
        if not any(units):
            return
        began = self._now()
        outcomes = self._store.commit_many([[unit] for unit in units])
        took_s = self._now() - began
        wanted = int(self._batch * COMMIT_S / max(took_s, 1e-3))
        self._batch = max(MIN_BATCH, min(MAX_BATCH, 2 * self._batch, wanted))
        self._pause(took_s)
        for outcome in outcomes:
            if outcome.error is not None:
                raise outcome.error

    def _pause(self, took_s: float) -> None:
        self._stopping.wait(max(took_s, _LEAST_PAUSE_S))

    def sweep_folders(self) -> int:
        """Look for blob folders without a request, one piece of all a call; return how many went.

        Call it as often as ``sweep``: what has had no request for ``orphans.ROUNDS`` calls goes.
        """
        return self._orphans.sweep(self._stopping.is_set)

    def sweep_code(self) -> int:
        """Remove plans and handler versions that nothing needs; return how many keys."""
        if not kept_requests.is_upgraded(self._store):
            return 0  # what 1.0.0 finished does not say yet what it refers to
        removed = 0
        for workflow in code_sweep.workflows(self._store):
            began = self._now()
            removed += code_sweep.sweep(self._store, self._library, workflow)
            self._pause(self._now() - began)
            if self._stopping.is_set():
                break
        return removed

    def sweep_files(self, settings: FilesSettings) -> int:
        """Remove shared files that their writers left unfinished; return how many.

        It may take long: run it in a thread of its own.

        Raises:
            Unavailable: Their store does not answer.
        """
        if not settings.location:
            return 0
        try:
            return opening.connect(settings).clean(self._now_at() - settings.temp_age_s)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise Unavailable(f"shared files were not cleaned: {reason}") from error
