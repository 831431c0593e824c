"""The node's side of the fork server that makes executor processes: starts, asks, replaces it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

import msgspec

from jobx.actors.runtime.log_limit import LogLimit
from jobx.actors.runtime.supervision import RestartBudget, RestartPolicy
from jobx.errors import UNREADABLE, InternalError, Unavailable
from jobx.handlers import launch
from jobx.handlers.execution.fork_messages import FORK_NEWS, Forked, NotForked, Ping, ProcessEnded
from jobx.handlers.execution.shared_page import SharedPage

_MESSAGE_BYTES: Final = 1 << 16
#: How long a fork server gets to end its executors and itself.
_STOP_S: Final = 2.0
#: Pings without an answer with which it is in trouble, and with which it is replaced.
DOUBT_PINGS: Final = 3
GONE_PINGS: Final = 10
#: One that dies is started again, later and later when it dies often.
RESTARTS: Final = RestartPolicy(max_restarts=10, backoff_s=0.05, max_backoff_s=5.0)

_log = logging.getLogger(__name__)

#: Called with the pid and the exit code (negative: the signal) of an executor that is gone.
OnExit = Callable[[int, int], None]
#: Called with the number under which an executor was requested, and its pid.
OnSpawned = Callable[[int, int], None]
#: Called with the number of one that could not be made, and why.
OnNotSpawned = Callable[[int, str], None]


class ForkServerClient:
    """Starts the fork server and talks to it over one socket.

    Args:
        config: The configuration of executors; see ``handlers/execution/fork_server.py``.
        environ: The environment of the fork server itself.
        on_spawned: Called for each executor that was made.
        on_not_spawned: Called for each that could not be made.
        on_exit: Called for each executor that has ended.
        on_gone: Called when the fork server has ended, and all executors with it.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        environ: Mapping[str, str],
        *,
        on_spawned: OnSpawned,
        on_not_spawned: OnNotSpawned,
        on_exit: OnExit,
        on_gone: Callable[[], None],
    ) -> None:
        self._config = dict(config)
        self._environ = dict(environ)
        self._on_spawned = on_spawned
        self._on_not_spawned = on_not_spawned
        self._on_exit = on_exit
        self._on_gone = on_gone
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._pings = self._answered = 0
        self._budget = RestartBudget(RESTARTS)
        self._starting: asyncio.Handle | None = None
        self._log_limit = LogLimit(time.monotonic, 10.0, 1)

    @property
    def is_up(self) -> bool:
        """Whether it can make executors."""
        return self._control is not None

    @property
    def trouble(self) -> str | None:
        """Why it makes no executors; None if it does."""
        if self._control is None:
            return "the fork server of the executors is gone"
        is_silent = self._unanswered > DOUBT_PINGS
        return "the fork server of the executors does not answer" if is_silent else None

    @property
    def _unanswered(self) -> int:
        """Number of pings in a row without an answer; answers come in order."""
        return self._pings - self._answered

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the process; it is ready for ``spawn`` at once.

        Raises:
            Unavailable: The machine has no room for a process or a socket.
        """
        try:
            ours, self._process = launch.fork_server(self._config, self._environ)
        except OSError as error:
            raise _no_room(error) from error
        ours.setblocking(False)
        self._control = ours
        self._loop = loop
        self._pings = self._answered = 0
        loop.add_reader(ours.fileno(), self._readable)

    def start_later(self, started: Callable[[], None]) -> None:
        """Start it again after one that died; it is tried until ``stop``."""
        delay_s = self._budget.delay_s(self._loop.time())
        self._starting = self._loop.call_later(delay_s, self._start_again, started)

    def _start_again(self, started: Callable[[], None]) -> None:
        try:
            self.start(self._loop)
        except Unavailable as error:
            _log.warning("%s", error)
            self.start_later(started)
        else:
            started()

    def spawn(self, number: int) -> tuple[socket.socket, SharedPage]:
        """Ask for an executor; return its stream and the page that is shared with it.

        Raises:
            InternalError: The fork server is gone.
        """
        if self._control is None:
            raise InternalError("the fork server is gone")
        try:
            return launch.executor(self._control, number)
        except OSError as error:
            raise InternalError(f"the fork server gives no executor: {error}") from error

    def check(self) -> None:
        """Ask it for a sign of life; end it if it has given none for long."""
        if self._control is None:
            return
        if self._unanswered >= GONE_PINGS:
            _log.error("the fork server does not answer; it is replaced, with all executors")
            self._end()
            return
        self._pings += 1
        with suppress(OSError):  # what cannot be sent counts as unanswered
            self._control.send(msgspec.msgpack.encode(Ping(self._pings)))

    def stop(self) -> None:
        """End the fork server and its executors for good; bounded."""
        if self._starting is not None:
            self._starting.cancel()
        self._stop()

    def _end(self) -> None:
        """Kill it, and with it its executors, and tell so."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._stop()
        self._on_gone()

    def _stop(self) -> None:
        self._disconnect()
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(_STOP_S)

    def _readable(self) -> None:
        if self._control is None:
            return
        try:
            message = self._control.recv(_MESSAGE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        if message:
            self._take(message)
        else:
            self._end()  # it has ended, or nobody listens

    def _take(self, message: bytes) -> None:
        try:
            news = FORK_NEWS.decode(message)
        except UNREADABLE as error:
            raise InternalError(f"the fork server sent an invalid message: {error}") from error
        if isinstance(news, Forked):
            self._on_spawned(news.n, news.pid)
        elif isinstance(news, NotForked):
            if self._log_limit.may_log():
                _log.warning("an executor cannot be made now: %s", news.reason)
            self._on_not_spawned(news.n, news.reason)
        elif isinstance(news, ProcessEnded):
            self._on_exit(news.pid, news.status)
        else:
            self._answered = news.n

    def _disconnect(self) -> None:
        control, self._control = self._control, None
        if control is not None:
            self._loop.remove_reader(control.fileno())
            control.close()


def _no_room(error: OSError) -> Unavailable:
    return Unavailable(f"the fork server of the executors does not start: {error}")
