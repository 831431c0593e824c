"""Reads of whole logs, for traces and graphs: in threads of their own, and only so many at once.

A log may have a million events, so such a read takes seconds. Quick reads never wait for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, Final, TypeVar

from jobx.errors import Overloaded

T = TypeVar("T")

#: Reads that run or wait for a thread.
MOST: Final = 32
#: How long a caller waits before it asks again.
AGAIN_S: Final = 1.0


class Inspections:
    """Runs reads that take long; for one event loop.

    Args:
        threads: Where they run.
    """

    def __init__(self, threads: Executor) -> None:
        self._threads = threads
        self._open: set[Future[Any]] = set()

    async def run(self, read: Callable[[], T]) -> T:
        """Return what a read gives. One that nobody waits for any more is not begun.

        Raises:
            Overloaded: Too many are wanted.
        """
        if len(self._open) >= MOST:
            raise Overloaded(f"{MOST} traces and graphs are being read", AGAIN_S)
        future = self._threads.submit(read)
        self._open.add(future)
        future.add_done_callback(self._open.discard)
        return await asyncio.wrap_future(future)
