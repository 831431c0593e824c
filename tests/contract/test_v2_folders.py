"""On etcd's v2 API keys are in folders, which must not outlive them in growing numbers."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import cast

from msgspec.structs import replace

from jobx.kv import keys
from jobx.kv.etcd2.calls import List
from jobx.kv.etcd2.store import Etcd2Store
from jobx.kv.prefixes import branches
from jobx.kv.requests import event_log, kept_requests, request_entity
from jobx.kv.requests.removal import purge_writes
from jobx.model import Request
from tests.support.stores import OpenStore

REQUEST = Request(
    workflow_name="w", request_id="r", job_name="j", invocation_id="m0", accepted_at=1.0
)


def folders(store: Etcd2Store) -> set[str]:
    found, waiting = set[str](), [store._names.base]
    while waiting:
        nodes = store._connection.make(List(waiting.pop()))
        below = [node.path for node in nodes if node.is_folder]
        found.update(below)
        waiting += below
    return found


def accept(store: Etcd2Store, node_id: str, request: Request) -> None:
    event = {"event": "accepted", "plan": "p"}
    accepted = event_log.event_write("w", request.request_id, 0, event)
    store.commit([*request_entity.accept_writes(request, node_id), accepted])


def come_and_go(store: Etcd2Store, number: int) -> None:
    """Have a request accepted, finished and removed, as those that do it write it."""
    request = Request(
        workflow_name="w",
        request_id=f"r{number}",
        job_name="j",
        invocation_id="m0",
        accepted_at=1.0,
        idempotency_key=f"k{number}",
    )
    accept(store, "n", request)
    done = replace(request, finished_at=2.0 + number, state="failed", is_done=True)
    finished = event_log.event_write("w", request.request_id, 1, {"event": "finished"})
    store.commit([*request_entity.finish_writes(done, "n", "p", 2), finished])
    store.commit(purge_writes(kept_requests.find(store, done)))


def test_a_request_that_is_removed_leaves_no_folder(open_store: OpenStore, tmp_path: Path) -> None:
    with closing(cast("Etcd2Store", open_store("etcd2", tmp_path))) as store:
        come_and_go(store, 1)
        before = folders(store)
        for number in (2, 3):
            come_and_go(store, number)
        assert folders(store) == before
        assert not any("/r1" in path or "/kept/" in path for path in before)


def test_empty_folders_of_a_node_go_as_others_look_through_them(
    open_store: OpenStore, tmp_path: Path
) -> None:
    with closing(cast("Etcd2Store", open_store("etcd2", tmp_path))) as store:
        come_and_go(store, 1)
        assert any(path.endswith("/open/n/w") for path in folders(store))
        for _ in range(2):  # the folder of the workflow, then that of the node
            assert list(branches(store, keys.OPEN)) == []
        assert not any("/open/" in path for path in folders(store))
        come_and_go(store, 2)  # the node was not gone


def test_a_folder_of_a_node_with_an_open_request_stays(
    open_store: OpenStore, tmp_path: Path
) -> None:
    with closing(cast("Etcd2Store", open_store("etcd2", tmp_path))) as store:
        accept(store, "n", REQUEST)
        for _ in range(2):
            assert list(branches(store, keys.OPEN)) == [keys.opened_by("n")]
