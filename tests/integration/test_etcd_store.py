"""The store on real servers of etcd that are killed, cut off or full."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from jobx.actors.commits import commit
from jobx.errors import JobxError, OutcomeUnknown, StoreFull, StoreUnavailable
from jobx.kv.entities.applying import apply_workflow
from jobx.kv.entities.entities import Entities, WorkflowSnapshot
from jobx.kv.etcd.connection import EtcdConnection
from jobx.kv.store import CommitOutcome, Create, Delete, Put, Store
from jobx.model import Handler, Workflow
from tests.support.etcd import FORGETFUL, Etcd, etcd_servers
from tests.support.etcd_stores import TIMEOUT_S, impatient, is_written, opened
from tests.support.proxy import Proxy, proxy
from tests.support.stores import etcd_store
from tests.support.waiting import eventually


@pytest.fixture
def way(etcd: Etcd) -> Iterator[Proxy]:
    """A proxy in front of the server."""
    with proxy(etcd.servers[0]) as made:
        yield made


@pytest.fixture
def store(way: Proxy) -> Iterator[Store]:
    """A store behind the proxy."""
    with closing(opened(way.server, timeout_s=TIMEOUT_S)) as store:
        yield store


def test_a_commit_whose_answer_is_lost_may_have_been_done(
    store: Store, way: Proxy, tmp_path: Path
) -> None:
    key = f"lost/{tmp_path}"
    way.cuts_after = key.encode()
    with pytest.raises(OutcomeUnknown, match="lost/"):
        store.commit([Create(key, b"mine")])
    entry = eventually(lambda: store.get(key))
    assert entry.value == b"mine"


def test_what_was_written_without_an_answer_is_known_for_one_s_own(
    store: Store, way: Proxy, tmp_path: Path
) -> None:
    chain = [[Put("beside", b""), Create(f"again/{tmp_path}", b"mine")]]
    way.cuts_after = b"again/"
    (first,) = commit(store, [chain])
    assert isinstance(first.error, OutcomeUnknown)
    assert eventually(lambda: commit(store, [chain]) == [CommitOutcome(1)])


def test_what_arrives_twice_is_done_once(store: Store, way: Proxy, tmp_path: Path) -> None:
    names = [f"twice/{tmp_path}/{name}" for name in ("beside", "event")]
    store.commit([Put(names[0], b"1"), Create(names[1], b"mine")])
    before = [store.get(name) for name in names]
    assert all(before)
    way.repeat()
    assert [store.get(name) for name in names] == before


def test_a_server_that_is_deaf_is_not_waited_for_beyond_the_deadline(
    store: Store, way: Proxy, tmp_path: Path
) -> None:
    key = f"deaf/{tmp_path}"
    assert store.get(key) is None
    way.is_deaf = True
    with pytest.raises(StoreUnavailable):
        store.get(key)
    with pytest.raises((OutcomeUnknown, StoreUnavailable)):  # sent, or not any more
        store.commit([Create(key, b"")])


def test_a_read_is_answered_by_another_server_when_one_is_deaf(
    etcd: Etcd, way: Proxy, tmp_path: Path
) -> None:
    with closing(opened(way.server, *etcd.servers, timeout_s=TIMEOUT_S)) as store:
        way.is_deaf = True
        assert store.get(f"deaf/{tmp_path}") is None
        assert is_written(store, "other")


def test_a_connection_that_is_cut_costs_a_read_nothing(
    store: Store, way: Proxy, tmp_path: Path
) -> None:
    for _ in range(3):
        assert store.get(f"cut/{tmp_path}") is None
        way.cut()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits looks again only when the watch says something."""
    monkeypatch.setattr("jobx.kv.etcd.store._LOOK_S", 600.0)


def test_a_waiting_reader_hears_of_a_change_after_its_watch_was_cut(
    patient: None, store: Store, way: Proxy, etcd: Etcd, tmp_path: Path
) -> None:
    key = f"watched/{tmp_path}"
    with ThreadPoolExecutor(1) as pool, closing(opened(*etcd.servers)) as other:
        waiting = pool.submit(store.wait, key, 0, 600.0)
        eventually(lambda: way.count(key.encode()) == 2)  # a read and a watch
        way.cut()
        eventually(lambda: way.count(key.encode()) == 4)
        other.commit([Put(key, b"1")])
        entry = waiting.result(60)
    assert entry is not None and entry.value == b"1"
    assert way.count(key.encode()) == 5


def test_a_compaction_loses_no_change_to_who_waits(
    patient: None, etcd: Etcd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = f"compacted/{tmp_path}"
    watch = EtcdConnection.watch
    with closing(opened(*etcd.servers)) as store, closing(opened(*etcd.servers)) as other:

        def watch_later(self: EtcdConnection, request: Any, limit_s: float) -> Any:
            monkeypatch.setattr(EtcdConnection, "watch", watch)
            other.commit([Put(key, b"1")])
            other.commit([Put("else", b"1")])
            etcd.ctl("compact", str(etcd.ctl("get", "else")["header"]["revision"]))
            return watch(self, request, limit_s)

        monkeypatch.setattr(EtcdConnection, "watch", watch_later)
        entry = store.wait(key, 0, 600.0)
    assert entry is not None and entry.value == b"1"


def test_a_server_that_starts_anew_is_found_again_at_once(tmp_path: Path) -> None:
    with (
        etcd_servers(tmp_path) as etcd,
        closing(impatient(etcd)) as store,
    ):
        (member,) = etcd.members
        store.commit([Put("a", b"1")])
        member.kill()
        # Its connection may break under the write, if it is not known to be broken yet.
        with pytest.raises((StoreUnavailable, OutcomeUnknown)):
            store.commit([Put("a", b"2")])
        etcd.start()
        entry = store.get("a")  # within its deadline: gRPC's own back-off would be longer
        assert entry is not None and entry.value == b"1"
        assert is_written(store, "a")


def test_without_a_quorum_nothing_is_begun_and_with_one_all_goes_on(tmp_path: Path) -> None:
    with (
        etcd_servers(tmp_path, 3) as etcd,
        closing(impatient(etcd)) as store,
    ):
        for member in etcd.members[1:]:
            member.kill()
        eventually(lambda: _error(store) is StoreUnavailable, timeout_s=60)  # first it is unknown
        etcd.start(*etcd.members[1:])
        assert eventually(lambda: is_written(store, "b"), timeout_s=60)


def test_one_member_of_three_may_die(tmp_path: Path) -> None:
    with (
        etcd_servers(tmp_path, 3) as etcd,
        closing(impatient(etcd)) as store,
    ):
        for member in etcd.members:
            member.kill()
            assert eventually(lambda: is_written(store, "a"), timeout_s=60)
            etcd.start(member)


def test_a_member_that_stands_still_is_left_for_another(tmp_path: Path) -> None:
    with (
        etcd_servers(tmp_path, 3) as etcd,
        closing(impatient(etcd)) as store,
    ):
        for member in etcd.members:
            member.signal(signal.SIGSTOP)
            assert eventually(lambda: is_written(store, "a"), timeout_s=60)
            assert eventually(lambda: _read(store), timeout_s=60)
            member.signal(signal.SIGCONT)
            eventually(member.is_healthy, timeout_s=60)


def _read(store: Store) -> bool:
    with suppress(StoreUnavailable):
        return store.get("a") is not None
    return False


def _error(store: Store) -> type[JobxError] | None:
    try:
        store.commit([Put("a", b"")])
    except JobxError as error:
        return type(error)
    return None


def test_a_store_without_room_says_so_and_goes_on_when_there_is_some(tmp_path: Path) -> None:
    flags = (*FORGETFUL, "--quota-backend-bytes", str(4 << 20))
    with etcd_servers(tmp_path, flags=flags) as etcd, closing(opened(*etcd.servers)) as store:
        with pytest.raises(StoreFull, match="quota"):
            for number in range(100):
                store.commit([Put("large", bytes([number]) * 500_000)])
        store.commit([Delete("large")])  # a removal needs none
        revision = etcd.ctl("get", "large")["header"]["revision"]
        etcd.ctl("compact", str(revision))
        etcd.ctl("defrag")
        etcd.ctl("alarm", "disarm")
        assert eventually(lambda: is_written(store, "small"))


def test_a_server_that_nobody_runs_is_named() -> None:
    with pytest.raises(StoreUnavailable, match=r"etcd at 127\.0\.0\.1:9 does not answer"):
        opened("127.0.0.1:9", timeout_s=TIMEOUT_S)


def test_many_threads_share_a_store_while_its_connections_are_cut(
    store: Store, way: Proxy, tmp_path: Path
) -> None:
    stopped = threading.Event()

    def cut() -> None:
        while not stopped.wait(0.1):
            way.cut()

    def write(thread: int) -> int:
        for number in range(20):
            chain = [[Create(f"{tmp_path}/{thread}/{number}", b"mine")]]
            eventually(lambda chain=chain: commit(store, [chain]) == [CommitOutcome(1)])
        return 20

    with ThreadPoolExecutor(5) as pool:
        cutting = pool.submit(cut)
        assert sum(pool.map(write, range(4))) == 80
        stopped.set()
        cutting.result()
    assert eventually(lambda: len(store.range(f"{tmp_path}/"))) == 80


def test_an_apply_of_any_size_is_taken(etcd: Etcd) -> None:
    names = [f"h{number}" for number in range(200)]
    handlers = {
        name: Handler(
            workflow_name="flow",
            handler_name=name,
            description="",
            handler_type="mapper",
            source_code="x = 1\n" * 1000,
        )
        for name in names
    }
    wanted = WorkflowSnapshot(Workflow(workflow_name="flow", description=""), {}, {}, handlers)
    with closing(etcd_store(etcd)) as store:
        assert len(apply_workflow(store, wanted)) == 201
        assert apply_workflow(store, wanted, prune=True) == []
        assert [*Entities(store).snapshot("flow").handlers] == sorted(names)
