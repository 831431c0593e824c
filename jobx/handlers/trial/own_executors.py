"""Starts executors for trials: by a fork server, or at the terminal under the debugger."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final

from jobx.config import Settings, without_secrets
from jobx.errors import InternalError
from jobx.handlers import launch
from jobx.handlers.execution.fork_messages import FORK_NEWS, ProcessEnded
from jobx.handlers.execution.settings import executor_config

#: Time limit of an executor's start, of its end, and beyond the time limit of its handler.
GRACE_S: Final = 10.0
_NEWS_BYTES: Final = 1 << 12
#: What a debugger needs of the environment.
_OF_TERMINAL: Final = ("TERM", "HOME", "PYTHONBREAKPOINT")


class OwnExecutors:
    """Starts one executor after the other, until it is closed.

    Args:
        settings: Limits of executors.
        environ: The environment; author code sees of it what the settings allow.
        is_debugged: They run at the terminal, under the debugger.
    """

    def __init__(
        self, settings: Settings, environ: Mapping[str, str], *, is_debugged: bool
    ) -> None:
        self._settings = settings
        self._environ = environ
        self._is_debugged = is_debugged
        self._stack = ExitStack()
        self._control: socket.socket | None = None
        self._blob_dir = ""

    def start(self) -> tuple[socket.socket, str]:
        """Start an executor; return its socket, and the folder of its blobs.

        Raises:
            InternalError: It cannot be started.
        """
        sock = self._debugged() if self._is_debugged else self._forked()
        return sock, self._blob_dir

    def see_end(self) -> None:
        """Wait until one that has answered is gone: a tool that measures it saves its data then."""
        if self._control is None:
            return
        with suppress(OSError):  # it may take long, and the fork server may be gone
            while message := self._control.recv(_NEWS_BYTES):
                if isinstance(FORK_NEWS.decode(message), ProcessEnded):
                    return

    def close(self) -> None:
        """End the executors, and remove what they left."""
        self._control = None
        self._stack.close()

    def _config(self) -> dict[str, Any]:
        """Return the configuration of executors, after making their folder."""
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="jobx-trial-"))
        self._blob_dir = os.path.join(folder, "blobs")
        config = executor_config(self._settings, self._environ, Path(folder, "tmp"))
        return config | {"blobs": None}  # nobody else reads what it writes

    def _fork_server(self) -> socket.socket:
        """Start a fork server, which ends with these executors; return its socket."""
        config = self._config()
        try:
            ours, process = launch.fork_server(
                config, without_secrets(self._settings, self._environ)
            )
        except OSError as error:
            raise InternalError(f"the fork server for trials does not start: {error}") from error
        self._stack.callback(_end, ours, process)
        ours.settimeout(GRACE_S)
        return ours

    def _debugged(self) -> socket.socket:
        """Start a process at the terminal, which ends with these executors; return its socket."""
        config = self._config()
        environ = {name: self._environ[name] for name in _OF_TERMINAL if name in self._environ}
        try:
            ours, process = launch.at_terminal(config, config["environment"] | environ)
        except OSError as error:
            raise InternalError(f"the process for the debugger does not start: {error}") from error
        self._stack.callback(_end, ours, process)
        # Ctrl-C is for the debugger.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._stack.callback(signal.signal, signal.SIGINT, before)
        ours.settimeout(GRACE_S)
        return ours

    def _forked(self) -> socket.socket:
        """Start an executor by the fork server and return its socket."""
        control = self._control = self._control or self._fork_server()
        try:
            ours, page = launch.executor(control, 1)
        except OSError as error:
            raise InternalError(f"the fork server for trials is gone: {error}") from error
        page.close()
        ours.settimeout(GRACE_S)
        return ours


def _end(control: socket.socket, process: subprocess.Popen[bytes]) -> None:
    control.close()
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(GRACE_S)
