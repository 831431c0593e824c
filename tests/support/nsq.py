"""Servers of NSQ for tests: the real nsqd, if it is installed, and a small broker of our own."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import struct
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from jobx.system.processes import is_stopped
from tests.support.ports import free_ports
from tests.support.services import absent
from tests.support.waiting import eventually

KINDS: Final = ("broker", "nsqd")
START_S: Final = 60.0


def best() -> str:
    """Return the real server if it is installed, and else our own: the kind of most tests."""
    return "nsqd" if shutil.which("nsqd") else "broker"


def tls_flags(kind: str, certificate: Path, key: Path) -> tuple[str, ...]:
    """Return the flags with which a server offers TLS."""
    if kind == "broker":
        return ("--tls", str(certificate), str(key))
    return (f"-tls-cert={certificate}", f"-tls-key={key}")


class Nsqd:
    """One server on loopback; it keeps its port when it is started again.

    Args:
        kind: One of ``KINDS``.
        folder: Its files.
        flags: Further flags, of that kind.
    """

    def __init__(self, kind: str, folder: Path, *flags: str) -> None:
        self.port, self._http_port = free_ports(2)
        self._kind = kind
        self._folder = folder
        self._flags = flags
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """``host:port`` of it."""
        return f"127.0.0.1:{self.port}"

    def start(self, *flags: str) -> None:
        """Start it, with further flags for this time, and wait until it listens."""
        command = [sys.executable, "-m", "tests.support.servers.nsq", str(self.port)]
        if self._kind == "nsqd":
            data = self._folder / f"nsqd-{self.port}"
            data.mkdir(exist_ok=True)
            command = [
                *("nsqd", f"-data-path={data}", "-node-id=1", "-log-level=error"),
                *(f"-tcp-address={self.address}", f"-http-address=127.0.0.1:{self._http_port}"),
                # With TLS, it would have a port for HTTPS, the same one for all.
                *("-https-address=", "-broadcast-address=127.0.0.1"),
            ]
        with open(self._folder / "nsq.log", "ab") as log:
            self._process = subprocess.Popen(
                [*command, *self._flags, *flags], stdout=log, stderr=log
            )
        eventually(self._listens, START_S)

    def topics(self) -> set[str]:
        """Return the names of its topics."""
        if self._kind == "nsqd":
            address = f"http://127.0.0.1:{self._http_port}/stats?format=json"
            with urllib.request.urlopen(address, timeout=START_S) as answer:
                return {topic["topic_name"] for topic in json.load(answer)["topics"]}
        with socket.create_connection(("127.0.0.1", self.port), START_S) as connection:
            connection.sendall(b"  V2TOPICS\n")
            size, _ = struct.unpack(">ll", connection.recv(8, socket.MSG_WAITALL))
            return set(json.loads(connection.recv(size - 4, socket.MSG_WAITALL)))

    def kill(self) -> None:
        """Kill it, with all that it has in memory."""
        self.signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait(START_S)
        self._process = None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal. It stands still when this returns, if that was to stop it."""
        assert self._process is not None
        self._process.send_signal(number)
        if number == signal.SIGSTOP:
            pid = self._process.pid
            eventually(lambda: is_stopped(pid))

    def stop(self) -> None:
        """End it, if it runs."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self.kill()

    def _listens(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0):
            return True
        return False


@contextmanager
def running(kind: str, folder: Path, *flags: str) -> Iterator[Nsqd]:
    """Run a server; skip the test if it is not installed."""
    if kind == "nsqd" and shutil.which("nsqd") is None:
        absent("nsqd", "nsqd is not installed")
    server = Nsqd(kind, folder, *flags)
    try:
        server.start()
        yield server
    finally:
        server.stop()
