from __future__ import annotations

import msgspec
import pytest

from jobx import entity_json
from jobx.errors import EntryDamaged
from jobx.kv import keys
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import deliveries, lives, request_entity, request_pages
from jobx.kv.requests.request_filter import Filter
from jobx.kv.store import Put
from jobx.model import Request
from tests.unit.kv.requests.stored_requests import accept, finish, request


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def ids(found: list[Request]) -> list[str]:
    return [one.request_id for one in found]


def test_pages_run_from_the_newest_to_the_oldest(store: MemoryStore) -> None:
    accept(store, *(request(f"r{number}") for number in range(5)))
    accept(store, request("r9", workflow_name="flow2"))
    first, cursor = request_pages.page(store, "flow", limit=3)
    second, end = request_pages.page(store, "flow", after=cursor, limit=3)
    assert (ids(first), ids(second), end) == (["r4", "r3", "r2"], ["r1", "r0"], None)


def test_a_page_that_holds_all_has_none_behind_it(store: MemoryStore) -> None:
    accept(store, request("r0"), request("r1"))
    assert request_pages.page(store, "flow", limit=2)[1] is None


def test_pages_of_a_state_hold_that_state_only(store: MemoryStore) -> None:
    accept(store, *(request(f"r{number}") for number in range(8)))
    for number in (1, 4, 6):
        finish(store, request(f"r{number}"), 10.0)
    found: list[str] = []
    cursor = None
    while True:
        page, cursor = request_pages.page(
            store, "flow", Filter(state="succeeded"), after=cursor, limit=2
        )
        found += ids(page)
        if cursor is None:
            break
    assert found == ["r6", "r4", "r1"]


def test_a_page_of_all_holds_what_runs_and_what_has_ended_by_age(store: MemoryStore) -> None:
    accept(store, *(request(f"r{number}") for number in range(6)))
    for number in (0, 3, 4):
        finish(store, request(f"r{number}"))
    assert ids(request_pages.page(store, "flow")[0]) == ["r5", "r4", "r3", "r2", "r1", "r0"]
    assert ids(request_pages.page(store, "flow", Filter(state="running"))[0]) == ["r5", "r2", "r1"]


def test_a_request_that_leaves_a_state_while_it_is_listed_is_left_out(store: MemoryStore) -> None:
    accept(store, request("r1"))
    done = msgspec.structs.replace(request("r1"), state="failed", is_done=True)
    store.commit([Put(keys.entity("request", "flow", "r1"), entity_json.encode(done))])
    assert request_pages.page(store, "flow", Filter(state="running")) == ([], None)


def test_a_page_ends_early_where_requests_are_large(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_pages, "PAGE_BYTES", 1)
    accept(store, request("r1"), request("r2"))
    first, cursor = request_pages.page(store, "flow")
    assert (ids(first), cursor) == (["r2"], "r2")
    second, cursor = request_pages.page(store, "flow", after=cursor)
    assert (ids(second), cursor) == (["r1"], None)


@pytest.mark.parametrize("value", [b"", b"hello", b"{}", b"null", b"\xff"])
def test_an_unreadable_request_is_named_and_hides_no_other(
    store: MemoryStore, value: bytes
) -> None:
    accept(store, *(request(f"r{number}") for number in range(3)))
    key = keys.entity("request", "flow", "r1")
    store.commit([Put(key, value)])
    damaged: list[EntryDamaged] = []
    found, _ = request_pages.page(store, "flow", damaged=damaged)
    assert (ids(found), [error.args[0] for error in damaged]) == (["r2", "r0"], [key])
    assert request_entity.running(store, "flow").total() == 3


@pytest.mark.parametrize("key", ["open/n/zz", "open/zz", "open/n/flow/a/b", "open/n/flow/"])
def test_a_foreign_key_is_no_open_request(store: MemoryStore, key: str) -> None:
    accept(store, request("r0"))
    store.commit([Put(key, b"{}")])
    assert request_entity.open_in(store, "flow") == ["r0"]
    assert lives.opened(store, "n") == []
    assert request_entity.opened(store, "n") == []


@pytest.mark.parametrize("key", ["undelivered/n/zz", "undelivered/n/a/b/c", "undelivered/n//a"])
def test_a_foreign_key_is_no_delivery(store: MemoryStore, key: str) -> None:
    store.commit([Put(key, b""), Put(keys.undelivered("n", "flow", "r0"), b"")])
    assert deliveries.undelivered(store, "n", 1) == [("flow", "r0")]
