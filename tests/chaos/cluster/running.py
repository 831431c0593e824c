"""One soak of a cluster from its first process to its last."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Final

from tests.chaos.cluster import plan
from tests.chaos.cluster.faults import Health, HostStriker, SharedStriker
from tests.chaos.cluster.hosts import Host, hosts
from tests.chaos.soak import leftovers
from tests.chaos.soak.base import BEYOND_S, REMOVAL_S, BaseSoak
from tests.chaos.soak.defining import define
from tests.chaos.soak.history import Violation
from tests.support.etcd import Etcd, etcd_servers
from tests.support.http_sink import http_sink
from tests.support.waiting import eventually

_SETTLE_S: Final = 120.0
#: Prefixes of keys of which there is one for each node or store, or that sweeps remove much later.
_STAYS: Final = ("lives/", "store_id", "indexed", "blobs_place", "cluster", "code/", "plans/")
#: Leases of a node that runs; that of sweeps runs out later.
_SWEEPS: Final = "sweeps"
_RUNS: Final = ("nodes/", _SWEEPS)


class ClusterSoak(BaseSoak):
    """Runs three nodes. ``pause_s`` is that of each host, and of what they share.

    Args:
        kind: Of the nsqd's, one of ``nsq.KINDS``.
        members: Number of servers of etcd.
        others: As of ``BaseSoak``.
    """

    def __init__(self, folder: Path, *, kind: str, members: int, **others: Any) -> None:
        super().__init__(folder, **others)
        self._kind = kind
        self._members = members
        self._root = uuid.uuid4().hex
        self.history.has_peers = True

    def run(self, seconds: float) -> float:
        """Soak for so long, let everything end, and look at what is left; return the seconds that
        asks were made for."""
        with ExitStack() as stack:
            log = stack.enter_context((self.folder / "serve.log").open("a"))
            sink = stack.enter_context(http_sink())
            sink.answer = lambda post: self._load.receive(sink.posts, post)
            etcd = stack.enter_context(etcd_servers(self.folder / "etcd", self._members))
            os.environ["JOBX_STORE_URL"] = f"{etcd.url}/{self._root}"
            found = stack.enter_context(hosts(self._kind, self.folder, etcd))
            define(self.folder, self._jobs)
            at_start = leftovers.keys_of(self.folder)
            stack.callback(self._load.exchanges.close)
            for host in found:
                stack.callback(host.end)
                self._start(host, self._settings(sink.url), log)
            began = time.monotonic()
            self._strain(found, etcd, seconds, log)
            took_s = time.monotonic() - began
            self._finish(found, at_start, sink.url, log)
        return took_s

    def _settings(self, sink_url: str, retention_s: str = "3600") -> dict[str, str]:
        return self._environ(
            sink_url,
            JOBX_NODE_LOG_LEVEL="info",
            JOBX_HTTP_WORKERS="1",
            JOBX_REQUESTS_RETENTION_S=retention_s,
        )

    def _start(self, host: Host, environ: dict[str, str], log: IO[str]) -> None:
        own = {"JOBX_NODE_LOG_PATH": str(self.folder / f"{host.name}.log")}
        host.prepare(self.folder, self._root, environ | own, log)
        host.serving.start()

    def _strain(self, found: list[Host], etcd: Etcd, seconds: float, log: IO[str]) -> None:
        stop, health, history = threading.Event(), Health(), self.history
        threads = []
        for host in found:
            striker = HostStriker(host, self.folder / f"data-{host.name}", history, health, log)
            strikes = self._strikes(plan.HOST_FAULTS, plan.LASTS_S, host.name)
            threads.append(threading.Thread(target=striker.watch, args=(stop,)))
            threads.append(threading.Thread(target=striker.run, args=(strikes, stop)))
        shared = SharedStriker(
            found,
            etcd,
            self._kind,
            history=history,
            health=health,
            note=lambda text: _say(log, text),
        )
        strikes = self._strikes(plan.SHARED_FAULTS, plan.LASTS_S)
        threads.append(threading.Thread(target=shared.run, args=(strikes, stop)))
        self._ask([host.serving.port for host in found], seconds, stop, threads)
        for host in found:
            host.faults.jump(0.0)

    def _finish(self, found: list[Host], at_start: set[str], url: str, log: IO[str]) -> None:
        """Let all end, stop the nodes, look at what is left, and let retention end."""
        with self._told("stuck"):
            servers = [host.serving for host in found]
            eventually(lambda: self._is_idle(*servers), timeout_s=_SETTLE_S)
        self.history.stored += self._load.stored(found[0].serving)
        for host in found:
            self._stop(host.serving, f"node {host.name}")
        left = leftovers.processes_of(self.folder)
        self.history.met += [Violation("left process", one) for one in left]
        self._load.read_files()
        self._look_for_files(found)
        last = found[-1]
        self._start(last, self._settings(url, "1"), log)
        last.faults.jump(BEYOND_S)  # what ended while the clock was ahead is old by then, too
        with self._told("left request"):
            eventually(lambda: self._load.stored(last.serving) == [], timeout_s=REMOVAL_S)
        with contextlib.suppress(AssertionError):
            eventually(
                lambda: not self._keys_left(self.folder, at_start, *_STAYS, *_RUNS), _SETTLE_S
            )
        self._stop(last.serving, f"node {last.name}")
        self.history.met += self._keys_left(self.folder, at_start, *_STAYS, _SWEEPS)
        self._look_for_files(found)

    def _look_for_files(self, found: list[Host]) -> None:
        for host in found:
            left = leftovers.files_of(self.folder / f"data-{host.name}", self._temporary)
            self.history.met += left


def _say(log: IO[str], text: str) -> None:
    log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} soak: {text}\n")
    log.flush()
