"""What a client takes of its answers: one that takes too little is disconnected."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios
from collections.abc import Callable
from contextlib import suppress
from typing import Final

#: What a client must take of its answer within ``http.stall_s``.
_LEAST_BYTES: Final = 16 << 10
#: A client that takes nothing of a stream of events for so long is cut off …
_STREAM_S: Final = 30.0
#: … and what the kernel keeps of one: it would take megabytes before it tells of a slow client.
_STREAM_BYTES: Final = 32 << 10
#: What it keeps of other answers on the same connection.
_OTHER_BYTES: Final = 1 << 20
_INT: Final = struct.Struct("i")


class AnswerFlow:
    """The answers of one connection on their way to its client.

    Args:
        transport: The connection.
        loop: Where its time runs.
        stall_s: How long a client may take nothing of an answer.
        end: Closes the connection at once.

    Attributes:
        is_stream: The answer is a stream of events.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        stall_s: float,
        end: Callable[[], None],
    ) -> None:
        self.is_stream = False
        self._transport = transport
        self._loop = loop
        self._stall_s = stall_s
        self._end = end
        self._stall: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """Watch that the client takes what waits for it."""
        self._watch(self._unsent_bytes())

    def watch_rest(self) -> None:
        """Watch that the client takes what is left when its connection is to be closed."""
        if self._transport.get_write_buffer_size() and self._stall is None:
            self.watch()

    def stop(self) -> None:
        """Stop watching: the client has taken enough for now, or is gone."""
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def begin_stream(self) -> None:
        """Notice early when the client takes nothing, or is gone without a word."""
        self.is_stream = True
        self._transport.set_write_buffer_limits(high=0)
        self._set_up_socket(_STREAM_BYTES, min(self._stall_s, _STREAM_S))

    def end_stream(self) -> None:
        """Take the connection for other answers again."""
        self.is_stream = False
        self._set_up_socket(_OTHER_BYTES, 0.0)

    def _watch(self, unsent_bytes: int) -> None:
        limit_s = min(self._stall_s, _STREAM_S) if self.is_stream else self._stall_s
        self._stall = self._loop.call_later(limit_s, self._look, unsent_bytes)

    def _look(self, before_bytes: int) -> None:
        unsent_bytes = self._unsent_bytes()
        if before_bytes - unsent_bytes < (1 if self.is_stream else _LEAST_BYTES):
            self._end()
        else:
            self._watch(unsent_bytes)

    def _unsent_bytes(self) -> int:
        """Return what is on its way: in the transport, and in the kernel until it is taken."""
        connection = self._transport.get_extra_info("socket")
        queued = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(_INT.size))
        (queued_bytes,) = _INT.unpack(queued)
        return int(self._transport.get_write_buffer_size() + queued_bytes)

    def _set_up_socket(self, kept_bytes: int, unanswered_s: float) -> None:
        """Bound what the kernel keeps, and how long it waits for the other side; 0: for long."""
        connection = self._transport.get_extra_info("socket")
        with suppress(OSError):  # it is lost, or a Unix socket, which has no such time
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, kept_bytes)
            limit_ms = int(unanswered_s * 1000)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, limit_ms)
