"""The node's side of the fork server that makes executor processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from jobx import values
from jobx.errors import InternalError, InvalidInput, Unavailable

_MESSAGE_BYTES: Final = 1 << 16
#: How long a fork server gets to end its executors and itself.
_STOP_S: Final = 2.0

#: Called with the pid and the exit code (negative: the signal) of an executor that is gone.
OnExit = Callable[[int, int], None]
#: Called with the number that an executor was asked for under, and its pid.
OnSpawned = Callable[[int, int], None]


class ForkServerClient:
    """Starts the fork server and talks to it over one socket.

    Args:
        config: What executors are given; see ``handlers/execution/fork_server.py``.
        environ: The environment of the fork server itself.
        on_spawned: Hears of each executor that was made.
        on_exit: Hears of each executor that is gone.
        on_gone: Hears that the fork server itself is gone, and all executors with it.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        environ: Mapping[str, str],
        *,
        on_spawned: OnSpawned,
        on_exit: OnExit,
        on_gone: Callable[[], None],
    ) -> None:
        self._config = dict(config)
        self._environ = dict(environ)
        self._on_spawned = on_spawned
        self._on_exit = on_exit
        self._on_gone = on_gone
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._pings = self._answered = 0

    @property
    def unanswered(self) -> int:
        """How often in a row it was pinged without an answer; it answers in order."""
        return self._pings - self._answered

    @property
    def is_up(self) -> bool:
        """Whether it can be asked for executors."""
        return self._control is not None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the process; it is ready for ``spawn`` at once.

        Raises:
            Unavailable: The machine has no room for a process or a socket.
        """
        try:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError as error:
            raise _no_room(error) from error
        ours.setblocking(False)
        try:
            with theirs:
                self._process = self._start_process(theirs)
            # Not as an argument, which all processes of the machine could read.
            ours.send(json.dumps(self._config).encode())
        except OSError as error:
            ours.close()
            self.stop()
            raise _no_room(error) from error
        self._control = ours
        self._loop = loop
        self._pings = self._answered = 0
        loop.add_reader(ours.fileno(), self._readable)

    def _start_process(self, control: socket.socket) -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            "-P",
            "-m",
            "jobx.handlers.execution.fork_server",
            str(control.fileno()),
        ]
        return subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command,
            pass_fds=[control.fileno()],
            stdin=subprocess.DEVNULL,
            env=self._environ,
            start_new_session=True,
        )

    def spawn(self, number: int, stream: socket.socket, page_fd: int) -> None:
        """Ask for an executor on ``stream`` with the shared page ``page_fd``.

        Raises:
            InternalError: The fork server is gone.
        """
        if self._control is None:
            raise InternalError("the fork server is gone")
        message = values.pack({"t": "spawn", "n": number})
        try:
            socket.send_fds(self._control, [message], [stream.fileno(), page_fd])
        except OSError as error:
            raise InternalError(f"the fork server is gone: {error}") from error

    def ping(self) -> None:
        """Ask whether it is there; what it cannot take counts as unanswered."""
        self._pings += 1
        if self._control is not None:
            with suppress(OSError):
                self._control.send(values.pack({"t": "ping", "n": self._pings}))

    def kill(self) -> None:
        """End a fork server that does not do what it is told, and with it its executors."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self.stop()

    def stop(self) -> None:
        """End the fork server and its executors; bounded."""
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
            self.kill()  # it is gone, or has nobody to tell
            self._on_gone()

    def _take(self, message: bytes) -> None:
        try:
            fields = values.unpack(message)
        except InvalidInput as error:
            raise InternalError(f"the fork server sent an invalid message: {error}") from error
        if fields["t"] == "spawned":
            self._on_spawned(fields["n"], fields["pid"])
        elif fields["t"] == "pong":
            self._answered = fields["n"]
        elif fields["t"] == "exited":
            self._on_exit(fields["pid"], fields["status"])

    def _disconnect(self) -> None:
        control, self._control = self._control, None
        if control is not None:
            self._loop.remove_reader(control.fileno())
            control.close()


def _no_room(error: OSError) -> Unavailable:
    return Unavailable(f"the fork server of the executors does not start: {error}")
