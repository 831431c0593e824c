from __future__ import annotations

import msgspec
import pytest

from jobx import entity_json
from jobx.kv import keys
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import request_pages
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
