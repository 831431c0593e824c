"""A connection to nsqd: pynsq's protocol over an asyncio transport, with limits to all waits.

pynsq's own connection reads each frame in two steps through tornado, which halves what it carries.
It has no time limit for its handshake, looks for dead servers once a minute by the wall clock, and
sends in clear when a server does not offer TLS.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import struct
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from nsq import event, protocol
from nsq.conn import CONNECTED, CONNECTING, DISCONNECTED, AsyncConn

#: Limit of connecting, TLS and authentication together.
HANDSHAKE_S: Final = 3.0
#: nsqd speaks at least so often; whole seconds, by the protocol.
HEARTBEAT_S: Final = 1
#: A server that says nothing for so many of them is gone.
SILENT_BEATS: Final = 3
#: When the kernel asks a host that says nothing whether it is there: after 5 s, and 3 times.
_KEEP_ALIVE: Final = {
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE): 1,
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE): 5,
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL): 1,
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT): 3,
}
#: Longest frame: nsqd's largest message, with room for its head.
_MAX_FRAME_BYTES: Final = 8 << 20
_LENGTH: Final = struct.Struct(">l")
#: Errors after which nsqd keeps the connection.
_HARMLESS: Final = ("E_FIN_FAILED", "E_REQ_FAILED", "E_TOUCH_FAILED")
_LOG: Final = logging.getLogger(__name__)


class Access(NamedTuple):
    """How a node may use nsqd.

    Attributes:
        tls: The context of TLS; None: in clear.
        secret: Authenticates the node, where nsqd asks for it; empty: none.
    """

    tls: ssl.SSLContext | None = None
    secret: str = ""


class Connection(AsyncConn, asyncio.Protocol):
    """One connection to nsqd; it never opens again.

    Args:
        host: Name or address of nsqd.
        port: Its port for TCP.
        access: TLS and secret.
        on_ready: Called when it can be used.
        on_message: Called with each message; it answers them.
        on_answer: Called with each answer to a command.
        on_closed: Called once, with the reason.
        heartbeat_s: How often nsqd speaks at least.
    """

    def __init__(
        self,
        host: str,
        port: int,
        access: Access,
        *,
        on_ready: Callable[[Connection], None],
        on_message: Callable[[Any], None],
        on_answer: Callable[[], None],
        on_closed: Callable[[Connection, str], None],
        heartbeat_s: int = HEARTBEAT_S,
    ) -> None:
        super().__init__(
            host,
            port,
            heartbeat_interval=heartbeat_s,
            requeue_delay=0,
            tls_v1=access.tls is not None,
            auth_secret=access.secret or None,
        )
        self._tls = access.tls
        self._on_ready = on_ready
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._reason = "nsqd closed it"
        self._in = b""
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._heard_at = 0.0
        self._heartbeat_s = heartbeat_s
        self._watch: asyncio.Handle = self._loop.call_later(HANDSHAKE_S, self._handshake_late)
        self.on(event.CONNECT, self._on_connect)
        self.on(event.DATA, self._on_data)
        self.on(event.IDENTIFY, self._ask_for_speed)
        self.on(event.IDENTIFY_RESPONSE, self._check_tls)
        self.on(event.READY, self._ready)
        self.on(event.MESSAGE, lambda conn, message: on_message(message))
        self.on(event.RESPONSE, lambda conn, data: on_answer())
        self.on(event.ERROR, self._error)

    @property
    def unsent_bytes(self) -> int:
        """Bytes that wait for the network."""
        waiting = self._transport.get_write_buffer_size() if self._transport else 0
        return waiting + self._out_bytes

    def connect(self) -> None:
        """Begin to connect."""
        self.state = CONNECTING
        self._task = self._loop.create_task(self._dial())

    def close(self, reason: str = "it was closed") -> None:
        """Close the connection at once; what the network takes now is still sent."""
        self._reason = reason
        if self._transport is not None:
            self._flush()
            self._transport.abort()
            # In the midst of TLS's handshake asyncio and uvloop report no end.
            self._loop.call_soon(self.connection_lost, None)
        elif self._task is not None:
            self._task.cancel()
            self.connection_lost(None)

    def send(self, data: bytes) -> None:
        """Send with all else that is sent in this turn of the loop.

        Raises:
            ConnectionError: It is not connected.
        """
        if self.state != CONNECTED:
            raise ConnectionError("not connected")
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(data)
        self._out_bytes += len(data)

    def upgrade_to_tls(self, options: object = None) -> None:
        """Continue in TLS; pynsq calls this when nsqd agreed to it."""
        if self._transport is not None and self._tls is not None:
            self._task = self._loop.create_task(self._upgrade(self._transport, self._tls))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport  # type: ignore[assignment]  # a stream socket's can write
        for (level, option), value in _KEEP_ALIVE.items():
            transport.get_extra_info("socket").setsockopt(level, option, value)

    def data_received(self, data: bytes) -> None:
        """Take frames, whole or in parts."""
        self._heard_at = self._loop.time()
        buffer = self._in + data if self._in else data
        start = 0
        try:
            while len(buffer) - start >= _LENGTH.size:
                (length,) = _LENGTH.unpack_from(buffer, start)
                if not 0 < length <= _MAX_FRAME_BYTES:
                    raise ConnectionError(f"it announced a frame of {length} bytes")
                stop = start + _LENGTH.size + length
                if stop > len(buffer):
                    break
                self.trigger(event.DATA, conn=self, data=buffer[start + _LENGTH.size : stop])
                start = stop
        except Exception as error:  # noqa: BLE001 - whatever pynsq makes of it, it is the end
            self.close(str(error) or repr(error))
        self._in = buffer[start:]

    def connection_lost(self, error: Exception | None) -> None:
        """Report the end, once."""
        if self.state == DISCONNECTED:
            return
        self.state = DISCONNECTED
        self._watch.cancel()
        self._on_closed(self, str(error) if error else self._reason)

    async def _dial(self) -> None:
        try:
            transport, _ = await self._loop.create_connection(lambda: self, self.host, self.port)
        except OSError as error:
            self._reason = str(error)
            self.connection_lost(None)
            return
        self.state = CONNECTED
        transport.write(protocol.MAGIC_V2)
        self.trigger(event.CONNECT, conn=self)

    async def _upgrade(self, transport: asyncio.Transport, tls: ssl.SSLContext) -> None:
        try:
            self._transport = await self._loop.start_tls(
                transport, self, tls, server_hostname=self.host
            )
        except OSError as error:  # those of TLS, too
            self.close(f"TLS failed: {error}")

    def _flush(self) -> None:
        out, self._out, self._out_bytes = self._out, [], 0
        if out and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(out))

    def _ask_for_speed(self, data: dict[str, Any], **_: object) -> None:
        # pynsq refuses this value. It turns nsqd's buffer off, which holds messages for 250 ms.
        data["output_buffer_size"] = -1

    def _check_tls(self, data: dict[str, Any], **_: object) -> None:
        if self._tls is not None and not data.get("tls_v1"):
            raise ConnectionError("it does not offer TLS")

    def _ready(self, **_: object) -> None:
        self._heard_at = self._loop.time()
        self._watch.cancel()
        self._watch = self._loop.call_later(self._heartbeat_s, self._look)
        self._on_ready(self)

    def _look(self) -> None:
        silent_s = SILENT_BEATS * self._heartbeat_s
        if self._loop.time() - self._heard_at > silent_s:
            self.close(f"it said nothing for {silent_s} s")
        else:
            self._watch = self._loop.call_later(self._heartbeat_s, self._look)

    def _handshake_late(self) -> None:
        self.close(f"the handshake took longer than {HANDSHAKE_S:g} s")

    def _error(self, error: Exception, **_: object) -> None:
        said = error.args[0] if error.args else error
        text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        if text.startswith(_HARMLESS):
            _LOG.warning("nsqd %s: %s", self.id, text)
        else:
            self._reason = text  # for which nsqd closes the connection now
