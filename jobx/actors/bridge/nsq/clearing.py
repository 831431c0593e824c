"""Has nsqd's remove the queues of nodes that have gone, without their ports for HTTP.

An nsqd keeps an ephemeral queue until its last reader leaves it. What is sent to a node that has
just gone makes a new one, which has never had a reader. So it gets one, which leaves at once. That
one takes no messages: if the node is back meanwhile, nothing happens.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from nsq import protocol

from jobx.actors.bridge.nsq.clients import Server, channel_of
from jobx.actors.bridge.nsq.connection import Access, Connection
from jobx.actors.bridge.transport import is_ephemeral

#: When a queue is removed: nobody who knows that its node has gone sends to it any more.
CLEAR_S: Final = 5.0


class Clearing:
    """Removes queues one after the other, over one connection at a time.

    Args:
        access: TLS and secret, for all nsqd's.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._loop = asyncio.get_running_loop()
        #: Queues, with the time when they are removed; the first one is next.
        self._due: dict[tuple[Server, str], float] = {}
        self._timer: asyncio.Handle | None = None
        self._connection: Connection | None = None
        self._is_subscribing = False

    def add(self, server: Server, topics: Iterable[str]) -> None:
        """Remove queues in a while, unless they have a reader; nsqd keeps those of other names."""
        for topic in filter(is_ephemeral, topics):
            self._due.pop((server, topic), None)
            self._due[server, topic] = self._loop.time() + CLEAR_S
        self._wait()

    def close(self) -> None:
        """Remove nothing more."""
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
        if self._connection is not None:
            self._connection.close()

    def _wait(self) -> None:
        if self._due and self._timer is None and self._connection is None:
            self._timer = self._loop.call_at(next(iter(self._due.values())), self._begin)

    def _begin(self) -> None:
        self._timer = None
        if not self._due or next(iter(self._due.values())) > self._loop.time():
            self._wait()  # it has been put off
            return
        server, topic = next(iter(self._due))
        del self._due[server, topic]
        self._is_subscribing = False
        self._connection = Connection(
            *server,
            self._access,
            on_ready=lambda connection: self._subscribe(connection, topic),
            on_message=lambda _: None,
            on_answer=self._answered,
            on_closed=lambda *_: self._closed(server),
        )
        self._connection.connect()

    def _subscribe(self, connection: Connection, topic: str) -> None:
        self._is_subscribing = True
        connection.send(protocol.subscribe(topic, channel_of(topic)))

    def _answered(self) -> None:
        if self._is_subscribing and self._connection is not None:
            self._connection.close()

    def _closed(self, server: Server) -> None:
        """Go on; a server that is gone has no queues, and one that is only silent keeps them."""
        self._connection = None
        if not self._is_subscribing:
            self._due = {key: due for key, due in self._due.items() if key[0] != server}
        self._wait()
