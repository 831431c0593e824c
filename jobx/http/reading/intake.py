"""Incoming bodies: bounds their bytes in one web worker, and their time.

A body counts until its request is answered, because it may have to be sent to the node again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from jobx.errors import BodyTooSlow
from jobx.http.byte_budget import ByteBudget

AsgiEvent = dict[str, Any]
AsgiReceive = Callable[[], Awaitable[AsgiEvent]]

#: Key of a request's intake in its ASGI scope.
INTAKE: Final = "jobx.intake"
_NOTHING_YET: Final = {"type": "http.request", "body": b"", "more_body": True}


class Intake:
    """The body of one request, received under a budget and a deadline.

    Nothing is received before the application wants the body. So a request with a bad head is
    refused at once, and a client that asks (``Expect``) continues only when it may.
    """

    def __init__(self, receive: AsgiReceive, budget: ByteBudget, limit_s: float) -> None:
        self._receive = receive
        self._budget = budget
        self._limit_s = limit_s
        self._deadline: float | None = None
        self._taken_bytes = 0
        self.turn = budget.turn

    async def receive(self) -> AsgiEvent:
        """Return the next ASGI event; the first one is made here.

        Raises:
            Overloaded: The bodies of others fill the budget.
            BodyTooSlow: The body did not arrive in time.
        """
        if self._deadline is None:
            self._deadline = time.monotonic() + self._limit_s
            return _NOTHING_YET
        event = await self._next(self._deadline - time.monotonic())
        body = event.get("body")
        if body:
            self.take(len(body))
        return event

    def take(self, count: int) -> None:
        """Take bytes of the budget until this request ends.

        Raises:
            Overloaded: The bodies of others fill it.
        """
        self._budget.take(count, self._taken_bytes)
        self._taken_bytes += count

    def let_go(self, kept_bytes: int) -> None:
        """Give back all bytes except ``kept_bytes``."""
        spare_bytes = max(0, self._taken_bytes - kept_bytes)
        self._budget.give_back(spare_bytes)
        self._taken_bytes -= spare_bytes

    def close(self) -> None:
        """Give back all bytes."""
        self.let_go(0)

    async def _next(self, left_s: float) -> AsgiEvent:
        try:
            async with asyncio.timeout(max(0.0, left_s)):
                return await self._receive()
        except TimeoutError as error:
            limit = f"must be there within {self._limit_s:g} s"
            raise BodyTooSlow("body", f"{self._taken_bytes} bytes", limit) from error
