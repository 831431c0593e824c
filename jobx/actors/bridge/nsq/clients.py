"""A subscriber and a publisher: each keeps one connection to one nsqd, and opens it again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from nsq import protocol

from jobx.actors.bridge.nsq.connection import HEARTBEAT_S, Access, Connection
from jobx.actors.bridge.nsq.dials import FIRST_S, MOST_S, Dials
from jobx.actors.bridge.transport import EPHEMERAL, is_ephemeral
from jobx.system.backoff import doubled, luck, spread

#: Messages that nsqd sends before it gets answers.
IN_FLIGHT: Final = 500
#: What a publisher keeps for a slow network; beyond that it drops.
UNSENT_BYTES: Final = 8 << 20
#: How often it is looked whether all messages are confirmed.
FINISH_LOOK_S: Final = 0.005
#: A connection that held for so long is a good one: nsqd refuses some at the second heartbeat only.
STEADY_S: Final = 2.5
_LOG: Final = logging.getLogger(__name__)


def channel_of(topic: str) -> str:
    """Return the one channel of a topic, which goes with it."""
    return f"in{EPHEMERAL}" if is_ephemeral(topic) else "in"


def _ignore() -> None:
    """Do nothing."""


class Server(NamedTuple):
    """Where nsqd listens."""

    host: str
    port: int


class Losses:
    """Logs that a server cannot be reached, and that it is there again: once for many clients."""

    def __init__(self) -> None:
        self._lost: set[Server] = set()

    def lose(self, server: Server, reason: str) -> None:
        """Log that a connection broke, unless one to this server did before."""
        if server not in self._lost:
            self._lost.add(server)
            _LOG.warning("no connection to nsqd %s:%d: %s", *server, reason)

    def find(self, server: Server) -> None:
        """Log that a server is there, if it was not."""
        if server in self._lost:
            self._lost.remove(server)
            _LOG.info("nsqd %s:%d is there", *server)

    def forget(self, server: Server) -> None:
        """Forget a server that no client needs any more; its next loss is named again."""
        self._lost.discard(server)


class _Client:
    """Keeps a connection to one server.

    Args:
        opened: Called when a connection can be used.
        losses: Of all clients of the node; None: this one has its own.
        dials: Say when a connection is opened; None: at once.
        heartbeat_s: See ``Connection``.

    Attributes:
        is_ready: The connection can be used.
    """

    def __init__(
        self,
        server: Server,
        access: Access,
        opened: Callable[[], None],
        *,
        losses: Losses | None,
        dials: Dials | None = None,
        heartbeat_s: int = HEARTBEAT_S,
    ) -> None:
        self.is_ready = False
        self._dials = dials
        self._heartbeat_s = heartbeat_s
        self._losses = losses or Losses()
        self._opened = opened
        self._server = server
        self._access = access
        self._loop = asyncio.get_running_loop()
        self._tries = 0
        self._is_closed = False
        self._again: asyncio.Handle | None = None
        self._steady: asyncio.Handle | None = None
        self._connection: Connection | None = None
        self._dial()

    def close(self) -> None:
        """Close the connection for good."""
        self._is_closed = True
        for timer in (self._again, self._steady):
            if timer is not None:
                timer.cancel()
        if self._dials is not None:
            self._dials.leave(self)
        if self._connection is not None:
            self._connection.close()

    def _dial(self) -> None:
        """Open a connection, at once or when it is this one's turn."""
        if self._dials is not None:
            self._dials.ask(self, self._connect)
        else:
            self._connect()

    def _connect(self) -> None:
        self._connection = Connection(
            *self._server,
            self._access,
            on_ready=self._ready,
            on_message=self._take,
            on_answer=self._answered,
            on_closed=self._closed,
            heartbeat_s=self._heartbeat_s,
        )
        self._connection.connect()

    def _ready(self, connection: Connection) -> None:
        self.is_ready = True
        if self._dials is not None:
            self._dials.opened(self)
        self._opened()

    def _used(self) -> None:
        """Trust the connection when it holds from now on: nsqd refuses some at a command only."""
        if self._steady is None:
            self._steady = self._loop.call_later(STEADY_S, self._held)

    def _held(self) -> None:
        self._losses.find(self._server)
        self._tries = 0

    def _take(self, message: Any) -> None:
        """Take a message; a publisher gets none."""

    def _answered(self) -> None:
        """Take an answer of nsqd; a subscriber needs none."""

    def _closed(self, connection: Connection, reason: str) -> None:
        self.is_ready = False
        if self._dials is not None:
            self._dials.failed(self)
        if self._steady is not None:
            self._steady.cancel()
            self._steady = None
        if self._is_closed:
            return
        if not self._tries:
            self._losses.lose(self._server, reason)
        delay_s = spread(doubled(FIRST_S, self._tries, MOST_S), luck())
        self._tries += 1
        self._again = self._loop.call_later(delay_s, self._dial)


class Subscriber(_Client):
    """Takes in the messages of a topic. Each is finished at once, whatever becomes of it.

    Args:
        topic: Its name.
        receive: Gets the bodies.
    """

    def __init__(
        self,
        server: Server,
        access: Access,
        topic: str,
        receive: Callable[[bytes], None],
        opened: Callable[[], None] = _ignore,
        *,
        losses: Losses | None = None,
        dials: Dials | None = None,
        heartbeat_s: int = HEARTBEAT_S,
    ) -> None:
        self._topic = topic
        self._receive = receive
        super().__init__(
            server, access, opened, losses=losses, dials=dials, heartbeat_s=heartbeat_s
        )

    def _ready(self, connection: Connection) -> None:
        connection.send(protocol.subscribe(self._topic, channel_of(self._topic)))
        connection.send_rdy(min(IN_FLIGHT, connection.max_rdy_count))
        self._used()
        super()._ready(connection)

    def _take(self, message: Any) -> None:
        # The sender keeps it until the receiver has acknowledged it, so nsqd need not.
        message.finish()
        try:
            self._receive(message.body)
        except Exception:  # noqa: BLE001 - the next message may be handled
            _LOG.exception("a message of %s was not handled", self._topic)


class Publisher(_Client):
    """Sends messages, as long as a connection takes them.

    Attributes:
        dropped: Number of messages that were not sent.
        unanswered: Number of messages of this connection that nsqd has not confirmed.
    """

    dropped = unanswered = 0

    def __init__(
        self,
        server: Server,
        access: Access,
        opened: Callable[[], None] = _ignore,
        *,
        losses: Losses | None = None,
    ) -> None:
        super().__init__(server, access, opened, losses=losses)

    def publish(self, topic: str, body: bytes) -> None:
        """Send a message, or drop it when there is no connection or too much waits."""
        connection = self._connection if self.is_ready else None
        if connection is not None and connection.unsent_bytes < UNSENT_BYTES:
            connection.send(protocol.pub(topic, body))
            self.unanswered += 1
            self._used()
        else:
            self.dropped += 1

    async def finish(self, timeout_s: float) -> None:
        """Wait until nsqd has confirmed all messages, or is gone, or the time is over.

        When a connection is closed earlier, nsqd drops what it has not read yet: it ends the
        connection as soon as it cannot send an answer.
        """
        until = self._loop.time() + timeout_s
        while self.unanswered and self._loop.time() < until:
            await asyncio.sleep(FINISH_LOOK_S)

    def _answered(self) -> None:
        self.unanswered = max(0, self.unanswered - 1)

    def _closed(self, connection: Connection, reason: str) -> None:
        self.unanswered = 0
        super()._closed(connection, reason)
