"""One soak of a cluster from its first process to its last."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Final

from tests.chaos.cluster import plan as faults_plan
from tests.chaos.cluster.faults import Health, HostStriker, SharedStriker
from tests.chaos.cluster.hosts import Host, hosts
from tests.chaos.soak import leftovers, plan
from tests.chaos.soak.defining import available, define
from tests.chaos.soak.history import Violation
from tests.chaos.soak.load import Load
from tests.support.authoring import WORKFLOW
from tests.support.etcd import Etcd, etcd_servers
from tests.support.http_sink import http_sink
from tests.support.waiting import eventually

_SETTLE_S: Final = 120.0
_REMOVAL_S: Final = 600.0
#: Farther than any jump of the clock.
_BEYOND_S: Final = 2 * 86_400.0
#: Prefixes of keys of which there is one for each node or store, or that sweeps remove much later.
_STAYS: Final = ("lives/", "store_id", "blobs_place", "cluster", "code/", "plans/")
#: Leases of a node that runs; that of sweeps runs out later.
_SWEEPS: Final = "sweeps"
_RUNS: Final = ("nodes/", _SWEEPS)


class ClusterSoak:
    """Runs three nodes in a folder under clients and faults, and keeps what was seen.

    Args:
        folder: Everything of it is below.
        kind: Of the nsqd's, one of ``nsq.KINDS``.
        members: Number of servers of etcd.
        seed: Decides asks and faults.
        rate: Asks a second.
        clients: How many ask at once.
        faults: By name, with weights.
        pause_s: Mean time between two faults of one host, and between two that they share.
        jobs: Names of jobs; all when there are none.
    """

    def __init__(
        self,
        folder: Path,
        *,
        kind: str,
        members: int,
        seed: int,
        rate: float,
        clients: int,
        faults: dict[str, float],
        pause_s: float,
        jobs: tuple[str, ...] = (),
    ) -> None:
        self._folder = folder
        self._kind = kind
        self._members = members
        self._seed = seed
        self._weights = faults
        self._pause_s = pause_s
        self._jobs = jobs or available()
        self._root = uuid.uuid4().hex
        self._temporary = folder / "temporary"
        self._temporary.mkdir(parents=True, exist_ok=True)
        self._load = Load(folder, rate=rate, clients=clients)
        self.history = self._load.history
        self.history.has_peers = True

    def run(self, seconds: float) -> float:
        """Soak for so long, let everything end, and look at what is left; return the seconds that
        asks were made for."""
        with ExitStack() as stack:
            log = stack.enter_context((self._folder / "serve.log").open("a"))
            sink = stack.enter_context(http_sink())
            sink.answer = lambda post: self._load.receive(sink.posts, post)
            etcd = stack.enter_context(etcd_servers(self._folder / "etcd", self._members))
            os.environ["JOBX_STORE_URL"] = f"{etcd.url}/{self._root}"
            found = stack.enter_context(hosts(self._kind, self._folder, etcd))
            define(self._folder, self._jobs)
            at_start = leftovers.keys_of(self._folder)
            stack.callback(self._load.exchanges.close)
            for host in found:
                stack.callback(host.end)
                self._start(host, self._environ(sink.url), log)
            began = time.monotonic()
            self._strain(found, etcd, seconds, log)
            took_s = time.monotonic() - began
            self._finish(found, at_start, sink.url, log)
        return took_s

    def remove(self) -> None:
        """Remove everything."""
        shutil.rmtree(self._folder)

    def _environ(self, sink_url: str) -> dict[str, str]:
        return {
            "TMPDIR": str(self._temporary),
            "JOBX_NODE_LOG_LEVEL": "info",
            "JOBX_HTTP_WORKERS": "1",
            "JOBX_HTTP_MAX_WAIT_S": "30",
            "JOBX_REQUESTS_LOST_ATTEMPTS": "20",
            "JOBX_REQUESTS_NODE_DEATHS": "20",
            "JOBX_REQUESTS_RETENTION_S": "3600",
            **self._load.environ(sink_url),
        }

    def _start(self, host: Host, environ: dict[str, str], log: IO[str]) -> None:
        own = {"JOBX_NODE_LOG_PATH": str(self._folder / f"{host.name}.log")}
        host.prepare(self._folder, self._root, environ | own, log)
        host.serving.start()

    def _strain(self, found: list[Host], etcd: Etcd, seconds: float, log: IO[str]) -> None:
        stop, health, history = threading.Event(), Health(), self.history
        threads = []
        for host in found:
            striker = HostStriker(host, self._folder / f"data-{host.name}", history, health, log)
            strikes = self._strikes(faults_plan.HOST_FAULTS, host.name)
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
        strikes = self._strikes(faults_plan.SHARED_FAULTS, "")
        threads.append(threading.Thread(target=shared.run, args=(strikes, stop)))
        for thread in threads:
            thread.start()
        asks = (plan.ask(self._seed, n, self._jobs) for n in range(10**9))
        self._load.ask([host.serving.port for host in found], asks, seconds)
        stop.set()
        for thread in threads:
            thread.join()
        for host in found:
            host.faults.jump(0.0)

    def _strikes(self, kind: dict[str, float], where: str) -> Iterator[plan.Strike]:
        chosen = {name: self._weights[name] for name in kind if name in self._weights}
        return plan.strikes(self._seed, chosen, self._pause_s, faults_plan.LASTS_S, where)

    def _finish(self, found: list[Host], at_start: set[str], url: str, log: IO[str]) -> None:
        """Let all end, stop the nodes, look at what is left, and let retention end."""
        with self._told("stuck"):
            eventually(lambda: self._is_idle(found), timeout_s=_SETTLE_S)
        self.history.stored += self._load.stored(found[0].serving)
        for host in found:
            self._stop(host)
        left = leftovers.processes_of(self._folder)
        self.history.met += [Violation("left process", one) for one in left]
        self._load.read_files()
        self._look_for_files(found)
        last, brief = found[-1], self._environ(url) | {"JOBX_REQUESTS_RETENTION_S": "1"}
        self._start(last, brief, log)
        last.faults.jump(_BEYOND_S)  # what ended while the clock was ahead is old by then, too
        with self._told("left request"):
            eventually(lambda: self._load.stored(last.serving) == [], timeout_s=_REMOVAL_S)
        with contextlib.suppress(AssertionError):
            eventually(lambda: not self._left(at_start, *_RUNS), _SETTLE_S)
        self._stop(last)
        self.history.met += self._left(at_start, _SWEEPS)
        self._look_for_files(found)

    def _look_for_files(self, found: list[Host]) -> None:
        for host in found:
            left = leftovers.files_of(self._folder / f"data-{host.name}", self._temporary)
            self.history.met += left

    def _left(self, at_start: set[str], *stays: str) -> list[Violation]:
        current = leftovers.current_plan(self._folder, WORKFLOW)
        left = leftovers.keys_of(self._folder) - at_start - {current}
        keys = sorted(key for key in left if not key.startswith((*_STAYS, *stays)))
        return [Violation("left key", key) for key in keys]

    def _is_idle(self, found: list[Host]) -> bool:
        with contextlib.suppress(OSError, ValueError, KeyError):
            nodes = [host.serving.ask("GET", "/node", None, 30.0, {}).body for host in found]
            is_idle = all(one["open_requests"] == one["queued_batches"] == 0 for one in nodes)
            return is_idle and self._load.all_delivered()
        return False

    def _stop(self, host: Host) -> None:
        began = time.monotonic()
        code = host.serving.stop()
        took_s = time.monotonic() - began
        if code != 0 or took_s > 10:
            told = f"the idle node {host.name} ended with code {code} after {took_s:.1f} s"
            self.history.met.append(Violation("exit", told))

    @contextmanager
    def _told(self, kind: str) -> Iterator[None]:
        try:
            yield
        except AssertionError as error:
            self.history.met.append(Violation(kind, str(error)))


def _say(log: IO[str], text: str) -> None:
    log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} soak: {text}\n")
    log.flush()
