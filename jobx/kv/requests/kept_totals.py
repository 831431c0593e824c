"""How many requests are kept and what they take; which go first when that is too much.

The totals are in memory. Each look reads only what has ended since the last one; now and then all
is counted again, since others remove requests, too.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import Final

from jobx.kv import keys
from jobx.kv.prefixes import branches
from jobx.kv.requests import kept_requests
from jobx.kv.requests.kept_requests import FinishedRequest
from jobx.kv.store import Store

#: How often all is counted again.
AGAIN_S: Final = 3600.0
_PAGE: Final = 1000


class KeptTotals:
    """The totals of requests that are kept as long as the deployment says; for one thread.

    Those that are pinned, or have a retention of their own, neither count nor go.

    Args:
        store: Where they are.
        max_requests: Most of them; 0: no limit.
        max_bytes: Most bytes of them; 0: no limit.
        now: Monotonic seconds.
    """

    def __init__(
        self, store: Store, max_requests: int, max_bytes: int, now: Callable[[], float]
    ) -> None:
        self._store = store
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._now = now
        self._counted_at: float | None = None
        self._seen: dict[str, str] = {}
        self.requests = 0
        self.size_bytes = 0

    def excess(self, limit: int) -> list[FinishedRequest]:
        """Return at most ``limit`` requests that are too many, those first that ended first.

        They no longer count: who removes them does so at once.
        """
        if not (self._max_requests or self._max_bytes):
            return []
        self._look()
        found: list[FinishedRequest] = []
        if not self._is_too_much():
            return found
        for kept in heapq.merge(*map(self._each, branches(self._store, keys.KEPT, 2)), key=_end):
            if len(found) == limit or not self._is_too_much():
                break
            found.append(kept)
            self.requests -= 1
            self.size_bytes -= kept.size_bytes
        return found

    def _is_too_much(self) -> bool:
        return (0 < self._max_requests < self.requests) or (0 < self._max_bytes < self.size_bytes)

    def _look(self) -> None:
        """Count what has ended since the last look, or all."""
        now = self._now()
        if self._counted_at is None or now - self._counted_at > AGAIN_S:
            self._counted_at, self._seen = now, {}
            self.requests = self.size_bytes = 0
        for branch in branches(self._store, keys.KEPT, 2):
            for kept in self._each(branch, self._seen.get(branch)):
                self._seen[branch] = kept.marker
                self.requests += 1
                self.size_bytes += kept.size_bytes

    def _each(self, branch: str, after: str | None = None) -> Iterator[FinishedRequest]:
        while found := kept_requests.oldest(self._store, branch, after, _PAGE):
            yield from found
            after = found[-1].marker


def _end(kept: FinishedRequest) -> str:
    return kept.marker.rsplit("/", 2)[1]
