"""The started parts of a node, which stop in the reverse order."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack

from jobx.actors.periodic import Periodic


class Parts(AsyncExitStack):
    """Keeps the stop of each started part; ``aclose`` calls them."""

    def threads(
        self, count: int, name: str, *, wait: bool = True, cancel_futures: bool = False
    ) -> ThreadPoolExecutor:
        """Start threads; the other arguments are of their ``shutdown``."""
        threads = ThreadPoolExecutor(count, thread_name_prefix=name)
        self.callback(threads.shutdown, wait, cancel_futures=cancel_futures)
        return threads

    def periodic(self) -> Periodic:
        """Start what repeats calls."""
        periodic = Periodic()
        self.callback(periodic.stop)
        return periodic
