"""Which of many connections to one nsqd are opened now: a node has one for each workflow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from jobx.system.backoff import doubled, luck, spread

#: Connections that are opened at a time: of thousands, nsqd would answer none in time.
MOST: Final = 32
#: Delay after a connection that could not be opened; doubled each time.
FIRST_S: Final = 0.05
MOST_S: Final = 1.0


class Dials:
    """Has clients open their connections, a few at a time, in the order in which they ask.

    While nsqd does not answer, one at a time tries, so an nsqd that is away costs the same for any
    number of clients. Once it answers, twice as many are opened with each connection.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[object, Callable[[], None]] = {}
        self._dialing: set[object] = set()
        self._limit = 1
        self._failures = 0
        self._pause: asyncio.Handle | None = None
        self._is_closed = False

    def ask(self, client: object, dial: Callable[[], None]) -> None:
        """Have ``dial`` called when it is the client's turn; it says later how that ended."""
        if not self._is_closed:
            self._waiting[client] = dial
            self._go_on()

    def opened(self, client: object) -> None:
        """Take note that a client's connection is open."""
        if client in self._dialing:
            self._failures = 0
            self._limit = min(MOST, 2 * self._limit)
            self.leave(client)

    def failed(self, client: object) -> None:
        """Take note that a client's connection could not be opened, and wait for a while."""
        if client in self._dialing:
            self._limit = 1
            delay_s = spread(doubled(FIRST_S, self._failures, MOST_S), luck())
            self._failures += 1
            self._stop_pause()
            self._pause = self._loop.call_later(delay_s, self._resume)
            self.leave(client)

    def leave(self, client: object) -> None:
        """Forget a client."""
        self._waiting.pop(client, None)
        self._dialing.discard(client)
        self._go_on()

    def close(self) -> None:
        """Have nothing more opened."""
        self._is_closed = True
        self._waiting.clear()
        self._stop_pause()

    def _stop_pause(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None

    def _resume(self) -> None:
        self._pause = None
        self._go_on()

    def _go_on(self) -> None:
        while self._waiting and self._pause is None and len(self._dialing) < self._limit:
            client = next(iter(self._waiting))
            self._dialing.add(client)
            self._waiting.pop(client)()
