"""What a node with a past costs: finished requests that are kept, removed, and cancels of many.

``python -m tests.bench.history [kept] [retention] [cancel] [--quick]`` prints it alone. Beside
each server whose store is full stands one with an empty store, asked in turns with it: what else
the machine does concerns both alike.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import msgspec
from rich.table import Table

from jobx.handlers.authoring.library import Library
from jobx.kv.entities.entities import Entities
from jobx.kv.requests import kept_requests, request_counts
from jobx.kv.requests.request_filter import argument_digest
from jobx.kv.sqlite.store import SqliteStore
from jobx.model import Job
from jobx.questions import CancelRequest, GetNode
from jobx.tools.shared.gateway_client import GatewayClient
from tests.bench.asked_server import Server, load, percentiles
from tests.bench.figures import Figure
from tests.bench.peers.jobx_peer import WORKFLOW, create_entities, settings, submission
from tests.bench.table import command
from tests.bench.works import CLIENTS
from tests.support.fault.rules import Faults, slow_sync
from tests.support.history import keep
from tests.support.waiting import eventually

_DAY_S = 86_400.0
#: Requests that the store keeps that is as good as empty: two pages of each state.
FEW = 500
#: How long a sync of the disk takes on which requests are removed.
SYNC_S = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is done.

    Attributes:
        kept: Finished requests that are kept.
        starts: Starts of each server.
        calls: Calls of each kind, to each server.
        expired: Requests that are removed.
        load_s: How long requests are accepted.
        opened: Requests that are open, and of those that are cancelled.
    """

    kept: tuple[int, ...]
    starts: int
    calls: int
    expired: int
    load_s: float
    opened: tuple[int, int]


FULL = Sizes(
    kept=(100_000, 1_000_000),
    starts=3,
    calls=200,
    expired=60_000,
    load_s=5.0,
    opened=(9000, 900),
)
QUICK = Sizes(kept=(2000,), starts=1, calls=50, expired=5000, load_s=1.0, opened=(1000, 100))


def kept_rows(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Yield a start, a POST and pages beside many kept requests, and beside none."""
    empty = _store(folder / "empty", FEW, ended_ago_s=_DAY_S / 2)
    for count in sizes.kept:
        full = _store(folder / f"kept-{count}", count, ended_ago_s=_DAY_S / 2)
        size = (full / "jobx.sqlite").stat().st_size
        both = {0: empty, count: full}
        starts: dict[int, list[float]] = {0: [], count: []}
        for _ in range(sizes.starts - 1):
            for number, data in both.items():
                with Server(data, {}) as server:
                    starts[number].append(server.started_s)
        with ExitStack() as stack:
            servers = {n: stack.enter_context(Server(data, {})) for n, data in both.items()}
            for number, server in servers.items():
                starts[number].append(server.started_s)
                yield Figure(
                    peer=_beside(count, number),
                    work="kept_start",
                    n=count,
                    seconds=statistics.median(starts[number]),
                    disk_mb=size / (1 << 20) if number else None,
                )
            for name, call in _CALLS.items():
                yield from _paired(name, count, call, servers, sizes.calls)
        shutil.rmtree(full)


def _beside(count: int, number: int) -> str:
    return "full" if number == count else "empty"


_PAGE = f"/request/{WORKFLOW}?limit=100"
_CALLS: dict[str, Callable[[Server], object]] = {
    "kept_post": Server.post,
    "kept_list": lambda server: _page(server, _PAGE),
    "kept_failed": lambda server: _page(server, f"{_PAGE}&state=failed"),
    "kept_job": lambda server: _page(server, f"{_PAGE}&job=one"),
    "kept_error": lambda server: _page(server, f"{_PAGE}&error=ValueError&job=one"),
    "kept_since": lambda server: _page(server, f"{_PAGE}&since=1w&until=1s"),
    "kept_argument": lambda server: _page(server, f"{_PAGE}&job=one&arg.number=7"),
    "kept_nothing": lambda server: _page(
        server, f"{_PAGE}&job=one&state=succeeded&error=ValueError"
    ),
    "kept_counts": lambda server: server.ask("GET", f"/request/{WORKFLOW}/counts"),
}


def _page(server: Server, path: str) -> None:
    """Read two pages, so that a cursor is used as well."""
    page = server.ask("GET", path)
    if page["next"] is not None:
        server.ask("GET", f"{path}&after={page['next']}")


def _paired(
    name: str,
    count: int,
    call: Callable[[Server], object],
    servers: dict[int, Server],
    calls: int,
) -> Iterator[Figure]:
    taken: dict[int, list[float]] = {number: [] for number in servers}
    for turn in range(calls + 10):
        for number, server in servers.items():
            began = time.perf_counter()
            call(server)
            if turn >= 10:  # the first ones warm up
                taken[number].append(time.perf_counter() - began)
    for number, times in taken.items():
        yield Figure(peer=_beside(count, number), work=name, n=count, **percentiles(times))


def _store(folder: Path, count: int, *, ended_ago_s: float) -> Path:
    """Return a data folder whose store has so many finished requests of the job ``one``."""
    folder.mkdir(parents=True)
    path = folder / "jobx.sqlite"
    create_entities(settings(folder))
    with closing(SqliteStore(path)) as store:
        library = Library(store)
        library.refresh()
        digest, _, writes = library.plan(WORKFLOW)
        if count:
            store.commit(writes)
        first_at = time.time() - ended_ago_s
        names = WORKFLOW, "one"
        entities = Entities(store)
        job = entities.get(Job, *names)
        entities.put(msgspec.structs.replace(job, search=("number",)))
        search = (argument_digest("number", 7),)
        keep(
            *(store, names, digest, count),
            first_at=first_at,
            every_s=0.01,
            failed_every=2,
            search=search,
        )
        while request_counts.fold(store):
            pass
    return folder


def retention_rows(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Yield requests accepted a second and removed a second, on a disk whose sync takes 10 ms."""
    faults = Faults(folder / "faults")
    faults.set(slow_sync(folder, SYNC_S))
    data = _store(folder / "accept", 0, ended_ago_s=0.0)
    with Server(data, faults.environ) as server:
        with load(server) as count:
            began, before = time.perf_counter(), count()
            time.sleep(sizes.load_s)
            per_s = (count() - before) / (time.perf_counter() - began)
        yield Figure(peer="full", work="accepted", n=CLIENTS, per_s=per_s)
    for clients in (0, CLIENTS):
        faults.clear()
        data = _store(folder / f"remove-{clients}", sizes.expired, ended_ago_s=2 * _DAY_S)
        faults.set(slow_sync(folder, SYNC_S))
        with Server(data, faults.environ) as server, ExitStack() as stack:
            accepted = stack.enter_context(load(server)) if clients else lambda: 0
            yield from _removal(data, clients, accepted, sizes)
        shutil.rmtree(data)


def _removal(
    data: Path, clients: int, accepted: Callable[[], int], sizes: Sizes
) -> Iterator[Figure]:
    """Yield how fast what has expired goes, and what a command waits that writes meanwhile."""
    with closing(SqliteStore(data / "jobx.sqlite")) as store:
        before_at = time.time() - _DAY_S

        def left() -> int:
            return len(kept_requests.expired(store, before_at, sizes.expired))

        eventually(lambda: left() < sizes.expired, 60)
        began, first, accepted_before = time.perf_counter(), left(), accepted()
        waits = []
        while (last := left()) and time.perf_counter() - began < 60:
            waits.append(_command_s(data, len(waits)))
        seconds = time.perf_counter() - began
    yield Figure(
        peer="full",
        work="removed",
        n=clients,
        per_s=(first - last) / seconds,
        seconds=max(waits, default=0.0),
    )
    if clients:
        per_s = (accepted() - accepted_before) / seconds
        yield Figure(peer="full", work="accepted_beside", n=clients, per_s=per_s)


def _command_s(data: Path, number: int) -> float:
    """Return how long ``jobx workflow create`` takes."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "jobx.tools.cli", "workflow", "create", f"w{number}", "x"]
    subprocess.run([*command, "--data", str(data)], check=True, capture_output=True)
    return time.perf_counter() - began


def cancel_rows(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Yield how long another verb takes while many of very many open requests are cancelled."""
    count, cancelled = sizes.opened
    with Server(_store(folder / "cancel", 0, ended_ago_s=0.0), {}) as server:
        gateways = [_gateway(server) for _ in range(2)]
        with closing(gateways[0]) as orders, closing(gateways[1]) as other:
            ids = [_submit(orders, 60_000.0) for _ in range(count)]
            before = _asked(other, 200)
            yield Figure(peer="full", work="cancel_before", n=count, **percentiles(before))
            cancelling = threading.Thread(target=_cancel, args=(orders, ids[-cancelled:]))
            cancelling.start()
            taken: list[float] = []
            began = time.perf_counter()
            while cancelling.is_alive():
                taken += _asked(other, 1)
            seconds = time.perf_counter() - began
            cancelling.join()
        yield Figure(peer="full", work="cancel", n=cancelled, seconds=seconds, **percentiles(taken))
        began = time.perf_counter()
    yield Figure(peer="full", work="cancel_stop", n=count, seconds=time.perf_counter() - began)


def _gateway(server: Server) -> GatewayClient:
    """Return a connection to the node of a server."""
    return GatewayClient(server.settings.gateway_path)


def _submit(gateway: GatewayClient, sleep_ms: float) -> str:
    asked = submission("sleep", ms=sleep_ms)
    gateway.call(msgspec.structs.replace(asked, is_blocking=False, wait_s=0.0), 60.0)
    return asked.request_id


def _cancel(gateway: GatewayClient, ids: list[str]) -> None:
    for request_id in ids:
        asked = CancelRequest(workflow=WORKFLOW, request_id=request_id, reason="the bench")
        gateway.call(asked, 60.0)


def _asked(gateway: GatewayClient, times: int) -> list[float]:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        gateway.call(GetNode(), 60.0)
        taken.append(time.perf_counter() - began)
    return taken


ROWS: dict[str, Callable[[Path, Sizes], Iterator[Figure]]] = {
    "kept": kept_rows,
    "retention": retention_rows,
    "cancel": cancel_rows,
}


def measure(folder: Path, wanted: list[str], quick: bool) -> Iterator[Figure]:
    """Yield the figures of all rows that are wanted; what is written goes below ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes = QUICK if quick else FULL
    for name in wanted:
        with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=folder) as own:
            yield from ROWS[name](Path(own), sizes)


def draw(figures: list[Figure]) -> Table:
    """Return the table: a row a figure, each beside that of an empty store."""
    beside = {(f.work, f.n): f for f in figures if f.peer == "empty"}
    table = Table("work", "n", "figure", "empty store", "ratio", title="A node with a past")
    for figure in figures:
        if figure.peer != "empty":
            other = beside.get((figure.work, figure.n))
            cells = [_shown(figure), _shown(other) if other else "", _ratio(figure, other)]
            table.add_row(figure.work, f"{figure.n:,}", *cells)
    return table


def _shown(figure: Figure) -> str:
    parts = []
    if figure.p50_ms is not None:
        parts.append(f"{figure.p50_ms:.2f} / {figure.p99_ms:.2f} ms")
    if figure.per_s is not None:
        parts.append(f"{figure.per_s:,.0f}/s")
    if figure.seconds is not None:
        parts.append(f"{figure.seconds:.2f} s")
    if figure.disk_mb is not None:
        parts.append(f"{figure.disk_mb:,.0f} MB")
    return ", ".join(parts)


def _ratio(figure: Figure, other: Figure | None) -> str:
    if other is None:
        return ""
    column = "p50_ms" if figure.p50_ms is not None else "seconds"
    return f"{getattr(figure, column) / getattr(other, column):.2f}"


main = command(ROWS, measure, draw)
if __name__ == "__main__":
    main()
