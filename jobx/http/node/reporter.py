"""Reports what a web worker counts to its node."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from jobx.errors import JobxError
from jobx.http.metering import Meter
from jobx.http.node.client import NodePort

#: How often a web worker reports what it counted.
EVERY_S: Final = 1.0
#: How long the node may take for that.
REPORT_S: Final = 5.0


class Reporter:
    """Reports to the node; for one event loop.

    Args:
        node: The node.
        meter: What is reported.
    """

    def __init__(self, node: NodePort, meter: Meter) -> None:
        self._node = node
        self._meter = meter
        self._turn = asyncio.Lock()
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Report from now on."""
        self._running = asyncio.get_running_loop().create_task(self._run())

    async def stop(self, within_s: float) -> None:
        """Report what is left, if the node takes it in time, and nothing more."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
        await self.report(within_s)

    async def report(self, within_s: float = REPORT_S) -> None:
        """Report what was counted until now; what the node does not take is kept."""
        with suppress(JobxError, TimeoutError):
            async with asyncio.timeout(within_s), self._turn:
                for _ in range(2):  # the one that is open, and what came after it
                    report = self._meter.report()
                    if report is None:
                        return
                    await self._node.call(report, within_s)
                    self._meter.confirm(report.number)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            await self.report()
