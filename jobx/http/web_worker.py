"""A web worker of gunicorn that bounds what gunicorn does not: connections, and heads in time.

Connections that say nothing are the first to go: each has ``http.head_s`` for a head, and where
there are as many as may be, the one that has been silent longest makes room. Where none is
silent, there is room for a few more, which get nothing but ``/health``.
"""

from __future__ import annotations

import asyncio
import logging
import math
import resource
import time
from contextlib import suppress
from typing import Any, Final

from gunicorn.asgi.parser import PythonProtocol, UnsupportedTransferCoding
from gunicorn.asgi.protocol import HIGH_WATER_LIMIT, ASGIProtocol, _get_cached_status_line
from gunicorn.workers import gasgi

from jobx.http import head_refusals
from jobx.http.answer_flow import AnswerFlow

#: Files that a web worker needs in addition to its connections.
_OTHER_FILES: Final = 256
#: Connections beyond the limit that get nothing but ``/health``.
_ROOM: Final = 64
#: Largest head: the first line and all headers.
_MAX_HEAD_BYTES: Final = 64 << 10
#: How long a client that sends no more is believed to wait: one that left looks alike.
_HALF_OPEN_S: Final = 10.0
#: How long what a client still sends is thrown away, so that it can read its answer.
_LINGER_S: Final = 1.0
_SWEEP_S: Final = 1.0
#: The header of an answer that is such a stream.
_STREAM: Final = (b"x-accel-buffering", b"no")
#: How often it is logged at most that connections are refused.
_WORD_S: Final = 60.0

log = logging.getLogger(__name__)


def connection_limit(wanted: int) -> int:
    """Raise this process' limit of open files as far as allowed; return how many may be clients.

    Args:
        wanted: As many connections would do.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = wanted + _ROOM + _OTHER_FILES
    if soft < need:
        allowed = need if hard == resource.RLIM_INFINITY else min(need, hard)
        with suppress(ValueError, OSError):  # a sandbox may forbid what the limits allow
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, min(wanted, soft - _ROOM - _OTHER_FILES))


class WebWorker(gasgi.ASGIWorker):
    """A web worker whose connections are counted and timed.

    Attributes:
        head_s: How long a head may take to arrive.
        stall_s: How long a client may take nothing of an answer.
        connection_limit: Connections that may be open.
        silent: Connections on which a head is awaited and nothing is left to send, the longest
            first, and when that ends.
    """

    head_s = 10.0
    stall_s = 60.0
    _has_queues = False

    def _setup_event_loop(self) -> None:
        super()._setup_event_loop()
        self.connection_limit = connection_limit(self.worker_connections)
        self.silent: dict[Connection, float] = {}
        self._last_word = -math.inf
        gasgi.ASGIProtocol = Connection  # its server takes no other class, but goes by this name
        self.loop.call_later(_SWEEP_S, self._sweep)

    def notify(self) -> None:
        """Say that it is alive; the first time, have as many clients wait as are configured.

        asyncio has just shortened the queues of its listeners to 100. A client that finds one full
        tries again after a second; on a Unix socket it is refused.
        """
        if self.servers and not self._has_queues:
            self._has_queues = True
            for listener in self.sockets:
                listener.sock.listen(self.cfg.backlog)
        super().notify()

    def make_room(self) -> bool:
        """Return whether one more connection may be open, when a silent one is closed for it."""
        if self.nr_conns <= self.connection_limit:
            return True
        self._say_full()
        longest = next(iter(self.silent), None)
        if longest is None:
            return False
        longest.end()
        return True

    def end_silent(self) -> None:
        """Close the connections on which nothing was sent yet: this web worker is stopping."""
        for connection in list(self.silent):
            connection.end_if_silent()

    def _sweep(self) -> None:
        now = time.monotonic()
        while self.silent:
            longest = next(iter(self.silent))
            if self.silent[longest] > now:
                break
            longest.time_out()
        self.loop.call_later(_SWEEP_S, self._sweep)

    def _say_full(self) -> None:
        now = time.monotonic()
        if now - self._last_word >= _WORD_S:
            self._last_word = now
            log.warning(
                "%d connections are open, which is the limit: closing silent ones",
                self.connection_limit,
            )


class Connection(ASGIProtocol):
    """One connection."""

    worker: WebWorker
    _has_place = True
    _head_bytes = 0
    _lingers = False
    _is_answering = False
    #: A head is awaited, but the client has not taken the answer before it.
    _has_rest = False
    _closed: bool
    _answers: AnswerFlow

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Take a place, or one of the few that are kept for questions of health."""
        self._answers = AnswerFlow(transport, self.worker.loop, self.worker.stall_s, self.end)
        super().connection_made(transport)
        self._pieces: list[bytes] = []
        self._has_place = self.worker.make_room()
        if not self._has_place and self.worker.nr_conns > self.worker.connection_limit + _ROOM:
            self.end()
            return
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self.worker.silent.pop(self, None)
        self._answers.stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what the client sent; a head may have so many bytes only."""
        if self._lingers or self._take_body(data):
            return
        super().data_received(data)
        self._pass_on()
        if self._has_rest or self in self.worker.silent:
            self._head_bytes += len(data)
            if self._head_bytes > _MAX_HEAD_BYTES:
                self._refuse(431, f"a head may have at most {_MAX_HEAD_BYTES} bytes")

    def _take_body(self, data: bytes) -> bool:
        """Take data that is nothing but a part of a body, and not its last; return whether it was.

        The parser would copy it three times, and a large body takes as long as that does.
        """
        parser = self._callback_parser
        if (
            type(parser) is not PythonProtocol
            or parser._state != "body"
            or parser._buffer
            or len(data) >= parser._body_remaining
        ):
            return False
        parser._body_remaining -= len(data)
        self._on_body(data)
        self._pass_on()
        return True

    def _on_body(self, chunk: bytes) -> None:
        """Keep a piece until all of its read is parsed: a chunk may have a single byte."""
        self._pieces.append(chunk)

    def _on_message_complete(self) -> None:
        self._pass_on()
        super()._on_message_complete()

    def _pass_on(self) -> None:
        """Pass the pieces of a body on as one: each costs a turn of the loop, whatever its size."""
        if not self._pieces:
            return
        whole = b"".join(self._pieces)
        self._pieces.clear()
        super()._on_body(whole)
        if not self._reading_paused and self._is_buffer_full():
            self._pause_reading()

    def eof_received(self) -> bool:
        """Keep a connection for a while whose client waits for an answer and sends no more."""
        receiver = self._body_receiver
        if self in self.worker.silent or receiver is None or not receiver._complete:
            return False
        self.worker.loop.call_later(_HALF_OPEN_S, self._end_half_open)
        return True

    def _end_half_open(self) -> None:
        if not self._is_answering:
            self.transport.close()

    def pause_writing(self) -> None:
        """Watch that the client takes what waits for it."""
        super().pause_writing()
        self._answers.watch()

    def resume_writing(self) -> None:
        """Go on: the client has taken enough for now."""
        self._answers.stop()
        super().resume_writing()
        if self._has_rest:
            self._leave_rest()
            self._await_head()

    def end(self) -> None:
        """Close the connection at once."""
        self.worker.silent.pop(self, None)
        self.transport.abort()

    def end_if_silent(self) -> None:
        """Close the connection unless its client has begun to send something."""
        if not self._head_bytes:
            self.end()

    def time_out(self) -> None:
        """Close a connection whose head did not come; say so to one that began it."""
        if self._head_bytes:
            self._refuse(408, "the head did not arrive in time")
        else:
            self.end()

    def _await_head(self) -> None:
        self.worker.silent[self] = time.monotonic() + self.worker.head_s

    def _arm_keepalive_timer(self) -> None:
        super()._arm_keepalive_timer()
        self._head_bytes = 0
        if self._answers.is_stream:
            self._leave_rest()
            self._answers.end_stream()
        if self.transport.get_write_buffer_size():
            self._has_rest = True
            self.transport.set_write_buffer_limits(high=0)  # writing is paused until all is sent
        else:
            self._await_head()

    def _leave_rest(self) -> None:
        self._has_rest = False
        self.transport.set_write_buffer_limits(high=HIGH_WATER_LIMIT)

    def _check_codings(self) -> None:
        """Refuse what the parser lets pass but does not undo: ``gzip, chunked``."""
        parser = self._callback_parser
        for name, value in parser.headers if parser.is_chunked else ():
            if name == b"transfer-encoding" and value.strip().lower() != b"chunked":
                raise UnsupportedTransferCoding(value.decode("latin-1"))

    def _on_headers_complete(self) -> Any:
        self._check_codings()
        self.worker.silent.pop(self, None)
        if self._has_rest:
            self._leave_rest()
        self._is_answering = False
        answer = super()._on_headers_complete()
        if not self._has_place and not self._current_request.path.startswith("/health/"):
            self._refuse(503, "the limit of open connections is reached", [("Retry-After", "1")])
        return answer

    def _is_websocket_upgrade(self, request: Any) -> bool:
        """Take a handshake for the GET that it is: a server may ignore an upgrade (RFC 9110)."""
        del request
        return False

    def _get_reason_phrase(self, status: int) -> str:
        return head_refusals.phrase(status)

    def _send_response_start(self, status: int, headers: Any, request: Any, **options: Any) -> None:
        self._is_answering = True
        if _STREAM in headers:
            self._answers.begin_stream()
        # Its own list of phrases has not all statuses, and the first call for one decides.
        _get_cached_status_line(request.version, status, self._get_reason_phrase(status))
        super()._send_response_start(status, headers, request, **options)

    def _handle_h1c_exception(self, exc: Exception) -> bool:
        """Refuse what the parser itself does not expect: a length of thousands of digits."""
        if isinstance(exc, ValueError):
            self._refuse(400, "the head cannot be read")
            return True
        return bool(super()._handle_h1c_exception(exc))

    def _refuse(self, status: int, reason: str, headers: Any = ()) -> None:
        self.worker.silent.pop(self, None)
        self._send_error_response(status, reason, headers)
        self._close_transport()

    def _send_error_response(self, status: int, message: str, extra_headers: Any = ()) -> None:
        """Answer with a problem document, as everything else is."""
        self._safe_write(head_refusals.answer(status, message, extra_headers))

    def _close_transport(self) -> None:
        """Close; where a body is still on its way, first let the client read its answer.

        A socket that is closed with bytes unread is reset, and the answer is lost with it.
        """
        receiver = self._body_receiver
        if self._closed or receiver is None or receiver._complete:
            super()._close_transport()
            self._answers.watch_rest()
            return
        self._closed = self._lingers = True
        with suppress(OSError, RuntimeError):
            self.transport.write_eof()
        self._resume_reading()
        self.worker.loop.call_later(_LINGER_S, self.transport.close)
