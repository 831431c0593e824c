"""Finds blob folders without a request, by looking through all folders over and over.

Each round looks at one piece of them, so its cost does not grow with the kept requests. Age is
counted in rounds, because a node that was stopped for an hour has not looked for an hour either.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final, Protocol, TypeAlias

from jobx.errors import EntryDamaged, JobxError
from jobx.kv import keys
from jobx.kv.store import Store

#: Folders that one round looks at, and that it removes at most.
PIECE: Final = 500
#: Rounds without a request before a folder is removed; its request may be about to be accepted.
ROUNDS: Final = 60
#: Remembered folders without a request; a later pass finds others.
MOST: Final = 10_000

#: A workflow and the id of a request.
RequestNames: TypeAlias = tuple[str, str]
#: Calls a function with each of a list, as ``map`` does.
Each: TypeAlias = Callable[[Callable[[RequestNames], bool], Iterable[RequestNames]], Iterable[bool]]

_log = logging.getLogger(__name__)


class Folders(Protocol):
    """Where requests have folders: ``BlobFolder``, or a place that nodes share."""

    def requests(self) -> Iterator[RequestNames]:
        """Yield the requests that have a folder."""
        ...

    def remove(self, workflow: str, request_id: str, is_stopping: Callable[[], bool] = ...) -> bool:
        """Remove the folder of a request; return whether it is gone."""
        ...


class Orphans:
    """Finds and removes folders that dead processes left without a request; for one thread.

    Args:
        store: Where requests are.
        blobs: Where the folders are.
        is_open: Tells whether the node runs a request, which may not be in the store yet.
        each: Removes one folder after the other, or some at a time.
    """

    def __init__(
        self,
        store: Store,
        blobs: Folders,
        is_open: Callable[[RequestNames], bool],
        each: Each = map,
    ) -> None:
        self._each = each
        self._store = store
        self._blobs = blobs
        self._is_open = is_open
        self._round = 0
        #: The round in which each was found, in this order.
        self._found: dict[RequestNames, int] = {}
        self._pass: Iterator[RequestNames] = iter(())

    def sweep(self, is_stopping: Callable[[], bool]) -> int:
        """Do one round: remove old folders without a request, and look at the next piece.

        Returns:
            The number of removed folders.

        Raises:
            JobxError: The store cannot be read, or the blob folder; the next round goes on.
        """
        self._round += 1
        removed = self._remove(is_stopping)
        piece = list(islice(self._pass, PIECE))
        if len(piece) < PIECE:
            self._pass = self._blobs.requests()
        for names in piece:
            if len(self._found) < MOST and names not in self._found and self._is_orphan(names):
                self._found[names] = self._round
        return removed

    def _remove(self, is_stopping: Callable[[], bool]) -> int:
        last = self._round - ROUNDS
        due = [names for names, found in islice(self._found.items(), PIECE) if found <= last]
        removed = sum(self._each(lambda names: self._try_remove(names, is_stopping), due))
        for names in due:
            del self._found[names]  # if it stays, the next pass finds it again
        return removed

    def _try_remove(self, names: RequestNames, is_stopping: Callable[[], bool]) -> bool:
        if is_stopping() or not self._is_orphan(names):
            return False
        try:
            return self._blobs.remove(*names, is_stopping)
        except JobxError as error:
            _log.warning("a blob folder without a request cannot be removed now: %s", error)
            return False

    def _is_orphan(self, names: RequestNames) -> bool:
        try:
            return not self._is_open(names) and self._store.get(_key(names)) is None
        except EntryDamaged:  # there is a request
            return False


def _key(names: RequestNames) -> str:
    return keys.entity("request", *names)
