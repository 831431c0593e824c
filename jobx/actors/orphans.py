"""Blob folders that have no request: all folders are looked through for them, over and over.

Each round looks at one piece of them, so its cost does not grow with what is kept. Age is counted
in rounds: a node that stood still for an hour has not looked for an hour either.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final, TypeAlias

from jobx.errors import EntryDamaged, JobxError
from jobx.kv import keys
from jobx.kv.blobs import BlobFolder
from jobx.kv.store import Store

#: Folders that are looked at in one round, and that are removed in one at most.
PIECE: Final = 500
#: Rounds for which a folder has no request before it is removed: it may be about to be accepted.
ROUNDS: Final = 60
#: Folders without a request that are remembered; others are found in a later pass.
MOST: Final = 10_000

#: A workflow and the id of a request.
Names: TypeAlias = tuple[str, str]

_log = logging.getLogger(__name__)


class Orphans:
    """Finds and removes folders that a dead process left without a request; for one thread.

    Args:
        store: Where requests are.
        blobs: Where the folders are.
        is_open: Tells whether the node works at a request, which may not be in the store yet.
    """

    def __init__(self, store: Store, blobs: BlobFolder, is_open: Callable[[Names], bool]) -> None:
        self._store = store
        self._blobs = blobs
        self._is_open = is_open
        self._round = 0
        #: The round in which each was found to have no request; the first found comes first.
        self._found: dict[Names, int] = {}
        self._pass: Iterator[Names] = iter(())

    def sweep(self, is_stopping: Callable[[], bool]) -> int:
        """Do one round: remove what has had no request for long, look at the next piece.

        Returns:
            How many were removed.
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
        removed = 0
        for names in due:
            if is_stopping():
                break
            del self._found[names]
            try:
                removed += self._is_orphan(names) and self._blobs.remove(*names, is_stopping)
            except JobxError as error:  # it is found again in the next pass
                _log.warning("a blob folder without a request cannot be removed now: %s", error)
        return removed

    def _is_orphan(self, names: Names) -> bool:
        try:
            return not self._is_open(names) and self._store.get(_key(names)) is None
        except EntryDamaged:  # there is a request
            return False


def _key(names: Names) -> str:
    return keys.entity("request", *names)
