"""What three nodes do beside one: invocations a second, sleeping handlers, a trip, an idle node.

``python -m tests.bench.cluster [fan] [nap] [trip] [idle] [back] [lost] [--quick]`` prints it
alone. It needs etcd and nsqd. Three nodes and one with a store of its own are asked in turns, on
the same servers: what else the machine does concerns all alike.
"""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from jobx import config_loading
from jobx.kv.opening import LEASE_S, open_store
from jobx.kv.requests import lives
from jobx.kv.store import Store
from tests.bench.asked_server import Server, percentiles
from tests.bench.figures import Figure
from tests.bench.processes import cpu_s, rss_mb, wide_listeners
from tests.bench.table import command
from tests.bench.work import WrongResultError, check
from tests.cluster.clusters import FAN, GATE, KEY, NAP
from tests.support import nsq
from tests.support.authoring import ANSWER, SLEEP, WORKFLOW, write
from tests.support.etcd import Etcd, etcd_servers, program
from tests.support.processes import descendants
from tests.support.waiting import eventually

THREE: Final = "jobx_3nodes"
ONE: Final = "jobx_1node"
NAMES: Final = ("a", "b", "c")
_SLEEP_MS: Final = 120_000
#: How long a node stands still.
_STOPPED_S: Final = 12.0
_HANDLERS: Final = {"fan": FAN, "nap": NAP, "answer": ANSWER, "sleep": SLEEP, "gate": GATE}
_STEPS: Final = {
    "fan": ("fan", "sum"),
    "each": ("nap", "sum"),
    "answer": ("answer", "sum"),
    "sleep": ("sleep", "sum"),
    "gate": ("gate", "sum"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is done.

    Attributes:
        turns: Requests of each kind, to three nodes and to one.
        fan: Invocations of a wide request.
        naps: Invocations that sleep, of a request.
        trips: Small requests, here and to another node.
        idle_s: How long nothing is done.
        gone_s: How long nsqd is gone, each time that it is killed.
        open: Requests that a node has which is lost.
    """

    turns: int
    fan: int
    naps: int
    trips: int
    idle_s: float
    gone_s: tuple[float, ...]
    open: int


FULL: Final = Sizes(
    turns=7, fan=10_000, naps=600, trips=300, idle_s=20.0, gone_s=(0.5, 3.0, 8.0, 16.0), open=50
)
QUICK: Final = Sizes(turns=2, fan=1000, naps=60, trips=20, idle_s=2.0, gone_s=(0.5,), open=20)


class Nodes:
    """Three nodes, and one beside them, of so many executors; a context manager.

    Args:
        folder: Their files.
        executors: Executors of each of three nodes, and of the one.
    """

    def __init__(self, folder: Path, executors: tuple[int, int]) -> None:
        self._folder = folder
        self._executors = executors
        self._stack = ExitStack()
        self.three: dict[str, Server] = {}
        self.one: Server
        self.environ: dict[str, str]
        self.broker: nsq.Nsqd

    def __enter__(self) -> Nodes:
        with ExitStack() as stack:
            etcd = stack.enter_context(etcd_servers(self._folder / "etcd"))
            self.broker = broker = stack.enter_context(nsq.running("nsqd", self._folder))
            three, one = (self._environ(etcd, broker) for _ in range(2))
            self.environ = three
            for name in NAMES:
                self.three[name] = stack.enter_context(
                    self._server(name, three, self._executors[0])
                )
            self.one = stack.enter_context(self._server("one", one, self._executors[1]))
            self._work_together()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _environ(self, etcd: Etcd, broker: nsq.Nsqd) -> dict[str, str]:
        """Return the environment of a cluster of its own, with a workflow in its store."""
        name = f"c{uuid.uuid4().hex[:8]}"
        blobs = self._folder / name
        blobs.mkdir()
        environ = {
            "JOBX_STORE_URL": f"{etcd.url}/{name}",
            "JOBX_BLOBS_URL": blobs.as_uri(),
            "JOBX_CLUSTER_NAME": name,
            "JOBX_CLUSTER_KEY": KEY,
            "JOBX_BRIDGE_NSQD": broker.address,
            "JOBX_NODE_DRAIN_S": "1",
        }
        with self.store(environ) as store:
            write(store, _HANDLERS, _STEPS)
        return environ

    @contextmanager
    def store(self, environ: Mapping[str, str]) -> Iterator[Store]:
        """Open the store of a cluster."""
        flags = {"node.data_dir": str(self._folder), "store.url": environ["JOBX_STORE_URL"]}
        with closing(open_store(config_loading.load(None, {}, flags))) as store:
            yield store

    def _server(self, name: str, environ: dict[str, str], executors: int) -> Server:
        settings = {**environ, "JOBX_NODE_ID": name}
        return Server(self._folder / name, settings, "--executors", str(executors))

    def _work_together(self) -> None:
        """Post until a request ran on all three nodes."""

        def has_all() -> bool:
            post(self.three["a"], "fan", n=300, ms=20)
            return set(NAMES) <= places(self.three["a"])

        eventually(has_all, 120.0)


def post(server: Server, job: str, **arguments: Any) -> Any:
    """Have a request done; return the answer."""
    return _ask(server, "POST", f"/job/{WORKFLOW}/{job}", {"arguments": arguments})


def _ask(
    server: Server,
    method: str,
    path: str,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
) -> Any:
    """Ask over a connection of its own: idle ones are closed."""
    with closing(server.connect()) as connection:
        return server.ask(method, path, body, connection, headers)


def places(server: Server) -> set[str]:
    """Return the nodes that ran the latest request."""
    latest = _ask(server, "GET", f"/request/{WORKFLOW}?limit=1")["requests"][0]["request_id"]
    todo = [_ask(server, "GET", f"/request/{WORKFLOW}/{latest}/trace?limit=100000")["root"]]
    found = set()
    while todo:
        vertex = todo.pop()
        found.add(vertex["node_id"])
        todo += vertex["children"]
    return found


def fan_rows(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Yield a wide request on three nodes, and on one with the same executors in all."""
    with Nodes(folder, (2, 6)) as nodes:
        yield from _in_turns(nodes, "nodes_fan", sizes.fan, 0, sizes.turns)


def nap_rows(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Yield handlers that sleep 20 ms on three nodes of two executors, and on one of two."""
    with Nodes(folder, (2, 2)) as nodes:
        yield from _in_turns(nodes, "nodes_nap", sizes.naps, 20, sizes.turns)


def _in_turns(nodes: Nodes, work: str, count: int, sleep_ms: int, turns: int) -> Iterator[Figure]:
    servers = {THREE: nodes.three["a"], ONE: nodes.one}
    taken: dict[str, list[float]] = {name: [] for name in servers}
    for _ in range(turns):
        for name, server in servers.items():
            began = time.perf_counter()
            answer = post(server, "fan", n=count, ms=sleep_ms)
            taken[name].append(time.perf_counter() - began)
            check(work, answer["result"]["pairs"], [["n", count]])
    for name, times in taken.items():
        seconds = statistics.median(times)
        yield Figure(peer=name, work=work, n=count, seconds=seconds, per_s=count / seconds)


def trip_rows(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Yield a small request whose batch goes to another node, and one whose batch stays.

    The executors of one node are kept busy, so that its requests run elsewhere.
    """
    with Nodes(folder, (2, 2)) as nodes:
        busy, idle = _busy(nodes), nodes.three["c"]
        taken: dict[str, list[float]] = {THREE: [], ONE: []}
        for _ in range(sizes.trips):
            for name, server in {THREE: busy, ONE: idle}.items():
                began = time.perf_counter()
                answer = post(server, "answer")
                taken[name].append(time.perf_counter() - began)
                check("trip", answer["result"]["pairs"], [["answer", 42]])
        check("trip: is elsewhere", _runs_elsewhere(busy), True)
    for name, times in taken.items():
        yield Figure(peer=name, work="nodes_trip", n=sizes.trips, **percentiles(times))


def back_rows(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Yield how long after the start of a killed nsqd a request of a busy node ran elsewhere."""
    with Nodes(folder, (2, 2)) as nodes:
        busy = _busy(nodes)
        taken = []
        for gone_s in sizes.gone_s:
            nodes.broker.kill()
            time.sleep(gone_s)
            nodes.broker.start()
            began = time.perf_counter()
            check("back: is elsewhere", _runs_elsewhere(busy), True)
            taken.append(time.perf_counter() - began)
    yield Figure(peer=THREE, work="nodes_back", n=len(taken), seconds=max(taken))


def lost_rows(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Yield how long after it was stopped or killed a node had no open request any more.

    All of its requests wait in their handlers meanwhile; then each ends, and rightly.
    """
    with Nodes(folder, (2, 2)) as nodes, nodes.store(nodes.environ) as store:
        taken = []
        for name, number in (("a", signal.SIGSTOP), ("b", signal.SIGKILL)):
            gate = folder / f"gate-{name}"
            posted = [_post_gated(nodes.three[name], gate) for _ in range(sizes.open)]
            pids = [nodes.three[name].pid, *descendants(nodes.three[name].pid)]
            began = time.perf_counter()
            _signal_all(pids, number)
            eventually(lambda: not lives.opened(store, name), 120.0)  # noqa: B023 - at once
            taken.append(time.perf_counter() - began)
            time.sleep(max(0.0, began + _STOPPED_S - time.perf_counter()))
            _signal_all(pids, signal.SIGCONT)
            gate.touch()
            for request_id in posted:
                path = f"/request/{WORKFLOW}/{request_id}/result"
                answer = _ask(nodes.three["c"], "GET", path, headers={"Prefer": "wait=60"})
                check("lost: the result", answer["result"]["pairs"], [["n", 1]])
    yield Figure(peer=THREE, work="nodes_lost", n=sizes.open, seconds=max(taken))


def _post_gated(server: Server, gate: Path) -> str:
    """Begin a request that waits for a file; return its id."""
    body = {"arguments": {"gate": str(gate)}}
    headers = {"Prefer": "respond-async"}
    answer = _ask(server, "POST", f"/job/{WORKFLOW}/gate", body, headers)
    return str(answer["request_id"])


def _signal_all(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _busy(nodes: Nodes) -> Server:
    """Keep the executors of one node busy, so that its requests run elsewhere; return it."""
    busy = nodes.three["a"]
    for _ in range(3):  # one more than it has executors: with work elsewhere it gets offers
        _begin_to_sleep(busy)
    eventually(lambda: _runs_elsewhere(busy), 60.0)
    return busy


def _runs_elsewhere(busy: Server) -> bool:
    post(busy, "answer")
    return "a" not in places(busy)


def _begin_to_sleep(server: Server) -> None:
    connection = server.connect()
    path = f"/job/{WORKFLOW}/sleep"
    headers = {"Content-Type": "application/json", "Prefer": "respond-async"}
    connection.request("POST", path, f'{{"arguments": {{"ms": {_SLEEP_MS}}}}}', headers)
    check("sleep", connection.getresponse().status, 202)
    connection.close()


def idle_rows(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Yield an idle node of three; no process of it listens beyond loopback."""
    with Nodes(folder, (2, 2)) as nodes:
        server = nodes.three["b"]
        pid = _ask(server, "GET", "/node")["pid"]
        if found := wide_listeners(server.pid):
            raise WrongResultError(f"a node listens beyond loopback: {found}")
        time.sleep(2.0)
        before, began = cpu_s(pid), time.perf_counter()
        time.sleep(sizes.idle_s)
        used, seconds = cpu_s(pid) - before, time.perf_counter() - began
        yield Figure(
            peer=THREE,
            work="nodes_idle",
            n=0,
            seconds=seconds,
            rss_mb=rss_mb(pid),
            cpu_percent=100 * used / seconds,
        )


ROWS: Final[dict[str, Callable[[Path, Sizes], Iterator[Figure]]]] = {
    "fan": fan_rows,
    "nap": nap_rows,
    "trip": trip_rows,
    "idle": idle_rows,
    "back": back_rows,
    "lost": lost_rows,
}
#: By work: what is compared, the bound, whether it is an upper one.
_BARS: Final = {
    "nodes_fan": ("{:.2f} x one node (bar ≥ 0.7)", lambda a, b: a.per_s / b.per_s),
    "nodes_nap": ("{:.2f} x one node (bar ≥ 2.7)", lambda a, b: a.per_s / b.per_s),
    "nodes_trip": ("{:+.2f} ms beyond here (bar ≤ 5)", lambda a, b: a.p50_ms - b.p50_ms),
}


def missing() -> list[str]:
    """Return the programs that are needed and not here."""
    return [name for name in (program(), "nsqd") if shutil.which(name) is None]


def measure(folder: Path, wanted: list[str], quick: bool) -> Iterator[Figure]:
    """Yield the figures of some rows; each has servers and nodes of its own."""
    sizes = QUICK if quick else FULL
    folder.mkdir(parents=True, exist_ok=True)
    for name in wanted:
        with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=folder) as own:
            yield from ROWS[name](Path(own), sizes)


def draw(figures: list[Figure]) -> Table:
    """Return the table: a row for each work of three nodes."""
    beside = {f.work: f for f in figures if f.peer == ONE}
    table = Table("work", "n", "three nodes", "one node", "beside", title="Three nodes")
    for figure in figures:
        if figure.peer == THREE:
            other = beside.get(figure.work)
            cells = [_shown(figure), _shown(other) if other else "", _beside(figure, other)]
            table.add_row(figure.work, f"{figure.n:,}", *cells)
    return table


def _beside(figure: Figure, other: Figure | None) -> str:
    if figure.work == "nodes_back":
        return "bar ≤ 2 s"
    if figure.work == "nodes_lost":
        return f"bar ≤ {LEASE_S + 2:g} s"
    if other is None:
        return "bar ≤ 90 MB, 1.5 %"
    text, compare = _BARS[figure.work]
    return text.format(compare(figure, other))


def _shown(figure: Figure) -> str:
    if figure.cpu_percent is not None:
        return f"{figure.rss_mb:.0f} MB, {figure.cpu_percent:.1f} %"
    if figure.p50_ms is not None:
        return f"{figure.p50_ms:.2f} / {figure.p99_ms:.2f} ms"
    return f"{figure.per_s:,.0f}/s" if figure.per_s else f"{figure.seconds:.2f} s"


main = command(ROWS, measure, draw, missing)


if __name__ == "__main__":
    main()
