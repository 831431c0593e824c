"""Counts words on three nodes, kills one of them half-way, and checks the answer.

    make cluster-demo      or      python -m examples.cluster_demo [a|b|c]

It starts etcd, nsqd and three nodes on loopback, and does what a user would do, as
examples/demo.py does with one node. The node that is killed is the one that is named, by default
the one that coordinates the request. Without nsqd a small broker of the tests takes its place.
Everything is in a temporary folder and gone at the end. Exits with 0 only if every count is that
of a plain Counter.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from rich.table import Table

from examples.demo import (
    JOBX,
    SETUP,
    STOP_S,
    answer,
    check,
    console,
    interrupted,
    jobx,
    result,
    submit,
)
from jobx.system import kernel

NODES = ("a", "b", "c")
EXECUTORS = 2
POLL_S = 0.1
END_S = 300.0
MISSING = """\
This demo needs etcd, and finds none on the PATH. To install it:

    apt-get install etcd-server          (Debian 12 and later, Ubuntu 24.04 and later)
    https://github.com/etcd-io/etcd/releases"""


def main(victim: str = NODES[0]) -> int:
    """Run the demo; return the exit code."""
    if shutil.which("etcd") is None:
        console.print(MISSING)
        return 1
    with tempfile.TemporaryDirectory(prefix="jobx-cluster-demo-") as name, ExitStack() as stack:
        folder = Path(name)
        store = stack.enter_context(etcd(folder))
        broker = stack.enter_context(nsqd(folder))
        environs = {node: environ_of(node, folder, store, broker) for node in NODES}
        jobx(SETUP, environs["a"])
        nodes = {node: stack.enter_context(serving(node, environs[node])) for node in NODES}
        urls = {node: url_of(node, process) for node, process in nodes.items()}
        until(lambda: are_linked(environs["a"]), "the nodes link")
        jobx(("cluster", "status"), environs["a"])
        path = submit(urls["a"])
        kill_half_way(urls["a"], path, victim, nodes[victim])
        left = next(node for node in NODES if node != victim)
        request = ended(urls[left], path)
        if request["state"] != "succeeded":
            console.print(f"the request has {request['state']}: {request['failure']}")
            return 1
        counts = result(urls[left], request["request_id"])
        show_places(urls[left], path)
        jobx(("cluster", "status"), environs[left])
    return check(counts)


def environ_of(node: str, folder: Path, store: str, broker: str) -> dict[str, str]:
    """Return the environment of a node: its settings, and none of the user's."""
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("JOBX_")}
    (folder / "blobs").mkdir(exist_ok=True)
    key = folder / "cluster.key"
    if not key.exists():
        key.touch(0o600)
        key.write_text(secrets.token_hex(32), encoding="ascii")
    return inherited | {
        "JOBX_NODE_ID": node,
        "JOBX_NODE_DATA_DIR": str(folder / node),
        "JOBX_NODE_LOG_LEVEL": "error",
        "JOBX_STORE_URL": store,
        "JOBX_BLOBS_URL": (folder / "blobs").as_uri(),
        "JOBX_CLUSTER_KEY_FILE": str(key),
        "JOBX_BRIDGE_NSQD": broker,
    }


@contextmanager
def etcd(folder: Path) -> Iterator[str]:
    """Run one server of etcd; give its ``store.url``."""
    client, peer = (f"127.0.0.1:{port}" for port in free_ports(2))
    words = ["etcd", "--name=demo", f"--data-dir={folder / 'etcd'}", "--log-level=error"]
    words += [f"--listen-client-urls=http://{client}", f"--advertise-client-urls=http://{client}"]
    words += [f"--listen-peer-urls=http://{peer}", f"--initial-advertise-peer-urls=http://{peer}"]
    words += [f"--initial-cluster=demo=http://{peer}", "--auto-compaction-retention=1"]
    with running(words, folder / "etcd.log") as server:
        until(lambda: is_healthy(client), "etcd answers", server)
        yield f"etcd://{client}"


def is_healthy(address: str) -> bool:
    """Tell whether etcd answers and has a leader."""
    with suppress(OSError), answer(f"http://{address}/health") as response:
        return bool(json.load(response)["health"] == "true")
    return False


@contextmanager
def nsqd(folder: Path) -> Iterator[str]:
    """Run nsqd, or what takes its place; give its address."""
    tcp, http = (f"127.0.0.1:{port}" for port in free_ports(2))
    words = ["nsqd", f"-tcp-address={tcp}", f"-http-address={http}", f"-data-path={folder}"]
    words += ["-broadcast-address=127.0.0.1"]
    if shutil.which("nsqd") is None:
        console.print("There is no nsqd on the PATH; a small broker of the tests takes its place.")
        words = [sys.executable, "-m", "tests.support.servers.nsq", tcp.rpartition(":")[2]]
    with running(words, folder / "nsqd.log") as server:
        until(lambda: listens(tcp), "nsqd answers", server)
        yield tcp


def listens(address: str) -> bool:
    """Tell whether somebody takes connections."""
    host, _, port = address.rpartition(":")
    with suppress(OSError), socket.create_connection((host, int(port)), 1.0):
        return True
    return False


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that nobody listens on now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


@contextmanager
def running(words: list[str], log: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a server for the length of a ``with``; what it says is in ``log``."""
    with (
        log.open("wb") as output,
        subprocess.Popen(
            words, stdout=output, stderr=output, text=True, start_new_session=True, preexec_fn=tie
        ) as server,
    ):
        try:
            yield server
        finally:
            server.kill()


def tie() -> None:
    """Have this process end with its parent, however that ends; Ctrl-C goes to the parent only."""
    kernel.prctl(kernel.DIE_WITH_PARENT, signal.SIGKILL)


@contextmanager
def serving(node: str, environ: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Run ``jobx serve`` on a free port for the length of a ``with``."""
    words = ("serve", "--bind", "127.0.0.1:0", "--executors", str(EXECUTORS))
    console.print(f"[bold]$ jobx {' '.join(words)} &[/bold]   (node {node})")
    with subprocess.Popen(
        [*JOBX, *words],
        env=environ,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=tie,
    ) as serve:
        try:
            yield serve
        finally:
            serve.terminate()
            try:
                serve.wait(STOP_S)
            finally:
                serve.kill()


def url_of(node: str, serve: subprocess.Popen[str]) -> str:
    """Return the address of a node, once it answers."""
    line = serve.stdout.readline() if serve.stdout else ""
    found = re.match(r"serving (\S+)", line)
    if found is None:
        raise SystemExit(f"node {node} did not start")
    console.print(f"node {node}: {line.rstrip()}")
    return found[1]


def are_linked(environ: Mapping[str, str]) -> bool:
    """Tell whether all nodes are there and all their links are up."""
    words = [*JOBX, "cluster", "status", "--json"]
    done = subprocess.run(words, env=environ, check=True, capture_output=True)
    view = json.loads(done.stdout)
    links = [link for node in view["nodes"] if node["report"] for link in node["report"]["links"]]
    return len(links) == len(NODES) * (len(NODES) - 1) and all(link["is_up"] for link in links)


def kill_half_way(url: str, path: str, victim: str, serve: subprocess.Popen[str]) -> None:
    """Kill a node without a warning when half of the files are counted."""
    until(lambda: is_half_done(url, path), "half of the work is done")
    serve.kill()
    console.print(f"[bold]node {victim} is killed[/bold]")


def is_half_done(url: str, path: str) -> bool:
    """Tell whether half of a request is done."""
    request = look(url, path)
    counts = request["counts"]
    return bool(counts["mapped"] > 1 and counts["finished"] * 2 >= counts["mapped"])


def ended(url: str, path: str) -> dict[str, Any]:
    """Wait until a request has ended; return it."""
    until(lambda: look(url, path)["state"] != "running", "the request ends")
    return look(url, path)


def look(url: str, path: str) -> dict[str, Any]:
    """Return a request as it stands."""
    with answer(url + path) as response:
        request: dict[str, Any] = json.load(response)
        return request


def show_places(url: str, path: str) -> None:
    """Print how many invocations ran on which node, and how long they took there."""
    with answer(f"{url}{path}/trace?limit=100000") as response:
        trace = json.load(response)
    counts: Counter[str] = Counter()
    seconds: Counter[str] = Counter()
    todo = [trace["root"]]
    while todo:
        vertex = todo.pop()
        counts[vertex["node_id"]] += 1
        seconds[vertex["node_id"]] += vertex["duration_s"] or 0.0
        todo += vertex["children"]
    table = Table("node", "invocations", "seconds", box=None)
    for node in sorted(counts):
        table.add_row(node, f"{counts[node]:,}", f"{seconds[node]:.2f}")
    console.print(table)


def until(
    is_so: Callable[[], bool], what: str, server: subprocess.Popen[str] | None = None
) -> None:
    """Wait until something is so.

    Raises:
        SystemExit: It took too long, or the server that it depends on has ended.
    """
    deadline = time.monotonic() + END_S
    while not is_so():
        if server is not None and server.poll() is not None:
            raise SystemExit(f"a server ended before {what}, exit code {server.returncode}")
        if time.monotonic() > deadline:
            raise SystemExit(f"it took longer than {END_S:g} s until {what}")
        time.sleep(POLL_S)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        sys.exit(main(*sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(interrupted())
