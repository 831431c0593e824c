"""Counts the HTTP requests of one web worker; the node adds up those of all (``CountHttp``).

What was counted is taken away in reports. One that the node may not have got is sent again as it
is, and the node counts it once. So counts survive the end of a web worker, and a node that is
started again begins at zero.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from jobx.counting import LONG_S, Counts, Histogram
from jobx.questions import CountHttp, HttpCount

Send = Callable[[dict[str, Any]], Awaitable[None]]

#: Key of the exchange in its ASGI scope.
EXCHANGE: Final = "jobx.exchange"
#: The header of an answer that is a stream of events.
EVENTS: Final = (b"content-type", b"text/event-stream")
#: The route of an address that does not exist, and the status of an answer that never began.
NONE: Final = "none"


class Exchange:
    """One HTTP request and its answer.

    Args:
        method: Its method.
        send: Sends the answer.

    Attributes:
        route: The address that it was for, in the form of the router.
        status: The status of the answer.
        sent_bytes: The bytes of its body.
        began: When it came, monotonic seconds.
        answered: When its answer began, if that is a stream of events, which lasts as long as its
            client likes; else None.
    """

    __slots__ = ("_send", "answered", "began", "method", "route", "sent_bytes", "status")

    def __init__(self, method: str, send: Send) -> None:
        self._send = send
        self.method = method
        self.route = self.status = NONE
        self.sent_bytes = 0
        self.began = time.monotonic()
        self.answered: float | None = None

    async def send(self, event: dict[str, Any]) -> None:
        """Send a part of the answer."""
        if event["type"] == "http.response.start":
            self.status = str(event["status"])
            if EVENTS in event.get("headers", ()):
                self.answered = time.monotonic()
        else:
            self.sent_bytes += len(event.get("body", b""))
        await self._send(event)


class _Ended(Histogram):
    """How long exchanges with the same labels took, and the bytes that they sent."""

    __slots__ = ("sent_bytes",)

    def __init__(self) -> None:
        super().__init__(LONG_S)
        self.sent_bytes = 0


class Meter:
    """What one web worker counted and has not reported."""

    def __init__(self) -> None:
        self._worker = secrets.token_hex(8)
        self._number = 0
        self._open: CountHttp | None = None
        self._start_anew()

    def _start_anew(self) -> None:
        self._ended: Counts[_Ended] = Counts(_Ended)

    def ended(self, exchange: Exchange) -> None:
        """Count an exchange that has ended."""
        until = time.monotonic() if exchange.answered is None else exchange.answered
        ended = self._ended[exchange.method, exchange.route, exchange.status]
        ended.observe(until - exchange.began)
        ended.sent_bytes += exchange.sent_bytes

    def report(self) -> CountHttp | None:
        """Return the report that is to be sent now; None: there is nothing to say."""
        if self._open is None and self._ended:
            self._number += 1
            counted = [
                HttpCount(labels, ended.counts, ended.total, ended.sent_bytes)
                for labels, ended in self._ended.items()
            ]
            self._open = CountHttp(worker=self._worker, number=self._number, counted=counted)
            self._start_anew()
        return self._open

    def confirm(self, number: int) -> None:
        """Take note that the node has a report."""
        if self._open is not None and self._open.number == number:
            self._open = None
