"""Starts ``jobx serve`` as a process of its own, which goes on when its caller ends."""

from __future__ import annotations

import os
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import IO, Final

from jobx.errors import ConfigError, DeadlineExceeded

#: Time limit for a server to be ready: that of its node and then of its web workers, and some more.
READY_S: Final = 75.0
_LOOK_S: Final = 0.1
_READY: Final = b"READY=1"
_OURS: Final = "jobx: "


def serve(words: Sequence[str], environ: Mapping[str, str], log_path: str) -> tuple[int, int]:
    """Start a server and wait until it is ready.

    Args:
        words: The arguments of ``jobx serve``.
        environ: Its environment.
        log_path: What it writes to stdout and stderr goes here; empty: nowhere.

    Returns:
        Its process id, and 0; or, if it ended before it was ready, its exit code. Then its messages
        were written to stderr.

    Raises:
        ConfigError: The log cannot be written.
        DeadlineExceeded: It was not ready in time, and was ended.
    """
    with _log(log_path) as log, tempfile.TemporaryDirectory(prefix="jobx-start-") as folder:
        before = log.seek(0, os.SEEK_END)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            ready.bind(os.path.join(folder, "ready"))
            server = subprocess.Popen(  # noqa: S603 - a command of our own
                [sys.executable, "-P", "-m", "jobx.tools.cli", "serve", *words],
                env={**environ, "NOTIFY_SOCKET": ready.getsockname()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            code = _wait(server, ready)
        if code is not None:
            _tell(log, before)
        return server.pid, code or 0


def _wait(server: subprocess.Popen[bytes], ready: socket.socket) -> int | None:
    """Return None once a server is ready, or its exit code if it ends before that."""
    deadline = time.monotonic() + READY_S
    with selectors.DefaultSelector() as selector:
        selector.register(ready, selectors.EVENT_READ)
        while time.monotonic() < deadline:
            if selector.select(_LOOK_S) and ready.recv(1024) == _READY:
                return None
            if (code := server.poll()) is not None:
                return code
    server.terminate()
    raise DeadlineExceeded("starting the server", READY_S)


def _log(path: str) -> IO[bytes]:
    if not path:
        return tempfile.TemporaryFile()
    try:
        # It quotes input of callers, as the log itself does.
        return open(path, "ab+", opener=partial(os.open, mode=0o600))
    except OSError as error:
        raise ConfigError("node.log_path", repr(path), str(error.strerror)) from error


def _tell(log: IO[bytes], before: int) -> None:
    """Write the messages of a server that did not start to stderr."""
    log.seek(before)
    for line in log.read().decode("utf-8", "replace").splitlines():
        if line.startswith(_OURS):
            print(line, file=sys.stderr)
