"""A real node whose executors are shared by several workflows, and by what is short and long."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from jobx.actors.executors import fork_server_client, overdue, paces, placing, processes
from tests.support.authoring import ANSWER, FAN, SLEEP, define
from tests.support.live_node import LiveNode, Start, live_node, outcome_of, pairs_of
from tests.support.processes import alive, parent
from tests.support.waiting import eventually

PID = "import os\ndef handler(arguments):\n    yield Return()\n    yield 'pid', os.getpid()\n"
#: Maps on to so many children that it is suspended, and says which process it is.
SUSPENDED = """
import os
def handler(arguments):
    yield Map("wait")
    for number in range(3000):
        yield number, os.getpid()
"""
#: Waits for a file.
WAIT = """
import os, time
def handler(key, value):
    yield Return()
    while not os.path.exists("GATE"):
        time.sleep(0.01)
    yield value, 1
"""
NAMES = ("one", "two", "three", "four", "five")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[LiveNode]:
    handlers = {
        "pid": PID,
        "many": SUSPENDED,
        "wait": WAIT.replace("GATE", str(tmp_path / "gate")),
        "answer": ANSWER,
    }
    steps = {"pid": ("pid", "sum"), "many": ("many", "sum"), "wait": ("wait", "sum")}
    for name in NAMES:
        define(tmp_path, handlers, {**steps, "answer": ("answer", "sum")}, name)
    with live_node(tmp_path, node__executors=1) as started:
        yield started


def pid(node: LiveNode, workflow: str) -> int:
    ((_, found),) = pairs_of(node.post("pid", {}, workflow=workflow))
    return int(found)


def test_workflows_that_take_turns_start_no_processes(node: LiveNode) -> None:
    first = [pid(node, name) for name in ("one", "two")]
    assert [pid(node, name) for name in ("one", "two") * 5] == first * 5
    assert len(set(first)) == 2


def test_a_workflow_without_an_executor_gets_one_that_was_started_ahead(node: LiveNode) -> None:
    def blank() -> list[int]:
        return [one.pid for one in node.status().executors if one.state == "blank" and one.pid]

    pid(node, "one")
    ahead = eventually(lambda: found if len(found := blank()) == processes.BLANKS else None)
    assert ahead is not None
    assert pid(node, "two") in ahead
    eventually(lambda: len(blank()) == processes.BLANKS)


def test_an_executor_that_dies_is_replaced_by_one_that_was_started_ahead(node: LiveNode) -> None:
    old = pid(node, "one")
    os.kill(old, signal.SIGKILL)
    assert pid(node, "one") != old


def test_each_workflow_has_executors_of_its_own_and_there_are_never_many(node: LiveNode) -> None:
    seen: dict[str, set[int]] = {name: set() for name in NAMES}
    for _ in range(4):
        for name in NAMES:
            seen[name].add(pid(node, name))
            assert len([p for p in node.pids() if alive(p)]) <= 4
    found = list(seen.values())
    assert sum(map(len, found)) == len(set().union(*found))


@pytest.mark.every_store
def test_mapper_that_is_suspended_is_kept_while_another_workflow_has_the_executor(
    node: LiveNode, tmp_path: Path
) -> None:
    large = node.post_later("many", {}, workflow="one")
    eventually(lambda: node.status().executors[0].state == "busy")

    (tmp_path / "gate").touch()
    others = {pid(node, "two") for _ in range(20)}

    ((kept, count),) = pairs_of(outcome_of(large))
    assert count == 3000  # it was not begun anew, elsewhere
    assert kept not in others


@pytest.mark.every_store
def test_many_clients_of_several_workflows_are_all_served(node: LiveNode) -> None:
    def client(workflow: str) -> list[list[tuple[Any, Any]]]:
        return [pairs_of(node.post("answer", {}, workflow=workflow)) for _ in range(10)]

    with ThreadPoolExecutor(3 * len(NAMES)) as clients:
        found = list(clients.map(client, NAMES * 3))

    assert found == [[[("answer", 42)]] * 10] * 3 * len(NAMES)


#: Takes so many seconds, unless a file is there.
LONG = """
import os, time
def handler(arguments):
    yield Return()
    end = time.monotonic() + arguments["s"]
    while time.monotonic() < end and not os.path.exists("HURRY"):
        time.sleep(0.02)
    yield "n", 1
"""


@pytest.mark.every_store
def test_small_requests_do_not_wait_for_all_that_take_long(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it is known what takes long, and that there are small ones, too."""
    monkeypatch.setattr(placing, "RESERVE_S", 3600.0)
    hurry = tmp_path / "hurry"
    node = start(
        {"long": LONG.replace("HURRY", str(hurry)), "answer": ANSWER},
        {"long": ("long", "sum"), "small": ("answer", "sum")},
    )
    pairs_of(node.post("long", {"s": 1.5 * paces.LONG_S}))
    pairs_of(node.post("small", {}))
    long = [node.post_later("long", {"s": 3600.0}) for _ in range(8)]
    eventually(lambda: "busy" in {e.state for e in node.status().executors})

    for _ in range(10):
        assert pairs_of(node.post("small", {})) == [("answer", 42)]

    assert not any(one.done() for one in long)  # in the order of their coming all would be
    hurry.touch()
    assert all(pairs_of(outcome_of(one)) == [("n", 1)] for one in long)


#: Arguments that take several turns to read, and are read in full before anything is begun.
ROWS: list[Any] = [[number, str(number), [number] * 3] for number in range(150_000)]
LENGTH = "def handler(arguments):\n    yield Return()\n    yield 'rows', len(arguments['rows'])\n"


@pytest.mark.every_store
def test_what_takes_long_to_read_is_begun_while_small_requests_keep_coming(start: Start) -> None:
    node = start(
        {"length": LENGTH, "answer": ANSWER},
        {"large": ("length", "sum"), "small": ("answer", "sum")},
    )
    over = threading.Event()

    def client() -> None:
        while not over.is_set():
            pairs_of(node.post("small", {}))

    clients = [threading.Thread(target=client) for _ in range(8)]
    for one in clients:
        one.start()
    try:
        assert pairs_of(node.post("large", {"rows": ROWS})) == [("rows", len(ROWS))]
    finally:
        over.set()
        for one in clients:
            one.join(60)


@pytest.mark.every_store
def test_drain_ends_with_what_is_at_work_and_sends_nothing_more(tmp_path: Path) -> None:
    define(
        tmp_path,
        {
            "fan": FAN,
            "each": SLEEP.replace("arguments", "key, value", 1).replace('arguments["ms"]', "300"),
        },
        {"fan": ("fan", "sum"), "each": ("each", "sum")},
    )
    with live_node(tmp_path) as node:
        node.post_later("fan", {"n": 500}, is_blocking=False)
        eventually(lambda: any(e.state == "busy" for e in node.status().executors))
        node.node._executors.drain()
        eventually(lambda: not node.node._executors.is_busy, timeout_s=60)
        assert node.status().queued_batches > 0
        node.post_later("fan", {"n": 1}, is_blocking=False)
        assert not node.node._executors.is_busy


def test_fork_server_that_stands_still_is_replaced(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "LOOK_S", 0.05)
    monkeypatch.setattr(fork_server_client, "GONE_PINGS", 100)
    node = start({"answer": ANSWER}, {"small": ("answer", "sum")})
    old = node.pids()
    server = parent(old[0])

    os.kill(server, signal.SIGSTOP)

    eventually(lambda: node.node._executors.trouble is not None)
    eventually(lambda: not alive(server))
    eventually(node.is_idle)
    eventually(lambda: node.node._executors.trouble is None)
    eventually(lambda: not set(old) & set(node.pids()))
    assert pairs_of(node.post("small", {})) == [("answer", 42)]


def test_node_without_an_executor_says_so(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LOOK_S", 0.05)
    monkeypatch.setattr(fork_server_client, "GONE_PINGS", 10**9)
    node = start({"answer": ANSWER}, {"small": ("answer", "sum")}, node__executors=1)
    server = parent(node.pids()[0])

    os.kill(server, signal.SIGSTOP)
    try:
        os.kill(node.pids()[0], signal.SIGKILL)
        eventually(lambda: node.node._executors.trouble is not None)
    finally:
        os.kill(server, signal.SIGCONT)

    eventually(lambda: node.node._executors.trouble is None)
    assert pairs_of(node.post("small", {})) == [("answer", 42)]


def test_idle_executor_that_is_stopped_is_replaced(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "LOOK_S", 0.05)
    monkeypatch.setattr(fork_server_client, "GONE_PINGS", 1000)  # it may take long to start
    node = start({"answer": ANSWER}, {"small": ("answer", "sum")}, node__executors=1)
    (old,) = node.pids()

    os.kill(old, signal.SIGSTOP)

    eventually(lambda: not alive(old))
    assert pairs_of(node.post("small", {})) == [("answer", 42)]


def test_executor_that_says_it_leaves_and_stays_is_killed(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handler that makes the end of the process hang is as good as any other way to stay."""
    monkeypatch.setattr(processes, "LOOK_S", 0.05)
    monkeypatch.setattr(fork_server_client, "GONE_PINGS", 1000)  # it may take long to start
    monkeypatch.setattr(overdue, "LEAVE_S", 0.2)
    stays = (
        "import os, subprocess, time\ndef handler(arguments):\n    yield Return()\n"
        "    real = os._exit\n"
        "    os.__dict__['_exit'] = lambda code: time.sleep(3600)\n"
        "    subprocess.Popen(['sleep', '60'])\n    yield 'pid', os.getpid()\n"
    )
    node = start({"stays": stays}, {"stays": ("stays", "sum")}, node__executors=1)

    ((_, old),) = pairs_of(node.post("stays", {}))

    eventually(lambda: not alive(old))
    eventually(node.is_idle)
