"""Three nodes under load while one thing fails: the short form of ``tests.chaos.cluster``.

Brokers of our own double and reorder messages all the time; the real nsqd does not on demand. All
tests of the module share the nodes.
"""

from __future__ import annotations

import http.client
import itertools
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from tests.chaos.cluster.faults import Health, HostStriker, SharedStriker
from tests.chaos.cluster.hosts import Host, hosts
from tests.chaos.soak import plan
from tests.chaos.soak.defining import define
from tests.chaos.soak.history import History, check
from tests.chaos.soak.load import Load
from tests.chaos.soak.plan import Strike
from tests.support import nsq
from tests.support.authoring import WORKFLOW
from tests.support.etcd import Etcd, etcd_servers
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(300)

JOBS: Final = ("one", "narrow", "session")
ASKS: Final = 8
KIND: Final = nsq.best()
#: Longer than a lease.
LONG_S: Final = 6.0
#: Of one host.
ON_HOST: Final = {
    "kill executor": 0.0,
    "kill web worker": 0.0,
    "kill node": 0.0,
    "lose": LONG_S,
    "stop node": 12.0,
    "clock": 1.0,
}
#: Of what the hosts share.
SHARED: Final = {
    "kill nsqd": 1.0,
    "cut nsqd": 2.0,
    **({"bad nsqd": 3.0} if KIND == "broker" else {}),
    "kill etcd": 1.0,
    "cut etcd": LONG_S,
    "cut host": LONG_S,
    "slow etcd": 1.0,
    "compact etcd": 1.0,
    "change": 0.0,
}


class Three:
    """Three nodes, and what can be done to them.

    Attributes:
        found: Their hosts.
    """

    def __init__(self, folder: Path, found: list[Host], etcd: Etcd) -> None:
        self.found = found
        self._folder = folder
        self._etcd = etcd
        self._numbers = itertools.count(1)

    def check(self, fault: str, lasts_s: float) -> list[object]:
        """Make asks during a fault; return what must not be, once all of them have ended."""
        number = next(self._numbers)
        folder = self._folder / f"load-{number}"
        load = Load(folder, rate=4.0, clients=8)
        load.history.has_peers = True
        first = number * 1000
        asks = [plan.ask(number, first + n, JOBS) for n in range(ASKS)]
        ports = [host.serving.port for host in self.found]
        asking = threading.Thread(target=load.ask, args=(ports, iter(asks), 1e9))
        asking.start()
        self._strike(Strike(fault, 0.3, lasts_s, number / 7 % 1), load.history)
        asking.join()
        load.exchanges.close()
        eventually(self._is_idle, 60.0)
        stored = load.stored(self.found[0].serving)
        load.history.stored += [one for one in stored if one.ask in load.history.asks]
        return list(check(load.history, WORKFLOW, {}))

    def _strike(self, strike: Strike, history: History) -> None:
        over = threading.Event()
        with (self._folder / "strikes.log").open("a") as log:
            if strike.fault in ON_HOST:
                host = self.found[int(strike.luck * 3)]
                striker = HostStriker(host, self._folder, history, Health(), log)
                striker.run(iter([strike]), over)
                return
            shared = SharedStriker(
                self.found,
                self._etcd,
                KIND,
                history=history,
                health=Health(),
                note=lambda _: None,
            )
            shared.run(iter([strike]), over)

    def _is_idle(self) -> bool:
        try:
            nodes = [one.serving.ask("GET", "/node", None, 30.0, {}) for one in self.found]
        except (OSError, http.client.HTTPException):
            return False
        return all(one.status == 200 and one.body["open_requests"] == 0 for one in nodes)


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Three]:
    folder = tmp_path_factory.mktemp("three")
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        etcd = stack.enter_context(etcd_servers(folder / "etcd", 3))
        root = uuid.uuid4().hex
        patch.setenv("JOBX_STORE_URL", f"{etcd.url}/{root}")
        define(folder, JOBS)
        log = stack.enter_context((folder / "serve.log").open("a"))
        flags = ("--double", "0.2", "--shuffle", "20") if KIND == "broker" else ()
        found = stack.enter_context(hosts(KIND, folder, etcd, *flags))
        for host in found:
            host.prepare(folder, root, {"JOBX_HTTP_WORKERS": "1"}, log)
            stack.callback(host.end)
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda host: host.serving.start(), found))
        yield Three(folder, found, etcd)
        for host in found:
            assert host.serving.stop() == 0


@pytest.mark.parametrize(("fault", "lasts_s"), (ON_HOST | SHARED).items())
def test_requests_end_once_and_right_although(fault: str, lasts_s: float, three: Three) -> None:
    assert three.check(fault, lasts_s) == []
