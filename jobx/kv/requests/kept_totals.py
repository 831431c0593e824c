"""How many requests are kept and what they take; which go first when that is too much.

The totals are in memory. Each look reads only what has ended since the last one. Others remove
requests, too, so all is counted again now and then, and before anything goes if that is cheap.
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
#: … and where something is too much: after so many times as long as the last count took.
CHEAP: Final = 300.0
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
        self._took_s = 0.0
        self._seen: dict[str, str] = {}
        self.requests = 0
        self.size_bytes = 0

    def excess(self, limit: int, behind: str = "") -> list[FinishedRequest]:
        """Return at most ``limit`` requests that are too many, those first that ended first.

        They no longer count: who removes them does so at once, and says which ones stay.

        Args:
            limit: Largest number of them.
            behind: Only those behind this place; see ``place``.
        """
        if not (self._max_requests or self._max_bytes):
            return []
        self._refresh()
        found: list[FinishedRequest] = []
        if not self._is_too_much():
            return found
        each = [self._each(one, one + behind) for one in branches(self._store, keys.KEPT, 2)]
        for kept in heapq.merge(*each, key=place):
            if len(found) == limit or not self._is_too_much():
                break
            found.append(kept)
            self._add(kept, -1)
        return found

    def stays(self, kept: FinishedRequest) -> None:
        """Count a request again that cannot be removed now."""
        self._add(kept, 1)

    def _add(self, kept: FinishedRequest, count: int) -> None:
        self.requests += count
        self.size_bytes += count * kept.size_bytes

    def _is_too_much(self) -> bool:
        return (0 < self._max_requests < self.requests) or (0 < self._max_bytes < self.size_bytes)

    def _refresh(self) -> None:
        """Count what has ended since the last look, or all."""
        if self._counted_at is None or self._now() - self._counted_at > AGAIN_S:
            self._count()
            return
        self._look()
        if self._is_too_much() and self._now() - self._counted_at > CHEAP * self._took_s:
            self._count()

    def _count(self) -> None:
        began = self._now()
        self._seen = {}
        self.requests = self.size_bytes = 0
        self._look()
        self._counted_at = self._now()
        self._took_s = self._counted_at - began

    def _look(self) -> None:
        for branch in branches(self._store, keys.KEPT, 2):
            for kept in self._each(branch, self._seen.get(branch)):
                self._seen[branch] = kept.marker
                self._add(kept, 1)

    def _each(self, branch: str, after: str | None = None) -> Iterator[FinishedRequest]:
        while found := kept_requests.oldest(self._store, branch, after, _PAGE):
            yield from found
            after = found[-1].marker


def place(kept: FinishedRequest) -> str:
    """Return where a request stands among those of all plans: by its end."""
    return "/".join(kept.marker.rsplit("/", 2)[1:])
