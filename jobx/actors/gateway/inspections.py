"""Reads of whole logs, for traces and graphs: in separate threads, with a limit on their number.

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
#: When a refused caller should ask again.
AGAIN_S: Final = 1.0


class Inspections:
    """Runs long reads; for one event loop.

    Args:
        threads: The threads that read.
    """

    def __init__(self, threads: Executor) -> None:
        self._threads = threads
        self._open: set[Future[Any]] = set()

    async def run(self, read: Callable[[], T]) -> T:
        """Return the result of a read. A read without a waiting caller is not started.

        Raises:
            Overloaded: Too many reads are running or waiting.
        """
        if len(self._open) >= MOST:
            raise Overloaded(f"{MOST} traces and graphs are being read", AGAIN_S)
        future = self._threads.submit(read)
        self._open.add(future)
        future.add_done_callback(self._open.discard)
        return await asyncio.wrap_future(future)
