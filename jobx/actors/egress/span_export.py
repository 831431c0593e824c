"""Sends the spans of ended requests to a collector, one request after the other.

They are made from the ended log by whoever reads logs, and are best effort: the log is the truth.
A collector that is away costs nothing but the spans: what waits is bounded, and what is dropped is
counted and logged.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from jobx.actors.egress.otlp import SEND_S
from jobx.actors.messages import RequestKey
from jobx.actors.threads import BoundedCalls
from jobx.errors import JobxError, Unavailable

#: Requests whose spans may wait.
MOST_WAITING: Final = 1_000
#: How long it may take to read the spans of a request, and to send them.
READ_S: Final = 60.0
#: Pause after a collector took none.
AGAIN_S: Final = 5.0
#: How often it is logged at most that spans are dropped.
LOG_S: Final = 60.0

_log = logging.getLogger(__name__)


class SpanExport:
    """Sends spans of requests; for one event loop.

    Args:
        read: Returns the trace of an ended request, as JSON.
        send: Sends the spans of a trace; blocks, and raises when the collector does not take them.
        counted: Called for each request with what became of its spans: ``sent`` or ``dropped``.
    """

    def __init__(
        self,
        read: Callable[[RequestKey], Awaitable[bytes]],
        send: Callable[[bytes], None],
        counted: Callable[[str], object],
    ) -> None:
        self._read = read
        self._send = send
        self._counted = counted
        self._calls = BoundedCalls()
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[RequestKey] = deque()
        self._running: asyncio.Task[None] | None = None
        self._dropped = 0
        self._logged_s = -LOG_S

    def begin(self, key: RequestKey) -> None:
        """Send the spans of a request that has ended, when it is its turn."""
        if len(self._waiting) >= MOST_WAITING:
            self._drop(Unavailable(f"{MOST_WAITING} requests wait for the collector"))
            return
        self._waiting.append(key)
        if self._running is None:
            self._running = self._loop.create_task(self._run())

    def close(self) -> None:
        """Send nothing more."""
        if self._running is not None:
            self._running.cancel()
        self._waiting.clear()

    async def _run(self) -> None:
        while self._waiting:
            try:
                await self._export(self._waiting.popleft())
            except Exception as error:  # noqa: BLE001 - no span is worth more than this
                self._drop(error)
                if not isinstance(error, JobxError) or isinstance(error, Unavailable):
                    await asyncio.sleep(AGAIN_S)
            else:
                self._counted("sent")
        self._running = None

    async def _export(self, key: RequestKey) -> None:
        async with asyncio.timeout(READ_S):
            trace = await self._read(key)
        await self._calls.run("spans", lambda: self._send(trace), 2 * SEND_S)

    def _drop(self, error: Exception) -> None:
        self._dropped += 1
        self._counted("dropped")
        now_s = self._loop.time()
        if now_s - self._logged_s >= LOG_S:
            text = "the spans of %d requests were not sent: %s"
            _log.warning(text, self._dropped, error or type(error).__name__)
            self._logged_s, self._dropped = now_s, 0
