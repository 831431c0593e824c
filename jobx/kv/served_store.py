"""The part of a store that both APIs of etcd share."""

from __future__ import annotations

import time
from abc import abstractmethod

from jobx.kv.store import ChainStore, Entry


class ServedStore(ChainStore):
    """A store on servers, which can be watched from a revision on."""

    @abstractmethod
    def _seen(self, key: str) -> tuple[Entry | None, int]:
        """Return an entry, and the store's revision at the read."""

    @abstractmethod
    def _look(self, key: str, revision: int, limit_s: float) -> None:
        """Wait for a change of ``key`` from this revision on; it may end earlier."""

    def get(self, key: str) -> Entry | None:
        """See ``Store.get``."""
        return self._seen(key)[0]

    def wait(self, key: str, revision: int, timeout_s: float) -> Entry | None:
        """See ``Store.wait``."""
        deadline = time.monotonic() + timeout_s
        while True:
            entry, seen = self._seen(key)
            if (entry.revision if entry else 0) != revision:
                return entry
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return None
            self._look(key, seen + 1, left_s)

    def size_bytes(self) -> int:
        """See ``Store.size_bytes``: the data is on other machines."""
        return 0

    def check(self) -> None:
        """See ``Store.check``: the servers check their data."""
