from __future__ import annotations

import pytest

from jobx.actors.cluster.members import NodeRecord, encode
from jobx.errors import DeadlineExceeded, InvalidInput, NotFound
from jobx.kv import keys, node_calls
from jobx.kv.memory import MemoryStore
from jobx.kv.store import Put, Unit
from jobx.tools.cluster.draining import drain


def running(name: str, nsqd: str = "h:4150") -> MemoryStore:
    store = MemoryStore()
    record = encode(NodeRecord(5, nsqd))
    store.lease(keys.node(name), "host:/d", 60.0, record).acquire()
    return store


def test_a_node_that_runs_on_is_named_with_what_remains() -> None:
    store = running("a")
    store.commit([Put(keys.opened("a", "w", "1"), b""), Put(keys.undelivered("a", "w", "2"), b"")])
    reason = r"node a \(it still runs, open requests: 1, results to deliver: 1\) took longer"
    with pytest.raises(DeadlineExceeded, match=reason):
        drain(store, "a", 0.0)
    assert node_calls.calls(store, "a") == {node_calls.DRAIN: "5"}


def test_a_node_that_is_not_there_is_named() -> None:
    store = running("b")
    with pytest.raises(NotFound, match="node named a"):
        drain(store, "a", 0.0)


def test_a_node_that_takes_no_calls_is_refused() -> None:
    store = running("a", nsqd="")
    with pytest.raises(InvalidInput, match=r"node: has no bridge\.nsqd"):
        drain(store, "a", 0.0)
    assert node_calls.calls(store, "a") == {}


def test_a_node_that_ends_and_leaves_nothing_is_drained() -> None:
    class Ending(MemoryStore):
        def commit(self, writes: Unit) -> None:
            super().commit(writes)
            if any(write.key == keys.call("a", node_calls.DRAIN) for write in writes):
                lease.release()

    store = Ending()
    lease = store.lease(keys.node("a"), "host:/d", 60.0, encode(NodeRecord(5, "h:4150")))
    lease.acquire()
    drain(store, "a", 0.0)


def test_what_a_lost_node_left_is_waited_for() -> None:
    store = MemoryStore()
    store.commit([Put(keys.opened("a", "w", "1"), b"")])
    with pytest.raises(DeadlineExceeded, match=r"node a \(open requests: 1\)"):
        drain(store, "a", 0.0)
