"""Starts a fork server, and executors through it: what nodes, trials and tests have in common."""

from __future__ import annotations

import json
import mmap
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, Final

import msgspec

from jobx.frames import encode
from jobx.handlers.execution.fork_messages import Spawn
from jobx.handlers.execution.page import PAGE_BYTES, Page

#: How long a fork server that was killed may take to be gone.
_END_S: Final = 2.0


def fork_server(
    config: Mapping[str, Any], environ: Mapping[str, str]
) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Start a fork server; return its control socket, whose end is its end, and the process.

    Args:
        config: What executors are given; see ``handlers/execution/settings.py``.
        environ: The environment of the fork server itself.

    Raises:
        OSError: The machine has no room for a process or a socket.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ExitStack() as undone, theirs:
        undone.callback(ours.close)
        module = ["-m", "jobx.handlers.execution.fork_server", str(theirs.fileno())]
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-P", *module],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env=dict(environ),
            start_new_session=True,
        )
        undone.callback(process.wait, _END_S)
        undone.callback(process.kill)
        # Not as an argument, which all processes of the machine could read.
        ours.send(json.dumps(dict(config)).encode())
        undone.pop_all()
    return ours, process


def at_terminal(
    config: Mapping[str, Any], environ: Mapping[str, str]
) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Start a process that runs handlers on the standard streams; return its stream and it.

    Args:
        config: What executors are given; it works in the ``temp_dir`` of that.
        environ: Its environment.

    Raises:
        OSError: The machine has no room for a process or a socket.
    """
    folder = str(config["temp_dir"])
    os.makedirs(folder, exist_ok=True)
    ours, theirs = socket.socketpair()
    with ExitStack() as undone, theirs:
        undone.callback(ours.close)
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-P", "-m", "jobx.handlers.trial.debugged", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={**environ, "TMPDIR": folder},
            cwd=folder,
        )
        undone.callback(process.wait, _END_S)
        undone.callback(process.kill)
        ours.sendall(encode(dict(config)))
        undone.pop_all()
    return ours, process


def executor(control: socket.socket, number: int) -> tuple[socket.socket, Page]:
    """Ask a fork server for an executor; return its stream and the page that is shared with it.

    Args:
        control: The socket of the fork server.
        number: What the fork server calls it when it is made.

    Raises:
        OSError: The fork server is gone, or the machine has no room.
    """
    with ExitStack() as given, ExitStack() as undone:
        page_fd = os.memfd_create("jobx-page", os.MFD_CLOEXEC)
        given.callback(os.close, page_fd)
        os.ftruncate(page_fd, PAGE_BYTES)
        page = Page(mmap.mmap(page_fd, PAGE_BYTES))
        undone.callback(page.close)
        ours, theirs = socket.socketpair()
        given.enter_context(theirs)
        undone.callback(ours.close)
        message = msgspec.msgpack.encode(Spawn(number))
        socket.send_fds(control, [message], [theirs.fileno(), page_fd])
        undone.pop_all()
    return ours, page
