"""Marks of open requests: those that come while some are written go out together, as one batch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final

from jobx.actors.messages import RequestKey
from jobx.actors.threads import SerialThread
from jobx.kv.requests import lives
from jobx.kv.requests.lives import OpenRequest
from jobx.kv.store import Store

#: Marks of one batch, so that commits of logs wait for no more than these.
MOST: Final = 500

_log = logging.getLogger(__name__)


class Marks:
    """Writes marks in a thread; on the loop only.

    Args:
        store: The store.
        thread: Writes them; it has other work, too.
    """

    def __init__(self, store: Store, thread: SerialThread) -> None:
        self._store = store
        self._thread = thread
        self._next: dict[tuple[str, RequestKey], OpenRequest] = {}
        self._is_writing = False
        #: What waits for the marks that are written now, and for those that follow.
        self._after: list[Callable[[], None]] = []
        self._after_next: list[Callable[[], None]] = []

    def add(self, requests: Iterable[OpenRequest]) -> None:
        """Write marks; of several of one request that still wait, the last."""
        for one in requests:
            self._next[one.node_id, RequestKey(one.workflow, one.request_id)] = one
        self._go_on()

    def then(self, call: Callable[[], None]) -> None:
        """Call something once all marks that were added before are written, or were tried."""
        if self._next:
            self._after_next.append(call)
        elif self._is_writing:
            self._after.append(call)
        else:
            call()

    def _go_on(self) -> None:
        if self._is_writing or not self._next:
            return
        self._is_writing = True
        keys = list(islice(self._next, MOST))
        batch = [self._next.pop(key) for key in keys]
        if not self._next:
            self._after, self._after_next = self._after_next, []
        self._thread.call(lambda: lives.take_up(self._store, batch), self._written)

    def _written(self, _: object, error: BaseException | None) -> None:
        if error is not None:  # they continue; a death of the node counts for none of them
            _log.warning("open requests could not be marked: %s", error)
        self._is_writing = False
        after, self._after = self._after, []
        for call in after:
            call()
        self._go_on()
