from __future__ import annotations

import threading

import pytest

from jobx import model
from jobx.actors import code_sweep
from jobx.handlers.authoring import library as library_module
from jobx.handlers.authoring.library import Library
from jobx.kv import keys
from jobx.kv.entities.entities import Entities
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import event_log, kept_requests, removal, request_entity
from jobx.kv.store import Delete, Put
from jobx.model import Request
from tests.support.history import keep

MAPPER = "yield MrConfigureToReturn()\nyield 'k', {number}\n"
REDUCER = "def handler(key, values):\n    yield key, sum(values)\n"


class Bench:
    """A workflow whose mapper changes, and requests with the plans that it had."""

    def __init__(self) -> None:
        self.now = 0.0
        self.store = MemoryStore()
        self.entities = Entities(self.store)
        self.library = Library(self.store, lambda: self.now)
        self.entities.create(model.Workflow(workflow_name="flow", description=""))
        self.entities.create(self.handler("reduce", "reducer", REDUCER))
        self.entities.create(self.handler("map", "mapper", MAPPER.format(number=0)))
        self.entities.create(
            model.Step(
                workflow_name="flow",
                description="",
                step_name="first",
                map_handler_name="map",
                reduce_handler_name="reduce",
            )
        )
        self.library.refresh()

    def handler(self, name: str, kind: model.HandlerType, source: str) -> model.Handler:
        """Return a handler."""
        return model.Handler(
            workflow_name="flow",
            description="",
            handler_name=name,
            handler_type=kind,
            source_code=source,
            argument_spec=(),
        )

    def change(self, number: int) -> None:
        """Give the mapper other code."""
        self.entities.put(self.handler("map", "mapper", MAPPER.format(number=number)))
        self.library.refresh()

    def accept(self, request_id: str) -> str:
        """Accept a request with the plan of now, and return its digest."""
        digest, _, writes = self.library.plan("flow")
        request = Request(
            workflow_name="flow",
            request_id=request_id,
            job_name="j",
            invocation_id="m0",
            accepted_at=1.0,
        )
        accepted = event_log.event_write(
            "flow", request_id, 0, {"event": "accepted", "plan": digest}
        )
        self.store.commit([*writes, *request_entity.accept_writes(request, "local"), accepted])
        return digest

    def later(self) -> None:
        """Let the time pass in which requests with an old plan may be on their way."""
        self.now += library_module.HELD_S + 1

    def sweep(self) -> int:
        """Sweep twice, and return how many keys were removed."""
        _, seen = code_sweep.sweep(self.store, self.library, "flow", frozenset())
        return code_sweep.sweep(self.store, self.library, "flow", seen)[0]

    def plans(self) -> set[str]:
        """Return the plans that are stored."""
        prefix = keys.plan("flow", "")
        return {entry.key.removeprefix(prefix) for entry in self.store.range(prefix)}

    def code(self) -> int:
        """Return how many versions of handlers are stored."""
        return len(self.store.range(keys.code("flow", "")))


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_the_plan_of_now_and_the_code_of_handlers_stay(bench: Bench) -> None:
    digest = bench.accept("r1")
    bench.later()
    assert bench.sweep() == 0
    assert (bench.plans(), bench.code()) == ({digest}, 2)


def test_the_plan_and_code_of_an_open_request_stay_until_it_is_purged(bench: Bench) -> None:
    old = bench.accept("r1")
    bench.change(1)
    bench.later()
    assert bench.sweep() == 0
    assert (bench.plans(), bench.code()) == ({old}, 3)

    done = Request(
        workflow_name="flow",
        request_id="r1",
        job_name="j",
        invocation_id="m0",
        accepted_at=1.0,
        finished_at=2.0,
        state="failed",
        is_done=True,
    )
    bench.store.commit(request_entity.finish_writes(done, "local", old, 2))
    assert bench.sweep() == 0

    bench.store.commit(removal.purge_writes(kept_requests.find(bench.store, done)))
    assert bench.sweep() == 2
    assert (bench.plans(), bench.code()) == (set(), 2)


def test_a_plan_that_was_current_a_moment_ago_stays_with_its_code(bench: Bench) -> None:
    """A request with it may have been built, and not be durable yet."""
    digest, _, writes = bench.library.plan("flow")
    bench.store.commit(writes)
    bench.change(1)
    assert bench.sweep() == 0
    assert bench.plans() == {digest}

    bench.later()
    assert bench.sweep() == 2
    assert (bench.plans(), bench.code()) == (set(), 2)


def test_code_of_a_plan_that_nobody_stored_yet_stays(bench: Bench) -> None:
    bench.change(1)  # the plan before was never asked for
    assert bench.sweep() == 0
    assert bench.code() == 3


def test_no_code_goes_while_there_is_a_plan_of_a_newer_version(bench: Bench) -> None:
    digest = bench.accept("r1")
    key = keys.plan("flow", digest)
    entry = bench.store.get(key)
    assert entry is not None
    bench.store.commit([Put(key, entry.value.replace(b'{"steps"', b'{"zone":"b","steps"'))])
    for number in (1, 2):
        bench.change(number)
    bench.later()
    assert bench.sweep() == 0
    assert (bench.plans(), bench.code()) == ({digest}, 4)


def test_a_plan_that_was_removed_and_is_current_again_is_written_again(bench: Bench) -> None:
    first, _, writes = bench.library.plan("flow")
    bench.store.commit(writes)
    bench.change(1)
    bench.later()
    bench.sweep()
    assert first not in bench.plans()
    bench.change(0)
    assert bench.accept("r2") == first
    assert first in bench.plans()


def test_what_a_workflow_left_that_is_gone_goes(bench: Bench) -> None:
    _, _, writes = bench.library.plan("flow")
    bench.store.commit(writes)
    bench.entities.delete(model.Workflow, "flow", force=True)
    bench.library.refresh()
    assert list(code_sweep.workflows(bench.store)) == ["flow"]
    bench.later()
    assert bench.sweep() == 3
    assert list(code_sweep.workflows(bench.store)) == []


def test_one_sweep_removes_no_more_than_a_transaction_holds(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_sweep, "MAX_REMOVED", 2)
    for number in range(1, 6):
        bench.change(number)
    bench.later()
    assert [bench.sweep() for _ in range(4)] == [2, 2, 1, 0]


def test_no_plan_becomes_current_while_it_is_decided_what_goes(bench: Bench) -> None:
    bench.entities.put(bench.handler("map", "mapper", MAPPER.format(number=1)))
    refreshing = threading.Thread(target=bench.library.refresh)
    with bench.library.holding("flow") as (digests, _):
        refreshing.start()
        refreshing.join(0.05)
        assert refreshing.is_alive()
        assert digests == {bench.library.plan("flow")[0]}
    refreshing.join(60)
    assert bench.library.plan("flow")[0] not in digests


def test_a_sweep_reads_nothing_of_what_is_kept(bench: Bench) -> None:
    bench.accept("r1")
    bench.change(1)
    digest, _, writes = bench.library.plan("flow")
    bench.store.commit(writes)
    keep(bench.store, ("flow", "j"), digest, 50, first_at=1.0)
    bench.change(2)
    bench.later()
    read: list[str] = []
    get, scan = bench.store.get, bench.store.range
    bench.store.get = lambda key: (read.append(key), get(key))[1]  # type: ignore[method-assign]  # counts what is read
    bench.store.range = lambda prefix, **how: [  # type: ignore[method-assign]  # counts what is read
        (read.append(entry.key), entry)[1] for entry in scan(prefix, **how)
    ]
    assert code_sweep.sweep(bench.store, bench.library, "flow", frozenset())[0] == 0
    assert not [key for key in read if key.startswith("entities/request/")]
    assert [key for key in read if key.startswith("requests/")] == [keys.event("flow", "r1", 0)]
    assert len([key for key in read if key.startswith(keys.KEPT)]) == 1


def test_what_is_unneeded_goes_when_it_was_so_in_the_sweep_before(bench: Bench) -> None:
    """Another node may know of a need that this one does not know yet."""
    bench.accept("r1")
    bench.change(1)
    (plan,) = bench.plans()
    bench.store.commit([Delete(keys.opened("local", "flow", "r1"))])
    bench.later()
    removed, seen = code_sweep.sweep(bench.store, bench.library, "flow", frozenset())
    assert (removed, bench.plans()) == (0, {plan})
    assert keys.plan("flow", plan) in seen
    assert code_sweep.sweep(bench.store, bench.library, "flow", seen) == (2, frozenset())
    assert bench.plans() == set()


def test_what_is_needed_again_in_the_next_sweep_stays(bench: Bench) -> None:
    _, _, writes = bench.library.plan("flow")
    bench.store.commit(writes)
    bench.change(1)
    bench.later()
    _, seen = code_sweep.sweep(bench.store, bench.library, "flow", frozenset())
    bench.change(0)
    assert seen
    assert code_sweep.sweep(bench.store, bench.library, "flow", seen)[0] == 0
    assert len(bench.plans()) == 1
