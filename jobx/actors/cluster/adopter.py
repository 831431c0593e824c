"""Has a node adopt its share of what lost nodes leave: when one is lost, and now and then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from typing import Final

from jobx.actors.cluster.adoption import Adoption, Inherited
from jobx.errors import JobxError
from jobx.kv.leases import Holders

_log: Final = logging.getLogger(__name__)


class Adopter:
    """Looks in a thread, and tells on the loop what was found. On the loop only.

    Args:
        adoption: What looks.
        thread: Where it does.
        adopt: Hears of each look that found something.
    """

    def __init__(
        self, adoption: Adoption, thread: Executor, adopt: Callable[[Inherited], object]
    ) -> None:
        self._adoption = adoption
        self._thread = thread
        self._adopt = adopt
        self._has_news = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run())

    def saw(self, holders: Holders, prefix: str) -> None:
        """Take note of who is in the cluster; look at once if somebody has left it."""
        if self._adoption.saw(holders, prefix):
            self._has_news.set()

    def stop(self) -> None:
        """Adopt nothing more."""
        self._task.cancel()

    async def _run(self) -> None:
        has_failed = False
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._has_news.wait(), self._adoption.pause_s)
            self._has_news.clear()
            try:
                has_failed = not await self._look(is_told=not has_failed)
            except Exception:  # noqa: BLE001 - a fault in one round must not end all further ones
                _log.exception("what lost nodes left is not adopted")

    async def _look(self, *, is_told: bool) -> bool:
        """Look once; return False if the store failed."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._thread, self._adoption.look)
        except JobxError as error:
            if is_told:
                _log.warning("what lost nodes left is not adopted yet: %s", error)
            return False
        if any(found):
            self._adopt(found)
        return True
