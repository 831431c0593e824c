"""Leases and watches on real servers of etcd that die, stand still, are cut off or compact."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest

from jobx.errors import JobxError, StoreUnavailable
from jobx.kv import keys
from jobx.kv.etcd import watches
from jobx.kv.etcd.connection import EtcdConnection
from jobx.kv.etcd.store import EtcdStore
from jobx.kv.leases import Watch
from jobx.kv.store import Put
from tests.support.authoring import ANSWER, define
from tests.support.etcd import Etcd, etcd_servers
from tests.support.live_node import live_node
from tests.support.proxy import Proxy, proxy
from tests.support.waiting import eventually

TIMEOUT_S = 2.0


def opened(servers: list[str], root: str = "") -> EtcdStore:
    return EtcdStore(EtcdConnection(servers, None, None, TIMEOUT_S), root)


@pytest.fixture(autouse=True)
def never_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a watch does not hear, it does not find out by a list."""
    monkeypatch.setattr(watches, "LIST_S", 600.0)


@pytest.fixture
def way(etcd: Etcd) -> Iterator[Proxy]:
    """A proxy in front of the server."""
    with proxy(etcd.servers[0]) as made:
        yield made


@pytest.fixture
def near(way: Proxy, tmp_path: Path) -> Iterator[EtcdStore]:
    """A store behind the proxy."""
    with closing(opened([way.server], f"{tmp_path}/")) as store:
        yield store


@pytest.fixture
def far(etcd: Etcd, tmp_path: Path) -> Iterator[EtcdStore]:
    """The same store, on a way of its own."""
    with closing(opened(etcd.servers, f"{tmp_path}/")) as store:
        yield store


def hears(watch: Watch, store: EtcdStore, key: str) -> bool:
    """Take a lease; return whether a watch hears of it."""
    store.lease(key, "me", 60.0).acquire()
    return bool(eventually(lambda: key in _next(watch), timeout_s=60))


def _next(watch: Watch) -> Any:
    with suppress(StoreUnavailable):
        return watch.next(1.0) or ()
    return ()


def test_a_watch_goes_on_after_its_connection_was_cut(
    near: EtcdStore, far: EtcdStore, way: Proxy
) -> None:
    watch = near.watch("nodes/")
    assert watch.next(60.0) == {}
    for name in "ab":
        way.cut()
        assert hears(watch, far, f"nodes/{name}")


@pytest.mark.parametrize("how", ["is_deaf", "is_mute", "is_shut"])
def test_a_watch_that_hears_nothing_says_so_and_catches_up(
    how: str, near: EtcdStore, far: EtcdStore, way: Proxy
) -> None:
    watch = near.watch("nodes/")
    assert watch.next(60.0) == {}
    setattr(way, how, True)
    if how == "is_shut":
        way.cut()
    with pytest.raises(StoreUnavailable):
        while True:
            watch.next(20.0)
    far.lease("nodes/a", "me", 60.0).acquire()
    setattr(way, how, False)
    way.cut()  # else gRPC itself would notice only after a while
    assert hears(watch, far, "nodes/b")
    assert watch.next(0.0) is None


def test_a_watch_whose_past_was_compacted_misses_nothing(far: EtcdStore, etcd: Etcd) -> None:
    gone, watch = far.lease("nodes/gone", "me", 60.0), far.watch("nodes/")
    gone.acquire()
    assert set(watch.next(60.0) or ()) == {"nodes/gone"}
    gone.release()
    far.lease("nodes/new", "me", 60.0).acquire()
    far.commit([Put("else", b"")])
    etcd.ctl("compact", str(etcd.ctl("get", "else")["header"]["revision"]))
    assert set(watch.next(60.0) or ()) == {"nodes/new"}


def test_changes_that_were_compacted_are_a_gap(far: EtcdStore, etcd: Etcd) -> None:
    changes = far.changes("listed/")
    assert changes.next(1.0).has_gap
    far.commit([Put("listed/a", b"")])
    far.commit([Put("else", b"")])
    etcd.ctl("compact", str(etcd.ctl("get", "else")["header"]["revision"]))
    assert not changes.next(20.0).keys
    assert changes.next(20.0).has_gap
    far.commit([Put("listed/b", b"")])
    assert changes.next(20.0).keys == ["listed/b"]


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
def test_a_watch_is_served_by_another_member_than_one_that_is_gone(
    fault: signal.Signals, tmp_path: Path
) -> None:
    with etcd_servers(tmp_path, 3) as etcd, ExitStack() as stack:
        near, far = (stack.enter_context(closing(opened(etcd.servers))) for _ in range(2))
        watch = near.watch("nodes/")
        watch.next(60.0)
        etcd.members[0].signal(fault)  # the first one serves the watch
        eventually(lambda: _is_written(far), timeout_s=60)
        assert hears(watch, far, "nodes/a")


def _is_written(store: EtcdStore) -> bool:
    try:
        store.commit([Put("a", b"")])
    except JobxError:
        return False
    return True


def test_a_node_whose_loop_stands_still_loses_its_lease(
    etcd: Etcd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBX_STORE_URL", f"{etcd.url}/{tmp_path.name}")
    for module in ("jobx.kv.opening", "jobx.actors.held_lease"):
        monkeypatch.setattr(f"{module}.LEASE_S", 2.0)
    define(tmp_path, {"answer": ANSWER, "sum": ANSWER}, {"answer": ("answer", "sum")})
    gate = threading.Event()
    with live_node(tmp_path) as node, closing(opened(etcd.servers, f"{tmp_path.name}/")) as store:
        node.call_soon(lambda: gate.wait(60))
        store.lease(keys.node("local"), "elsewhere", 60.0).acquire()
        gate.set()
        assert eventually(node.node.lost.is_set, timeout_s=60)
