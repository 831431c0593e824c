"""A commit of as many rows as a small request needs, and nothing else: the floor of a durable one.

Requests that come during a commit share the next one.
"""

from __future__ import annotations

import threading
from pathlib import Path

from tests.bench import measure
from tests.bench.peers.base import Peer
from tests.bench.peers.rows import Rows
from tests.bench.work import sums_of


class CommitPeer(Peer):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._rows = Rows(folder / "rows.sqlite")
        self._lock = threading.Lock()
        self._waiting: list[threading.Event] = []

    def one(self, number: int) -> dict[int, int]:
        own = threading.Event()
        self._waiting.append(own)
        with self._lock:
            if not own.is_set():
                self._commit()
        return sums_of(number)

    def _commit(self) -> None:
        """Commit for all who wait."""
        group, self._waiting = self._waiting, []
        self._rows.commit(len(group))
        for each in group:
            each.set()

    def close(self) -> None:
        self._rows.close()


if __name__ == "__main__":
    measure.main("commit", CommitPeer)
