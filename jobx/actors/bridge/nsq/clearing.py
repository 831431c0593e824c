"""Has nsqd's remove the queues of nodes that have gone, without their ports for HTTP.

An nsqd keeps an ephemeral queue until its last reader leaves it. What is sent to a node that has
just gone makes a new one, which has never had a reader. So it gets one, which leaves at once. That
one takes no messages: if the node is back meanwhile, nothing happens. An nsqd that does not answer
is asked again, since it may only stand still: then it still has its queues.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from nsq import protocol

from jobx.actors.bridge.nsq.clients import Server, channel_of
from jobx.actors.bridge.nsq.connection import Access, Connection
from jobx.actors.bridge.transport import is_ephemeral

#: When a queue is removed: nobody who knows that its node has gone sends to it any more. An nsqd
#: that did not answer is asked again after the same time, so what was added first stays first.
CLEAR_S: Final = 5.0
#: So often an nsqd is asked in vain, for some ten minutes, until its queues are left to it.
TRIES: Final = 100


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
        #: How often a server was asked in vain, one time after the other.
        self._failures: dict[Server, int] = {}
        self._timer: asyncio.Handle | None = None
        self._connection: Connection | None = None
        self._is_subscribing = self._is_done = False

    def add(self, server: Server, topics: Iterable[str]) -> None:
        """Remove queues in a while, unless they have a reader; nsqd keeps those of other names."""
        if queues := [(server, topic) for topic in filter(is_ephemeral, topics)]:
            self._failures.pop(server, None)
            self._put_off(queues)
            self._wait()

    def _put_off(self, queues: Iterable[tuple[Server, str]]) -> None:
        for queue in queues:
            self._due.pop(queue, None)
            self._due[queue] = self._loop.time() + CLEAR_S

    def close(self) -> None:
        """Remove nothing more."""
        self._due.clear()
        self._is_done = True
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
        self._is_subscribing = self._is_done = False
        self._connection = Connection(
            *server,
            self._access,
            on_ready=lambda connection: self._subscribe(connection, topic),
            on_message=lambda _: None,
            on_answer=self._answered,
            on_closed=lambda *_: self._closed(server, topic),
        )
        self._connection.connect()

    def _subscribe(self, connection: Connection, topic: str) -> None:
        self._is_subscribing = True
        connection.send(protocol.subscribe(topic, channel_of(topic)))

    def _answered(self) -> None:
        if self._is_subscribing and self._connection is not None:
            self._is_done = True
            self._connection.close()

    def _closed(self, server: Server, topic: str) -> None:
        self._connection = None
        if self._is_done:
            self._failures.pop(server, None)
        else:
            self._failed(server, topic)
        self._wait()

    def _failed(self, server: Server, topic: str) -> None:
        """Ask again later, but not for ever; if the server cannot be used, for all its queues."""
        others = [queue for queue in self._due if queue[0] == server]
        failures = self._failures.pop(server, 0) + 1
        if failures < TRIES:
            self._failures[server] = failures
            self._put_off([(server, topic), *([] if self._is_subscribing else others)])
        else:
            for queue in others:
                del self._due[queue]
