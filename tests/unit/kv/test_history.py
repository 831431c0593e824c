"""What is read and written for one request does not grow with how many are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jobx.kv.entities import references
from jobx.kv.requests import (
    deliveries,
    kept_requests,
    older_requests,
    removal,
    request_counts,
    request_entity,
    request_pages,
)
from jobx.kv.requests.request_filter import Filter
from jobx.model import Request
from tests.support.counting_store import CountingMemory, CountingSqlite
from tests.support.history import keep

Counting = CountingMemory | CountingSqlite

FEW, MANY = 60, 900
PLAN = "a" * 64
OPEN = Request(
    workflow_name="flow", request_id="zz", job_name="j", invocation_id="m0", accepted_at=1e9
)
BACK_ENDS: dict[str, Callable[[Path], Counting]] = {
    "memory": lambda _: CountingMemory(),
    "sqlite": lambda folder: CountingSqlite(folder / "jobx.sqlite"),
}


def finish(store: Counting) -> None:
    done = msgspec.structs.replace(OPEN, state="failed", is_done=True, finished_at=2e9)
    store.commit(request_entity.finish_writes(done, "local", PLAN, 3))


def purge(store: Counting) -> None:
    found = kept_requests.expired(store, 1e9, 20)
    assert len(found) == 20
    store.commit([write for one in found for write in removal.purge_writes(one)])


def walk(store: Counting) -> None:
    first, cursor = request_pages.page(store, "flow", Filter(state="succeeded"), limit=10)
    second, _ = request_pages.page(store, "flow", Filter(state="succeeded"), after=cursor, limit=10)
    assert len(first) == len(second) == 10


def filtered(store: Counting, **wanted: Any) -> None:
    found, _ = request_pages.page(store, "flow", Filter(**wanted), limit=10)
    assert len(found) == 10


STEPS: dict[str, Callable[[Counting], object]] = {
    "what is open at a start": lambda store: request_entity.opened(store, "local"),
    "what is open in a workflow": lambda store: request_entity.open_in(store, "flow"),
    "what is in the way of a deletion": lambda store: list(
        references._open_requests(store, "flow")
    ),
    "undelivered": lambda store: deliveries.undelivered(store, "local", 100),
    "accept": lambda store: store.commit(request_entity.accept_writes(OPEN, "local")),
    "finish": finish,
    "page": lambda store: request_pages.page(store, "flow", limit=10),
    "page of the failed": lambda store: request_pages.page(
        store, "flow", Filter(state="failed"), limit=10
    ),
    "page of the cancelled": lambda store: request_pages.page(
        store, "flow", Filter(state="cancelled"), limit=10
    ),
    "pages": walk,
    "page of a job": lambda store: filtered(store, job="j"),
    "page of an error": lambda store: filtered(store, error="ValueError"),
    "counts": lambda store: request_counts.read(store, "flow"),
    "nothing expired": lambda store: kept_requests.expired(store, 1.0, 20),
    "a batch that expired": purge,
    "a plan that is kept": lambda store: kept_requests.has_plan(store, "flow", PLAN),
    "a plan that is not": lambda store: kept_requests.has_plan(store, "flow", "b" * 64),
    "nothing to upgrade": lambda store: older_requests.upgrade(store, 10),
}


@pytest.fixture(params=list(BACK_ENDS))
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[int, Counting]]:
    made = {}
    for count in (FEW, MANY):
        (tmp_path / str(count)).mkdir()
        made[count] = BACK_ENDS[request.param](tmp_path / str(count))
        keep(made[count], ("flow", "j"), PLAN, count, first_at=1000.0, failed_every=2)
        while request_counts.fold(made[count]):
            pass
    yield made
    for store in made.values():
        store.close()


def counted(store: Counting, step: Callable[[Counting], object]) -> tuple[int, int]:
    reads, writes = store.reads, store.writes
    step(store)
    return store.reads - reads, store.writes - writes


@pytest.mark.parametrize("name", list(STEPS))
def test_work_is_the_same_however_much_is_kept(name: str, stores: dict[int, Counting]) -> None:
    few, many = (counted(store, STEPS[name]) for store in stores.values())
    assert few == many
