"""Requests of a node whose store is on etcd, and what must be true of them in the end."""

from __future__ import annotations

from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from jobx.errors import JobxError, OutcomeUnknown, StoreFull, Unavailable
from jobx.kv import keys
from jobx.kv.opening import open_store
from jobx.kv.requests import event_log
from jobx.kv.store import Delete, Put, Store
from tests.support.authoring import ANSWER, COUNT, FAN, WORKFLOW, settings_of
from tests.support.etcd import FORGETFUL, Etcd
from tests.support.live_node import LiveNode, outcome_of, pairs_of
from tests.support.waiting import eventually

#: So slow that what comes before is committed without it.
SLOW_COUNT: Final = COUNT.replace(
    "    yield 'n'", "    import time; time.sleep(0.1)\n    yield 'n'"
)
HANDLERS: Final = {"fan": FAN, "count": SLOW_COUNT, "answer": ANSWER}
STEPS: Final = {"fan": ("fan", "sum"), "each": ("count", "sum"), "answer": ("answer", "sum")}
#: Flags of a server that is soon full.
LITTLE_ROOM: Final = (*FORGETFUL, "--quota-backend-bytes", str(4 << 20))
#: Commits with events that a request of ``fan`` has at least.
COMMITS: Final = 3


def opened(data_dir: Path) -> Store:
    return open_store(settings_of(data_dir))


def begin(node: LiveNode, count: int, numbers: int = 3) -> list[Future[dict[str, Any]]]:
    """Ask for requests, and return what becomes of each."""
    return [node.post_later("fan", {"n": numbers}) for _ in range(count)]


def expect_each_once(node: LiveNode, asked: list[Future[dict[str, Any]]], numbers: int = 3) -> None:
    """Expect that each request either was refused, and is not there, or has its right result."""
    for one in asked:
        try:
            outcome = outcome_of(one)
        except Unavailable:
            continue
        except OutcomeUnknown:  # its end is looked for below
            continue
        if outcome.request.state == "running":
            key = {"workflow": WORKFLOW, "request_id": outcome.request.request_id}
            outcome = outcome_of(node.ask_later("wait", **key, wait_s=60.0))
        assert pairs_of(outcome) == [("n", numbers)]


def expect_all_ended(data_dir: Path, node: LiveNode) -> None:
    """Expect that nothing is open, and that the log of each request has one end."""
    assert eventually(node.is_idle, timeout_s=60)
    with closing(opened(data_dir)) as store:
        assert eventually(lambda: not store.range(keys.OPEN), timeout_s=60)
        for entry in store.range(keys.entities("request", WORKFLOW)):
            request_id = entry.key.rsplit("/", 1)[1]
            events = [str(e["event"]) for _, e in event_log.read(store, WORKFLOW, request_id)]
            assert events.count("finished") == 1 and events[-1] == "finished"


def answers(node: LiveNode) -> bool:
    """Ask for a request that is quick; return whether it was answered."""
    try:
        return pairs_of(node.post("answer", {})) == [("answer", 42)]
    except JobxError:
        return False


def fill(data_dir: Path) -> None:
    """Write until a server has no room left."""
    with closing(opened(data_dir)) as store, pytest.raises(StoreFull):
        for number in range(100):
            store.commit([Put("large", bytes([number]) * 500_000)])


def make_room(etcd: Etcd, data_dir: Path) -> None:
    """Remove what ``fill`` wrote, and its alarm."""
    with closing(opened(data_dir)) as store:
        store.commit([Delete("large")])
    etcd.ctl("compact", str(etcd.ctl("get", "large")["header"]["revision"]))
    etcd.ctl("defrag")
    etcd.ctl("alarm", "disarm")
