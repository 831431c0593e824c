from __future__ import annotations

import pytest
from msgspec.structs import replace

from jobx.kv.memory import MemoryStore
from jobx.kv.requests import kept_requests, kept_totals, removal, request_entity
from jobx.kv.requests.kept_totals import KeptTotals
from jobx.model import Request


class Bench:
    """A store with finished requests, and a clock."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.now = 0.0

    def totals(self, max_requests: int = 0, max_bytes: int = 0) -> KeptTotals:
        return KeptTotals(self.store, max_requests, max_bytes, lambda: self.now)

    def keep(self, name: str, at: float, size_bytes: int = 10, **fields: object) -> Request:
        one = Request(
            workflow_name="w", request_id=name, job_name="j", invocation_id="m0", accepted_at=1.0,
            **fields,  # type: ignore[arg-type]  # fields of a request
        )  # fmt: skip
        self.store.commit(request_entity.accept_writes(one, "n"))
        done = replace(one, state="succeeded", is_done=True, finished_at=at)
        plan = name[0]
        self.store.commit(request_entity.finish_writes(done, "n", plan, 1, size_bytes))
        return done

    def names(self, totals: KeptTotals, limit: int = 99) -> list[str]:
        """Return what is too much, and remove it."""
        found = totals.excess(limit)
        for kept in found:
            self.store.commit(removal.purge_writes(kept))
        return [kept.request_id for kept in found]


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    for number, name in enumerate(["a1", "b1", "a2", "b2", "a3"]):
        bench.keep(name, 10.0 + number)
    return bench


@pytest.mark.parametrize(
    ("limits", "gone"),
    [
        ((0, 0), []),
        ((5, 0), []),
        ((3, 0), ["a1", "b1"]),
        ((0, 50), []),
        ((0, 25), ["a1", "b1", "a2"]),
        ((4, 25), ["a1", "b1", "a2"]),
    ],
)
def test_the_oldest_of_all_plans_are_too_many(
    bench: Bench, limits: tuple[int, int], gone: list[str]
) -> None:
    totals = bench.totals(*limits)
    assert bench.names(totals) == gone
    assert bench.names(totals) == []


def test_only_so_many_go_at_once(bench: Bench) -> None:
    totals = bench.totals(1)
    assert bench.names(totals, limit=3) == ["a1", "b1", "a2"]
    assert bench.names(totals, limit=3) == ["b2"]


def test_others_go_in_place_of_what_cannot(bench: Bench) -> None:
    totals = bench.totals(3)
    found = totals.excess(2)
    totals.stays(found[0])
    behind = kept_totals.place(found[1])
    assert [kept.request_id for kept in totals.excess(2, behind)] == ["a2"]
    assert totals.requests == 3


def test_nothing_goes_for_what_others_have_removed(bench: Bench) -> None:
    totals = bench.totals(5)
    assert bench.names(totals) == []
    for kept in kept_requests.expired(bench.store, 11.0, 2):
        bench.store.commit(removal.purge_writes(kept))
    bench.keep("c1", 20.0)
    bench.now = 1.0
    assert bench.names(totals) == []


def test_what_ends_later_is_counted_at_the_next_look(bench: Bench) -> None:
    totals = bench.totals(5)
    assert bench.names(totals) == []
    bench.keep("c1", 20.0)
    assert bench.names(totals) == ["a1"]


def test_pinned_requests_and_those_with_a_retention_of_their_own_neither_count_nor_go(
    bench: Bench,
) -> None:
    done = bench.keep("a0", 1.0)
    found = kept_requests.find(bench.store, done)
    bench.store.commit(kept_requests.pin_writes(bench.store, found, is_pinned=True))
    bench.keep("own", 2.0, retention_s=5.0)
    assert bench.names(bench.totals(4)) == ["a1"]


def test_now_and_then_all_is_counted_again(bench: Bench) -> None:
    totals = bench.totals(4)
    bench.names(totals)
    assert totals.requests == 4
    for kept in kept_requests.expired(bench.store, 100.0, 2):
        bench.store.commit(removal.purge_writes(kept))
    bench.now = kept_totals.AGAIN_S + 1
    bench.names(totals)
    assert totals.requests == 2
