"""The gateway: the Unix socket through which web workers and tools talk to a node.

The messages are in ``jobx/questions/wire.py``. Only processes of the node's own user (and root) may
connect; the socket's mode ensures that, and the credentials of each peer are checked.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeAlias

from msgspec import Raw

from jobx import __version__, frames, questions
from jobx.errors import FrameError, InternalError, InvalidInput, JobxError, Overloaded
from jobx.frame_writer import FrameWriter
from jobx.questions import PROTOCOL, Hello, Question
from jobx.system.disk import own_folder, translate
from jobx.system.peers import is_ours, peer_of
from jobx.views import Greeting, View

#: Bytes of answers that may wait for a peer to read them, beyond the largest answer.
MAX_UNREAD_BYTES: Final = 64 << 20
#: Calls that one connection may have open at once.
MAX_CALLS: Final = 20_000

#: Answers a question, with a view or one that is packed.
Verb: TypeAlias = Callable[[Question[Any]], Awaitable[View | Raw]]
#: What answers each kind of question.
Table: TypeAlias = dict[type[Question[Any]], Callable[[Any], Awaitable[View | Raw]]]

_log = logging.getLogger(__name__)


class Gateway:
    """Serves the verbs of a node on a Unix socket.

    Args:
        path: The path of the socket.
        node_id: Sent to every peer.
        call: Answers one question.
    """

    def __init__(self, path: Path, node_id: str, call: Verb) -> None:
        self._path = path
        self._node_id = node_id
        self._call = call
        self._server: asyncio.AbstractServer | None = None
        self._connections: set[_Connection] = set()

    async def start(self) -> None:
        """Listen. The caller holds the lock of the data folder, so an old socket is unused.

        Raises:
            StoreRefused: The socket cannot be made, or its folder belongs to another user.
            StoreFull: No room left.
        """
        loop = asyncio.get_running_loop()
        own_folder(self._path.parent)
        sock = socket.socket(socket.AF_UNIX)
        before = os.umask(0o177)
        try:
            self._path.unlink(missing_ok=True)
            sock.bind(str(self._path))
        except OSError as error:
            sock.close()
            raise translate(error, self._path) from error
        finally:
            os.umask(before)
        self._server = await loop.create_unix_server(self._connect, sock=sock)

    async def stop(self) -> None:
        """Stop listening and close every connection."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)
        for connection in list(self._connections):
            connection.close()
        await asyncio.sleep(0)

    def _connect(self) -> _Connection:
        return _Connection(self._node_id, self._call, self._connections)


class _Connection(asyncio.Protocol):
    """The connection of one peer."""

    def __init__(self, node_id: str, call: Verb, connections: set[_Connection]) -> None:
        self._node_id = node_id
        self._call = call
        self._connections = connections
        self._loop = asyncio.get_running_loop()  # a system call before Python 3.12
        self._decoder = frames.FrameDecoder()
        self._open: set[asyncio.Task[None]] = set()
        self._transport: asyncio.Transport | None = None
        self._frames: FrameWriter

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        sock = transport.get_extra_info("socket")
        peer = peer_of(sock)
        if not is_ours(peer):
            _log.warning("refusing process %d of user %d at the gateway", peer.pid, peer.uid)
            transport.close()
            return
        self._transport = transport  # type: ignore[assignment]  # a stream server's can write
        self._frames = FrameWriter(transport, self._loop)  # type: ignore[arg-type]  # see above
        self._connections.add(self)

    def connection_lost(self, _: Exception | None) -> None:
        """Stop answering; requests continue, only the waits of this peer end."""
        self._connections.discard(self)
        for call in self._open:
            call.cancel()

    def data_received(self, chunk: bytes) -> None:
        try:
            for body in self._decoder.bodies(chunk):
                self._take_body(body)
        except (FrameError, InvalidInput) as error:
            _log.warning("disconnecting a peer of the gateway: %s", error)
            self.close()

    def close(self) -> None:
        if self._transport is not None:
            self._frames.flush()
            self._transport.close()

    def _take_body(self, body: bytes | bytearray) -> None:
        """Take a frame; an invalid question fails its own call and no other."""
        try:
            number, question = questions.decode_call(body)
        except InvalidInput as error:
            found = questions.number_of(body)
            if found is None:
                raise
            self._refuse(found, error)
            return
        if isinstance(question, Hello):
            self._greet(number, question)
        elif len(self._open) >= MAX_CALLS:
            self._refuse(number, Overloaded(f"{MAX_CALLS} calls are open on one connection"))
        else:
            call = self._loop.create_task(self._answer(number, question))
            self._open.add(call)
            call.add_done_callback(self._open.discard)

    def _greet(self, number: int, hello: Hello) -> None:
        if hello.protocol != PROTOCOL:
            reason = f"this node speaks {PROTOCOL}; use tools of its version, {__version__}"
            self._refuse(number, InvalidInput("protocol", repr(hello.protocol), reason))
            return
        greeting = Greeting(
            protocol=PROTOCOL, node_id=self._node_id, version=__version__, pid=os.getpid()
        )
        self._write(questions.encode_answer(number, greeting))

    async def _answer(self, number: int, question: Question[Any]) -> None:
        try:
            self._write(questions.encode_answer(number, await self._call(question)))
        except FrameError as error:
            reason = f"the answer to {question.verb} cannot be sent: {error}"
            self._refuse(number, InternalError(reason))
        except JobxError as error:
            self._refuse(number, error)
        except Exception:  # noqa: BLE001 - a fault in one verb must not cost the connection
            _log.exception("verb %s failed", question.verb)
            self._refuse(number, InternalError(f"verb {question.verb} failed; see the node's log"))

    def _refuse(self, number: int, error: JobxError) -> None:
        try:
            self._write(questions.encode_error(number, error))
        except FrameError as fault:
            told = InternalError(f"an error ({error.code}) cannot be sent: {fault}")
            self._write(questions.encode_error(number, told))

    def _write(self, frame: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._frames.unread_bytes > MAX_UNREAD_BYTES:
            _log.warning("disconnecting a peer of the gateway that does not read its answers")
            self._transport.abort()  # the peer asks again when it can
            return
        self._frames.write(frame, is_alone=len(self._open) <= 1)
