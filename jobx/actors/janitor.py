"""The janitor: removes expired and unused data, in slices, in its own thread.

It finds the data by index: requests by their end, plans and code by their references. After each
of its commits it leaves the store to others for as long as the commit has taken.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from jobx.actors import code_sweep
from jobx.actors.orphans import Orphans, RequestNames
from jobx.actors.paced_commits import PacedCommits
from jobx.config_sections import FilesSettings
from jobx.errors import EntryDamaged, InUse, JobxError, Unavailable
from jobx.handlers.authoring.library import Library
from jobx.handlers.files import opening
from jobx.kv.blobs import BlobFolder
from jobx.kv.leases import Lease
from jobx.kv.requests import (
    deliveries,
    indexing,
    kept_requests,
    kept_totals,
    older_requests,
    removal,
    request_counts,
)
from jobx.kv.requests.kept_requests import FinishedRequest
from jobx.kv.requests.kept_totals import KeptTotals
from jobx.kv.store import Store, Write

#: Most events of a long log that one commit removes.
LOG_SLICE: Final = 1000
#: Events per unit; every store takes that many.
UNIT: Final = 100
#: Requests of 1.0.0 that one commit adds to the index.
UPGRADE_BATCH: Final = 64
#: Requests of older versions that are looked at for one commit to the other indexes.
INDEX_BATCH: Final = 128
#: How much longer a request is kept while its result is being delivered, or its blobs cannot be
#: removed.
LATER_S: Final = 600.0
#: How long a round adds to counters at most, but for its last commit.
FOLD_S: Final = 2.0
#: Unreadable entries that are remembered, so that each is named once.
_NAMED: Final = 1000

_log = logging.getLogger(__name__)


class Janitor:
    """Removes expired requests, folders without a request, and code that no request needs.

    Its methods block, possibly for long: run them in a thread, one at a time. ``stop`` may be
    called from any thread.

    Args:
        store: The store of requests.
        blobs: The folders of their large values.
        library: The workflows that the node knows.
        retention_s: How long a finished request is kept whose job does not say it.
        max_requests: How many of these are kept; 0: no limit.
        max_bytes: How many bytes of them are kept; 0: no limit.
        now_at: The wall clock, since retention is promised in calendar time.
        now: Monotonic seconds.
        is_open: Tells whether the node runs a request; called from any thread.
        lease: Of several nodes the one that has it removes what is in the store; None: this one.
    """

    def __init__(
        self,
        store: Store,
        blobs: BlobFolder,
        library: Library,
        *,
        retention_s: float,
        max_requests: int = 0,
        max_bytes: int = 0,
        now_at: Callable[[], float],
        now: Callable[[], float] = time.monotonic,
        is_open: Callable[[RequestNames], bool] = lambda _: False,
        lease: Lease | None = None,
    ) -> None:
        self._lease = lease
        #: By workflow, plans and code that were unneeded in the last sweep.
        self._unneeded: dict[str, frozenset[str]] = {}
        self._store = store
        self._blobs = blobs
        self._library = library
        self._retention_s = retention_s
        self._now_at = now_at
        self._now = now
        self._commits = PacedCommits(store, now)
        self._totals = KeptTotals(store, max_requests, max_bytes, now)
        self._orphans = Orphans(store, blobs, is_open)
        #: Unreadable entries that were named in the log.
        self._named: set[str] = set()
        #: The job whose changes were counted last.
        self._folded = ""

    def stop(self) -> None:
        """Stop for good, within one slice."""
        self._commits.stop()

    def is_stopping(self) -> bool:
        """Tell whether it was stopped, so that what sweeps beside it stops, too."""
        return self._commits.is_stopping

    def is_chosen(self) -> bool:
        """Tell whether this node is the one that sweeps; it is as long as it asks again in time.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        try:
            if self._lease is not None:
                self._lease.renew()
        except InUse:
            return False
        return True

    def sweep(self) -> int:
        """Remove all requests that have expired, or are too many; return how many."""
        if not self.is_chosen():
            return 0
        self._upgrade()
        return self._sweep_expired() + self._sweep_excess()

    def _sweep_excess(self) -> int:
        removed, behind = 0, ""
        while not self.is_stopping():
            found = self._totals.excess(self._commits.batch, behind)
            if not found:
                break
            removed += self._remove(found, self._leave)
            self._fold()
            behind = kept_totals.place(found[-1])
        return removed

    def _leave(self, item: FinishedRequest) -> list[Write]:
        """Have others go in the place of a request that cannot go now."""
        self._totals.stays(item)
        return []

    def _sweep_expired(self) -> int:
        removed = 0
        while not self.is_stopping():
            now_at, limit = self._now_at(), self._commits.batch
            before_at = now_at - self._retention_s
            damaged: list[EntryDamaged] = []
            found = kept_requests.expired(self._store, before_at, limit, now_at, damaged)
            for error in damaged:
                self._name(error)
            removed += self._remove(found, self._postpone)
            self._fold()
            if len(found) < limit:
                break
        return removed

    def _upgrade(self) -> None:
        """Add requests that 1.0.0 finished to the index; needed once, after an upgrade."""
        while not self.is_stopping():
            units = older_requests.upgrade(self._store, UPGRADE_BATCH)
            if not any(self._commits.commit(units, is_raced=True)):
                break

    def count(self) -> None:
        """Add what has changed to the counters of requests, and go on indexing older ones."""
        if not self.is_chosen():
            return
        self._fold()
        self._upgrade()
        is_over = False
        while not (is_over or self.is_stopping()):
            found = indexing.step(self._store, INDEX_BATCH)
            units, progress, _ = found
            is_over = progress.is_done or not (units or progress.after or progress.has_found)
            if units or progress != indexing.read(self._store):
                self._commits.commit(units, is_raced=True)
                indexing.note_step(self._store, found)
                self._fold()

    def _fold(self) -> None:
        """Add what has changed to the counters of requests, for a bounded time.

        Jobs take turns, also from one round to the next: more may end meanwhile than is added.
        """
        damaged: list[EntryDamaged] = []
        end = self._now() + FOLD_S
        found = request_counts.waiting(self._store, damaged)
        turns = deque(sorted(found, key=lambda prefix: (prefix <= self._folded, prefix)))
        while turns and not self.is_stopping() and self._now() < end:
            began = self._now()
            self._folded = turns.popleft()
            try:
                if request_counts.fold_job(self._store, self._folded, damaged):
                    turns.append(self._folded)
                    self._commits.pause(self._now() - began)
            except EntryDamaged as error:
                damaged.append(error)
        for one in damaged:
            self._name(one)

    def _postpone(self, item: FinishedRequest) -> list[Write]:
        later_at = self._now_at() + LATER_S
        return kept_requests.postpone_writes(self._store, item, later_at, self._retention_s)

    def _remove(
        self,
        found: Sequence[FinishedRequest],
        leave: Callable[[FinishedRequest], list[Write]],
    ) -> int:
        """Remove finished requests.

        Their keys in the index go last, so that no blob is orphaned; what users see goes first, so
        that none of them takes a request that is being removed for a damaged one.

        ``leave`` is called with each that must stay for now, and returns what to write then.
        """
        staying = [item for item in found if self._must_stay(item)]
        units = [leave(item) for item in staying]
        stay = {item.marker for item in staying}
        refused: list[str] = []
        removed = 0
        for item in self._out_of_sight([item for item in found if item.marker not in stay]):
            if self.is_stopping():
                break
            if not self._remove_blobs(item, refused):
                units.append(leave(item))
                continue
            if self._shorten(item):
                units.append(removal.purge_writes(item))
                removed += 1
        if refused:  # most often there is one reason: a line for each request would flood the log
            _log.warning(
                "blobs of requests cannot be removed now: %d, the first %s",
                len(refused),
                refused[0],
            )
        self._commits.commit(units, is_raced=True)
        return removed

    def _out_of_sight(self, found: Sequence[FinishedRequest]) -> list[FinishedRequest]:
        """Hide those that cannot be removed with one commit; return what is still to be removed.

        One that another process has postponed, kept or removed meanwhile is left to its new key.
        """
        at_once: list[FinishedRequest] = []
        bulky: list[FinishedRequest] = []
        for item in found:
            is_bulky = item.events > LOG_SLICE or self._blobs.has(item.workflow, item.request_id)
            (bulky if is_bulky else at_once).append(item)
        are_hidden = self._commits.commit(
            [removal.hide_writes(item) for item in bulky], is_raced=True
        )
        hidden = zip(bulky, are_hidden, strict=True)
        return [removal.hidden(item) for item, is_hidden in hidden if is_hidden] + at_once

    def _must_stay(self, item: FinishedRequest) -> bool:
        """Tell whether a delivery needs the request, or may do: one that cannot be read."""
        names = item.workflow, item.request_id
        try:
            return item.has_delivery and deliveries.is_pending(self._store, *names)
        except EntryDamaged as error:
            self._name(error)
            return True

    def _name(self, error: EntryDamaged) -> None:
        """Say once what cannot be read, and so stays."""
        key = str(error.args[0])
        if key in self._named:
            return
        if len(self._named) >= _NAMED:
            self._named.clear()
        self._named.add(key)
        _log.error("what belongs to it is not removed: %s", error)

    def _remove_blobs(self, item: FinishedRequest, refused: list[str]) -> bool:
        """Remove the blobs of a request; return whether all of them are gone.

        ``refused`` collects the errors of the disk.
        """
        try:
            return self._blobs.remove(item.workflow, item.request_id, self.is_stopping)
        except JobxError as error:
            refused.append(f"{item.workflow}/{item.request_id}: {error}")
            return False

    def _shorten(self, item: FinishedRequest) -> bool:
        """Remove a long log in slices; False when stopped."""
        if item.events <= LOG_SLICE:
            return True
        for first in range(0, item.events, LOG_SLICE):
            if self.is_stopping():
                return False  # the rest is found by its marker
            stop = first + LOG_SLICE
            starts = range(first, min(stop, item.events), UNIT)
            self._commits.commit([removal.log_writes(item, n, min(UNIT, stop - n)) for n in starts])
        return True

    def sweep_folders(self) -> int:
        """Remove blob folders without a request, a part of them per call; return how many.

        Call it as often as ``sweep``: a folder without a request for ``orphans.ROUNDS`` calls goes.
        """
        return self._orphans.sweep(self.is_stopping)

    def sweep_code(self) -> int:
        """Remove plans and code that are unused since the last sweep; return how many keys."""
        if not (self.is_chosen() and older_requests.is_upgraded(self._store)):
            self._unneeded = {}
            return 0  # requests that 1.0.0 finished do not show their references yet
        removed, before, self._unneeded = 0, self._unneeded, {}
        for workflow in code_sweep.workflows(self._store):
            began = self._now()
            seen = before.get(workflow, frozenset())
            count, left = code_sweep.sweep(self._store, self._library, workflow, seen)
            self._unneeded[workflow] = left
            removed += count
            self._commits.pause(self._now() - began)
            if self.is_stopping():
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
