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
from jobx.handlers.execution.fork_messages import Fork
from jobx.handlers.execution.shared_page import PAGE_BYTES, SharedPage

#: How long a fork server that was killed may take to be gone.
_END_S: Final = 2.0


def process(
    module: str,
    environ: Mapping[str, str],
    first: bytes,
    form: socket.SocketKind = socket.SOCK_STREAM,
    **how: Any,
) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Start a module of ours as a process; return our end of a socket to it, and the process.

    Args:
        module: The module; the one argument of its main is the descriptor of its end.
        environ: Its environment.
        first: What is sent to it before anything else, which must not be long. Arguments could be
            read by all processes of the machine.
        form: The type of the socket.
        how: More for ``Popen``.

    Raises:
        OSError: The machine has no room for a process or a socket.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, form)
    with ExitStack() as undone, theirs:
        undone.callback(ours.close)
        started = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-P", "-m", module, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env=dict(environ),
            **how,
        )
        undone.callback(started.wait, _END_S)
        undone.callback(started.kill)
        ours.sendall(first)
        undone.pop_all()
    return ours, started


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
    return process(
        *("jobx.handlers.execution.fork_server", environ, json.dumps(dict(config)).encode()),
        socket.SOCK_SEQPACKET,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


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
    module, first = "jobx.handlers.trial.debugged", encode(dict(config))
    return process(module, {**environ, "TMPDIR": folder}, first, cwd=folder)


def executor(control: socket.socket, number: int) -> tuple[socket.socket, SharedPage]:
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
        page = SharedPage(mmap.mmap(page_fd, PAGE_BYTES))
        undone.callback(page.close)
        ours, theirs = socket.socketpair()
        given.enter_context(theirs)
        undone.callback(ours.close)
        message = msgspec.msgpack.encode(Fork(number))
        socket.send_fds(control, [message], [theirs.fileno(), page_fd])
        undone.pop_all()
    return ours, page
