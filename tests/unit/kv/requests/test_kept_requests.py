from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx.errors import Conflict
from jobx.kv import keys
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import (
    event_log,
    kept_requests,
    older_requests,
    removal,
    request_counts,
    request_entity,
    request_pages,
)
from jobx.kv.requests.request_filter import Filter
from jobx.kv.store import Create, Put
from jobx.model import Destination, Request, RequestState
from tests.support.counting_store import CountingMemory

NAMES = st.text("-.0123456789_abcxyz", min_size=1, max_size=6)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def request(request_id: str, workflow: str = "flow", **fields: object) -> Request:
    known: dict[str, object] = {"job_name": "count", "invocation_id": "m0", "accepted_at": 1.0}
    return Request(workflow_name=workflow, request_id=request_id, **{**known, **fields})


def accept(store: MemoryStore, *accepted: Request) -> None:
    for one in accepted:
        store.commit(request_entity.accept_writes(one, "node1", "print"))


def finish(
    store: MemoryStore,
    one: Request,
    finished_at: float = 10.0,
    *,
    state: RequestState = "succeeded",
    plan: str = "",
) -> Request:
    done = msgspec.structs.replace(one, state=state, is_done=True, finished_at=finished_at)
    store.commit(request_entity.finish_writes(done, "node1", plan, 3))
    return done


def keep(store: MemoryStore, request_id: str, finished_at: float = 10.0, **how: object) -> Request:
    one = request(request_id)
    accept(store, one)
    return finish(store, one, finished_at, **how)  # type: ignore[arg-type]  # fields of a request


@given(names=st.lists(NAMES))
def test_ids_turned_round_sort_the_other_way_and_come_back(names: list[str]) -> None:
    turned = sorted(map(keys.newest_first, names))
    assert [keys.request_id_of(text) for text in turned] == sorted(names, reverse=True)


def test_request_with_a_retention_of_its_own_expires_by_that(store: MemoryStore) -> None:
    for number, retention_s in enumerate([5.0, None, 50.0]):
        one = request(f"r{number}", retention_s=retention_s)
        accept(store, one)
        done = finish(store, one, 10.0)
        assert kept_requests.find(store, done).request_id == f"r{number}"

    def expired(before_at: float, now_at: float, limit: int = 9) -> list[str]:
        return [one.request_id for one in kept_requests.expired(store, before_at, limit, now_at)]

    assert expired(0.0, 15.0) == []
    assert expired(0.0, 15.5) == ["r0"]
    assert expired(11.0, 1e6) == ["r1", "r0", "r2"]
    assert expired(11.0, 1e6, limit=1) == ["r1"]
    (found,) = kept_requests.expired(store, 0.0, 1, 20.0)
    store.commit(kept_requests.postpone_writes(store, found, 30.0, retention_s=5.0))
    assert expired(0.0, 20.0) == []
    assert expired(0.0, 31.0) == ["r0"]


def test_pinned_request_expires_when_it_is_released(store: MemoryStore) -> None:
    done = keep(store, "r1")
    found = kept_requests.find(store, done)
    store.commit(kept_requests.pin_writes(store, found, is_pinned=True))
    pinned = kept_requests.find(store, done)
    assert (pinned.is_pinned, kept_requests.pin_writes(store, pinned, is_pinned=True)) == (True, [])
    assert kept_requests.expired(store, 1e9, 9, 1e9) == []
    assert kept_requests.has_plan(store, "flow", "")
    store.commit(kept_requests.pin_writes(store, pinned, is_pinned=False))
    assert [one.request_id for one in kept_requests.expired(store, 1e9, 9)] == ["r1"]


def test_pin_of_what_was_removed_meanwhile_is_refused(store: MemoryStore) -> None:
    found = kept_requests.find(store, keep(store, "r1"))
    writes = kept_requests.pin_writes(store, found, is_pinned=True)
    store.commit(removal.purge_writes(found))
    with pytest.raises(Conflict):
        kept_requests.pin_writes(store, found, is_pinned=True)
    with pytest.raises(Conflict):
        store.commit(writes)


def test_expired_are_those_that_ended_before_an_instant(store: MemoryStore) -> None:
    for number, finished_at in enumerate([30.0, 10.0, 20.0, 99_999.0]):
        keep(store, f"r{number}", finished_at)
    assert [one.request_id for one in kept_requests.expired(store, 25.0, 9)] == ["r1", "r2"]
    assert kept_requests.expired(store, 10.0, 9) == []


def test_expired_of_all_plans_and_workflows_are_found_and_no_more_than_asked(
    store: MemoryStore,
) -> None:
    for number, workflow in enumerate(["a", "a0", "b", "b"]):
        finish(store, request(f"r{number}", workflow), plan=f"{number % 3}" * 64)
    names = [(one.workflow, one.request_id) for one in kept_requests.expired(store, 25.0, 9)]
    assert names == [("a", "r0"), ("a0", "r1"), ("b", "r3"), ("b", "r2")]
    assert len(kept_requests.expired(store, 25.0, 3)) == 3


def test_purge_leaves_no_trace_of_a_request_and_all_of_others(store: MemoryStore) -> None:
    accept(store, request("r10"))
    others = store.range("")
    one = request("r1", idempotency_key="key", destination=Destination(writer="w", place="p"))
    accept(store, one)
    store.commit([event_log.event_write("flow", "r1", number, {}) for number in range(3)])
    store.commit([Put(keys.delivery("flow", "r1"), b"{}")])
    finish(store, one)
    (found,) = kept_requests.expired(store, 11.0, 9)
    store.commit(removal.purge_writes(found))
    request_counts.fold(store)
    assert store.range("") == others


@pytest.mark.parametrize("plan", ["", "abc" * 20])
def test_a_finished_request_is_found_as_the_janitor_finds_it(store: MemoryStore, plan: str) -> None:
    done = keep(store, "r1", 10.0, plan=plan)
    assert [kept_requests.find(store, done)] == kept_requests.expired(store, 11.0, 9)


def test_a_postponed_request_expires_as_if_it_had_ended_later(store: MemoryStore) -> None:
    keep(store, "r1")
    (found,) = kept_requests.expired(store, 11.0, 9)
    store.commit(kept_requests.postpone_writes(store, found, 25.0, retention_s=5.0))
    assert kept_requests.expired(store, 11.0, 9) == []
    assert [one.request_id for one in kept_requests.expired(store, 21.0, 9)] == ["r1"]


def test_a_plan_is_had_as_long_as_a_request_of_it_is_kept(store: MemoryStore) -> None:
    keep(store, "r1", plan="a" * 64)
    assert kept_requests.has_plan(store, "flow", "a" * 64)
    assert not kept_requests.has_plan(store, "flow", "b" * 64)
    (found,) = kept_requests.expired(store, 11.0, 9)
    store.commit(removal.purge_writes(found))
    assert not kept_requests.has_plan(store, "flow", "a" * 64)


def test_what_marks_a_request_and_cannot_be_read_is_no_reason_to_keep_it(
    store: MemoryStore,
) -> None:
    store.commit([Create(keys.kept("flow", "", 1.0, "r1"), b"?")])
    (found,) = kept_requests.expired(store, 2.0, 9)
    store.commit(removal.purge_writes(found))
    assert store.range("") == []


def old(store: MemoryStore, request_id: str, **fields: object) -> Request:
    """Store a finished request as 1.0.0 did."""
    done = request(request_id, is_done=True, finished_at=10.0, **{"state": "failed", **fields})
    store.commit(
        [
            Put(keys.entity("request", "flow", request_id), msgspec.json.encode(done)),
            event_log.event_write("flow", request_id, 0, {"event": "accepted", "plan": "p" * 64}),
            event_log.event_write("flow", request_id, 1, {"event": "finished"}),
            Put(f"{keys.FINISHED}{86410000:015d}/flow/{request_id}", b""),
        ]
    )
    return done


def upgrade(store: MemoryStore) -> None:
    while units := older_requests.upgrade(store, 2):
        for unit in units:
            store.commit(unit)


def test_what_an_older_version_finished_is_listed_and_expires(store: MemoryStore) -> None:
    for number in range(5):
        old(store, f"r{number}")
    assert not older_requests.is_upgraded(store)
    upgrade(store)
    assert older_requests.is_upgraded(store)
    found, _ = request_pages.page(store, "flow", Filter(state="failed"))
    assert [one.request_id for one in found] == ["r4", "r3", "r2", "r1", "r0"]
    assert kept_requests.has_plan(store, "flow", "p" * 64)
    for one in kept_requests.expired(store, 11.0, 9):
        assert one.events == 2
        store.commit(removal.purge_writes(one))
    request_counts.fold(store)
    assert store.range("") == []


def test_marks_of_an_older_version_go_though_their_request_is_gone_or_unreadable(
    store: MemoryStore,
) -> None:
    store.commit([Put(f"{keys.FINISHED}{5000:015d}/flow/r1", b"")])
    store.commit([Put(f"{keys.FINISHED}{5000:015d}/flow/r2", b"")])
    store.commit([Put(keys.entity("request", "flow", "r2"), b"?")])
    upgrade(store)
    for one in kept_requests.expired(store, 6.0, 9):
        store.commit(removal.purge_writes(one))
    request_counts.fold(store)
    assert store.range("") == []


def test_a_look_for_what_has_expired_reads_no_more_of_the_rest_than_its_first() -> None:
    store = CountingMemory()
    for number in range(20):
        keep(store, f"r{number}", 10.0 + number)
    before = store.reads
    assert kept_requests.expired(store, 5.0, 9) == []
    few = store.reads - before
    assert len(kept_requests.expired(store, 15.0, 9)) == 5
    assert few <= 8
