"""Keeps the shared place of blobs, and the copies in the data folder, from growing for ever."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Final

from jobx.actors.orphans import Orphans, RequestNames
from jobx.errors import JobxError
from jobx.handlers.blobs.shared import SharedBlobs
from jobx.kv.blobs import BlobFolder
from jobx.kv.store import Store

#: Folders here that one round looks at.
PIECE: Final = 500
#: Folders at a time, since a place that is far away answers late.
THREADS: Final = 8

_log = logging.getLogger(__name__)


class SharedSweep:
    """Removes folders without a request from the place, and unused copies from here.

    Args:
        store: Where requests are.
        shared: The place.
        blobs: The folders here.
        is_open: Tells whether this node runs a request.
        is_chosen: Tells whether this node is the one that sweeps the place.
        is_there: Tells whether the place answers. While it does not, that was told once, and no
            round fails by it.
    """

    def __init__(
        self,
        store: Store,
        shared: SharedBlobs,
        blobs: BlobFolder,
        is_open: Callable[[RequestNames], bool],
        is_chosen: Callable[[], bool],
        *,
        is_there: Callable[[], bool],
    ) -> None:
        self._shared = shared
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="shared-sweep")
        self._orphans = Orphans(store, shared, is_open, self._threads.map)
        self._blobs = blobs
        self._is_open = is_open
        self._is_chosen = is_chosen
        self._is_there = is_there
        self._stopping = threading.Event()
        self._pass: Iterator[RequestNames] = iter(())

    def stop(self) -> None:
        """Stop for good, after the files at hand."""
        self._stopping.set()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def sweep(self) -> int:
        """Do a round in the place, as ``Orphans.sweep``, if this node is the one that does."""
        return self._orphans.sweep(self._stopping.is_set) if self._may_sweep() else 0

    def clean(self, before_at: float) -> int:
        """Remove what writers of blobs left unfinished before then, as ``sweep``; return how many.

        Raises:
            StoreUnavailable: The place does not answer.
        """
        return self._shared.call(lambda place: place.clean(before_at)) if self._may_sweep() else 0

    def unload(self, unused_s: float) -> int:
        """Remove copies that nobody has used for so long, in some folders; return how many.

        Executors of requests that the node runs read and write theirs, so these stay.

        Raises:
            JobxError: The folder of copies cannot be read; the next round goes on.
        """
        if not self._is_there():
            return 0
        piece = list(islice(self._pass, PIECE))
        if len(piece) < PIECE:
            self._pass = self._blobs.requests()
        return sum(self._threads.map(lambda names: self._try_unload(names, unused_s), piece))

    def _may_sweep(self) -> bool:
        return self._is_there() and self._is_chosen()

    def _try_unload(self, names: RequestNames, unused_s: float) -> int:
        if self._stopping.is_set() or self._is_open(names):
            return 0
        try:
            return self._blobs.unload(*names, unused_s)
        except JobxError as error:
            _log.warning("copies of blobs of %s/%s cannot be removed now: %s", *names, error)
            return 0
