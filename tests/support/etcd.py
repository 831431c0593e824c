"""Real servers of etcd, on free ports and in a temporary folder.

``ETCD_UNDER_TEST`` names their program, if it is not the ``etcd`` of the PATH; see ``etcd_build``.
"""

from __future__ import annotations

import functools
import http.client
import json
import os
import shutil
import signal
import subprocess
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.ports import free_ports
from tests.support.services import absent
from tests.support.waiting import eventually

START_S = 60.0
FORGETFUL = ("--unsafe-no-fsync",)
#: Has a server answer the v2 API, too.
V2 = "--enable-v2"


def program() -> str:
    """Return the program of servers."""
    return os.environ.get("ETCD_UNDER_TEST", "etcd")


def need_etcd() -> None:
    """Skip the test where etcd is not installed."""
    if shutil.which(program()) is None:
        absent("etcd", "needs the program etcd (etcd-server)")


def has_v2() -> bool:
    """Whether servers can answer the v2 API, which went with 3.6; skips where there is no etcd."""
    need_etcd()
    return _version() < (3, 6)


@functools.cache
def _version() -> tuple[int, ...]:
    said = subprocess.run([program(), "--version"], capture_output=True, text=True, check=True)
    number = said.stdout.split()[2]  # of "etcd Version: 3.4.23"
    return tuple(map(int, number.split(".")[:2]))


class Member:
    """One server; it keeps its ports and what it holds when it is started again."""

    def __init__(
        self, name: str, folder: Path, ports: tuple[int, int], flags: Sequence[str]
    ) -> None:
        self.name = name
        self.port, self.peer_port = ports
        self._folder = folder
        self._flags = flags
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def server(self) -> str:
        """``host:port`` of its clients."""
        return f"127.0.0.1:{self.port}"

    @property
    def peer(self) -> str:
        """Its part of the flag ``--initial-cluster``."""
        return f"{self.name}=http://127.0.0.1:{self.peer_port}"

    def start(self, cluster: str, scheme: str = "http") -> None:
        """Start it; ``wait`` waits until it answers."""
        client, peer = f"{scheme}://{self.server}", f"http://127.0.0.1:{self.peer_port}"
        command = [
            *(program(), "--name", self.name, "--data-dir", str(self._folder / self.name)),
            *("--listen-client-urls", client, "--advertise-client-urls", client),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
            *("--initial-cluster", cluster, "--initial-cluster-state", "new"),
            *("--heartbeat-interval", "50", "--election-timeout", "500"),
            *("--snapshot-count", "5000", "--log-level", "error"),
            *(("--logger", "zap") if has_v2() else ()),
            *(flag for flag in self._flags if flag != V2 or has_v2()),
        ]
        with open(self._folder / f"{self.name}.log", "ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)

    def is_healthy(self) -> bool:
        """Whether it answers and has a leader."""
        try:
            with urllib.request.urlopen(f"http://{self.server}/health", timeout=2) as answer:
                return bool(json.load(answer)["health"] == "true")
        except (OSError, ValueError, http.client.HTTPException):
            return False

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kill it, however it stands; one that is gone is fine."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(START_S)
            self._process = None


class Etcd:
    """A cluster of one or three servers."""

    def __init__(self, members: list[Member], scheme: str = "http") -> None:
        self.members = members
        self._scheme = scheme
        self._cluster = ",".join(member.peer for member in members)

    @property
    def servers(self) -> list[str]:
        """``host:port`` of each."""
        return [member.server for member in self.members]

    @property
    def url(self) -> str:
        """What ``store.url`` is."""
        return self.url_of("etcd")

    def url_of(self, scheme: str) -> str:
        """What ``store.url`` is with another scheme; skips a test whose servers do not have it."""
        if scheme == "etcd2" and not has_v2():
            pytest.skip("these servers have no v2 API")
        return f"{scheme}://{','.join(self.servers)}"

    def start(self, *members: Member) -> None:
        """Start servers, by default all, and wait until all that run answer."""
        for member in members or self.members:
            member.start(self._cluster, self._scheme)
        if self._scheme == "http":
            for member in members or self.members:
                eventually(member.is_healthy, timeout_s=START_S)

    def leader(self) -> Member:
        """Return the member that leads."""
        for status, member in zip(self.ctl("endpoint", "status"), self.members, strict=True):
            if status["Status"]["leader"] == status["Status"]["header"]["member_id"]:
                return member
        raise AssertionError("nobody leads")

    def ctl(self, *words: str) -> Any:
        """Ask with etcdctl, and return the answer: JSON, or the text of commands that have none."""
        command = ["etcdctl", "--endpoints", ",".join(self.servers), "-w", "json", *words]
        if shutil.which("etcdctl") is None:
            absent("etcd", "needs the program etcdctl (etcd-client)")
        environ = {**os.environ, "ETCDCTL_API": "3"}
        done = subprocess.run(command, capture_output=True, env=environ, check=True, timeout=60)
        try:
            return json.loads(done.stdout)
        except ValueError:
            return done.stdout.decode()


@contextmanager
def etcd_servers(
    folder: Path, count: int = 1, flags: Sequence[str] = FORGETFUL, scheme: str = "http"
) -> Iterator[Etcd]:
    """Run servers; skips the test where etcd is not installed. Over https none is waited for.

    Unless ``flags`` say otherwise they do not wait for the disk, and may forget by a power cut.
    """
    need_etcd()
    ports = free_ports(2 * count)
    pairs = zip(ports[::2], ports[1::2], strict=True)
    folder.mkdir(parents=True, exist_ok=True)
    members = [Member(f"m{n}", folder, pair, flags) for n, pair in enumerate(pairs)]
    servers = Etcd(members, scheme)
    try:
        servers.start()
        yield servers
    finally:
        for member in members:
            member.kill()
