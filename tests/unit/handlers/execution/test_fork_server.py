from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from jobx import values
from jobx.config import Settings
from jobx.config_sections import NodeSettings
from jobx.handlers.execution.fork_messages import FORK_NEWS, NotForked
from jobx.handlers.execution.fork_server import ForkServer
from jobx.handlers.execution.main import Config
from jobx.handlers.execution.settings import executor_config
from jobx.handlers.execution.surroundings import Surroundings

#: Reading them would change this process.
UNREAD = Surroundings.__new__(Surroundings)


def _no_fork() -> int:
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def _no_pidfd(_: int) -> int:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


@pytest.mark.parametrize(
    ("patched", "reason"),
    [
        ({"fork": _no_fork}, errno.EAGAIN),
        ({"pidfd_open": _no_pidfd}, errno.EMFILE),
        ({}, errno.EMFILE),
    ],
    ids=["no process", "no descriptor for it", "a descriptor is lost on the way"],
)
def test_executor_that_cannot_be_made_closes_its_stream_and_leaves_nothing(
    patched: dict[str, Callable[..., int]],
    reason: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, fails in patched.items():
        monkeypatch.setattr(os, name, fails)
    settings = Settings(node=NodeSettings(data_dir=str(tmp_path)))
    config = Config(**executor_config(settings, {}, tmp_path))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    stream, given = socket.socketpair()
    with ours, theirs, stream:
        server = ForkServer(theirs, config, UNREAD)
        with given:
            message = values.pack({"t": "spawn", "n": 1})
            socket.send_fds(ours, [message], [given.fileno()] * (2 if patched else 1))
        assert server._serve()  # and it goes on
        stream.settimeout(60)
        assert stream.recv(1) == b""
        server._selector.close()
        told = FORK_NEWS.decode(ours.recv(1 << 16))

    assert list(tmp_path.iterdir()) == []
    assert isinstance(told, NotForked)
    assert told.n == 1
    assert os.strerror(reason) in told.reason


def test_child_without_a_descriptor_for_its_complaints_ends_and_serves_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "fork", lambda: 0)
    monkeypatch.setattr(os, "dup", _no_pidfd)
    monkeypatch.setattr(os, "_exit", sys.exit)
    settings = Settings(node=NodeSettings(data_dir=str(tmp_path)))
    config = Config(**executor_config(settings, {}, tmp_path))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    stream, given = socket.socketpair()
    with ours, theirs, stream:
        server = ForkServer(theirs, config, UNREAD)
        with given:
            message = values.pack({"t": "spawn", "n": 1})
            socket.send_fds(ours, [message], [given.fileno()] * 2)
        with pytest.raises(SystemExit) as ended:
            server._serve()
        server._selector.close()
    monkeypatch.undo()

    assert ended.value.code == 1
    assert os.strerror(errno.EMFILE) in capfd.readouterr().err
