"""Periodic tasks of a node."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from functools import partial
from typing import Any

from jobx.errors import JobxError

_log = logging.getLogger(__name__)


class Periodic:
    """Repeats calls in threads; further rounds follow a failed one.

    The first of several failed rounds in a row is logged.
    """

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def every(
        self,
        every_s: float,
        threads: Executor | None,
        *calls: Callable[[], object],
        after: Callable[[], object] = lambda: None,
    ) -> None:
        """Make calls one after the other, in a thread, and then ``after`` on the loop.

        Args:
            every_s: How long to wait before each round.
            threads: Where they run; None: in the threads of the loop.
            calls: What is called.
            after: What is called when none of them raised.
        """
        self.once(self._repeat(every_s, threads, calls, after))

    def once(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something on the loop once, concurrently."""
        self._tasks.append(asyncio.get_running_loop().create_task(work))

    def stop(self) -> None:
        """Start nothing more; running threads finish."""
        for task in self._tasks:
            task.cancel()

    async def _repeat(
        self,
        every_s: float,
        threads: Executor | None,
        calls: tuple[Callable[[], object], ...],
        after: Callable[[], object],
    ) -> None:
        loop = asyncio.get_running_loop()
        has_failed = False
        call: Callable[[], object] = after
        while True:
            await asyncio.sleep(every_s)
            try:
                for call in calls:
                    await loop.run_in_executor(threads, call)
                call = after
                call()
                has_failed = False
            except JobxError as error:
                if not has_failed:
                    text = "periodic task %s failed (every %g s): %s"
                    _log.warning(text, _name(call), every_s, error)
                has_failed = True
            except Exception:  # noqa: BLE001 - a fault in one round must not end all further ones
                _log.exception("periodic task %s failed (every %g s)", _name(call), every_s)


def _name(call: Callable[[], object]) -> str:
    """Return what a call is called, for people."""
    named = call.func if isinstance(call, partial) else call
    return str(getattr(named, "__qualname__", named)).replace(".<locals>", "")
