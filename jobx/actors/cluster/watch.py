"""Follows who holds leases, in a thread."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Final

from jobx.errors import JobxError
from jobx.kv.leases import Holders, Leases

#: How long a look takes at most in which nothing changes.
LOOK_S: Final = 3.0
#: Wait before a store that did not answer is asked again.
AGAIN_S: Final = 0.5
_LOG: Final = logging.getLogger(__name__)


class LeaseWatch:
    """Calls ``saw`` on the loop with all holders, at first and after each change.

    Args:
        leases: The store.
        prefix: What the keys begin with.
        saw: Gets the holders.
    """

    def __init__(self, leases: Leases, prefix: str, saw: Callable[[Holders], None]) -> None:
        self._leases = leases
        self._prefix = prefix
        self._saw = saw
        self._stopped = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="members", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()

    def _run(self) -> None:
        watch = self._leases.watch(self._prefix)
        has_failed = False
        while not self._stopped.is_set():
            try:
                holders = watch.next(LOOK_S)
                has_failed = False
            except JobxError as error:
                if not has_failed and not self._stopped.is_set():
                    _LOG.warning("who is in the cluster is not known: %s", error)
                has_failed = True
                self._stopped.wait(AGAIN_S)
            else:
                if holders is not None:
                    self._tell(holders)

    def _tell(self, holders: Holders) -> None:
        def saw() -> None:
            if not self._stopped.is_set():
                self._saw(holders)

        try:
            self._loop.call_soon_threadsafe(saw)
        except RuntimeError:  # the loop has ended
            self._stopped.set()
