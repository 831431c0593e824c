"""The contract of executors, over each implementation of ``Executors``.

A mapper does what its value says: ``["return", n]`` yields n pairs, ``["map", n]`` maps on to n
children, ``["wait", 0]`` takes longer than a test does.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest
from msgspec.structs import replace

from jobx import model, values
from jobx.actors.coordination.work_frames import FrameBuilder
from jobx.actors.executors import paces, rebalancing
from jobx.actors.executors.pool import ExecutorPool
from jobx.actors.executors.processes import ExecutorProcesses
from jobx.actors.executors.rebalancing import Away
from jobx.actors.messages import Lost, Ran, RequestKey, Run, SuspendedLost, TakenBack
from jobx.actors.ports import Executors, Services
from jobx.actors.request.branches import ROOT
from jobx.actors.request.decisions import PullMapper, RunMappers
from jobx.actors.request.events import Accepted, Mapped
from jobx.actors.request.state import RequestState
from jobx.actors.runtime.address import Address
from jobx.config import Settings
from jobx.config_sections import NodeSettings
from jobx.kv.blobs import BlobFolder
from jobx.payload import Payload, pack_offsets
from jobx.segments import FailedRun, MappedChunk, Returned
from jobx.work import LoadHandler
from tests.simulation.executors import CHUNK_PAIRS, Faults, SimulatedExecutors
from tests.simulation.world import World
from tests.support import frames
from tests.support.virtual_time import VirtualScheduler

KEY: Final = RequestKey("w", "r1")
OWNER: Final = Address("n", 1, 1)
OTHER: Final = Address("n", 1, 2)
#: Created from another node.
THEIRS: Final = Address("n", 1, "other/1/1")
MAPPER: Final = """
import time
(name, (what, count)), = arguments
if what == "wait":
    time.sleep(600)
yield MrConfigureToMap("s") if what == "map" else MrConfigureToReturn()
for number in range(count):
    yield (number, ["return", 1]) if what == "map" else (name, number)
"""
REDUCER: Final = "for key, values in results:\n    yield key, sum(values)\n"
HANDLERS: Final = {
    "m": frames.load("m", "mapper", MAPPER),
    "r": frames.load("r", "reducer", REDUCER),
}
REQUEST: Final = model.Request(
    workflow_name="w", request_id="r1", job_name="j", invocation_id="m0", accepted_at=1.0
)
PLAN: Final = model.Plan(
    steps={
        "s": model.PlanStep(
            mapper=model.HandlerRef(handler_name="m", version="m"),
            reducer=model.HandlerRef(handler_name="r", version="r"),
        )
    }
)


@dataclass
class Stage:
    """Executors, and what owners of work hear from them."""

    executors: Executors
    step: Callable[[], None]
    #: Kills all executors; with what they have at work, True: as soon as they have any.
    kill: Callable[[bool], None]
    heard: list[tuple[object, Any]]
    folder: BlobFolder
    tickets: Iterator[int] = field(default_factory=lambda: iter(range(1, 1000)))

    def builder(self, *items: list[Any]) -> tuple[FrameBuilder, RunMappers]:
        """Return a request whose root has mapped items, and the batch of these."""
        state = RequestState(PLAN)
        root = Payload(1, 1, b"\x90", offsets=pack_offsets([1]))
        state.apply(Accepted(1.0, "j", "s", "p", root, 60.0))
        packed = [values.pack([f"k{number}", item]) for number, item in enumerate(items)]
        ends = [sum(map(len, packed[: number + 1])) for number in range(len(packed))]
        chunk = Payload(len(packed), ends[-1], b"".join(packed), offsets=pack_offsets(ends))
        state.apply(Mapped(1.0, ROOT, ROOT, "s", 1, len(packed), chunk, "d"))
        services = SimpleNamespace(settings=Settings())
        builder = FrameBuilder(REQUEST, state, cast("Services", services))
        return builder, RunMappers(state.tree.chunks[1], 1, len(packed))

    def run(
        self, *items: list[Any], owner: Address = OWNER, requires: tuple[str, ...] = ("general",)
    ) -> int:
        """Run a batch of mappers, whose vertices begin at 1; return its ticket."""
        builder, batch = self.builder(*items)
        run = builder.mappers(next(self.tickets), batch)
        work = replace(run.work, chunk_pairs=CHUNK_PAIRS)
        self.executors.run(Run(run.ticket, KEY, work, requires), owner)
        return run.ticket

    def pull(self, vertex: int, owner: Address = OWNER) -> int:
        """Ask a suspended mapper for more; return the ticket."""
        builder, _ = self.builder(["map", 9])
        builder._state.tree.branch(vertex, builder._state.tree.chunks[1])
        pull = builder.pull(next(self.tickets), PullMapper(vertex, 1))
        self.executors.pull(pull, owner)
        return pull.ticket

    def answer(self, ticket: int) -> Any:
        """Wait for the answer to a ticket."""
        return self.until(lambda: [m for _, m in self.heard if _ticket(m) == ticket])

    def until(self, found: Callable[[], list[Any]]) -> Any:
        """Let time pass until something is found."""
        deadline = time.monotonic() + 60.0
        while not found():
            assert time.monotonic() < deadline, f"it never became true: {self.heard}"
            self.step()
        return found()[0]

    def pass_time(self) -> None:
        """Let enough time pass for whatever is on its way."""
        done = self.run(["return", 1], owner=OTHER)
        self.answer(done)


def _ticket(message: Any) -> int:
    return message.ticket if isinstance(message, Ran | Lost) else 0


class Library:
    """Knows the two handlers."""

    def known_code(self, _: str, version: str) -> LoadHandler | None:
        return HANDLERS[version]

    def code(self, _: str, version: str) -> LoadHandler:
        return HANDLERS[version]


class ToldWorld(World):
    """A world in which an item says what its mapper does."""

    def outcome(self, value: Any) -> tuple[str | None, list[list[Any]]]:
        what, count = value
        if what == "map":
            return "s", [[number, ["return", 1]] for number in range(count)]
        return None, [["k", number] for number in range(count)]


def real(folder: Path) -> Iterator[Stage]:
    loop, heard = asyncio.new_event_loop(), []
    settings = Settings(node=NodeSettings(data_dir=str(folder), executors=1))

    async def start() -> ExecutorPool:
        pool = ExecutorPool(
            settings,
            os.environ,
            node_id="n",
            incarnation=1,
            temp_dir=folder / "tmp",
            library=Library(),
            deliver=lambda *said: heard.append(said),
            notify=lambda _: None,
        )
        await pool.start()
        return pool

    pool = loop.run_until_complete(start())

    def step() -> None:
        loop.run_until_complete(asyncio.sleep(0.001))

    def kill(is_at_work: bool) -> None:
        while is_at_work and not any(e.progress().number for e in pool._executors):
            step()
        for executor in pool._executors:
            executor.kill_group()

    blobs = BlobFolder(folder / "blobs")
    yield Stage(pool, step, kill, heard, blobs)
    loop.run_until_complete(pool.close())
    loop.close()


def simulated(folder: Path) -> Iterator[Stage]:
    scheduler, heard, faults = VirtualScheduler(1), [], Faults()
    executors = SimulatedExecutors(ToldWorld(1, 1), random.Random(1), scheduler, faults, {})
    base: Any = SimpleNamespace(deliver=lambda *said: heard.append(said))
    executors.base = base

    def kill(is_at_work: bool) -> None:
        faults.crash = 1.0 if is_at_work else 0.0
        for key in list(executors.kept):
            executors.lose(key)

    yield Stage(
        executors,
        lambda: scheduler.advance(0.001),
        kill,
        heard,
        BlobFolder(folder / "blobs"),
    )


@pytest.fixture(params=[real, simulated], ids=["ExecutorPool", "SimulatedExecutors"])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    yield from request.param(tmp_path)


def test_owner_hears_the_answer_under_its_ticket(stage: Stage) -> None:
    ticket = stage.run(["return", 2])
    answer = stage.answer(ticket)
    assert isinstance(answer, Ran)
    assert [(type(s), s.vertex, s.count) for s in answer.segments] == [(Returned, 1, 1)]
    assert stage.heard[0][0] == OWNER


def test_answer_has_each_mapper_of_a_batch_once(stage: Stage) -> None:
    segments = stage.answer(stage.run(*[["return", 1]] * 7)).segments
    assert {type(segment) for segment in segments} == {Returned}
    covered = [v for s in segments for v in range(s.vertex, s.vertex + s.count)]
    assert covered == list(range(1, 8))


def test_work_of_several_owners_is_answered_to_each(stage: Stage) -> None:
    mine, others = stage.run(["return", 1]), stage.run(["return", 1], owner=OTHER)
    stage.answer(mine)
    stage.answer(others)
    assert {(owner, _ticket(m)) for owner, m in stage.heard} == {(OWNER, mine), (OTHER, others)}


def test_it_has_a_slot_at_least(stage: Stage) -> None:
    assert stage.executors.slots >= 1


def test_mapper_with_more_to_yield_is_suspended_and_can_be_asked(stage: Stage) -> None:
    first = stage.answer(stage.run(["map", 3])).segments
    assert [(type(s), s.vertex, s.more) for s in first] == [(MappedChunk, 1, True)]
    more = stage.answer(stage.pull(1)).segments
    assert [(type(s), s.vertex, s.more) for s in more] == [(MappedChunk, 1, False)]


def test_mapper_that_has_yielded_all_cannot_be_asked(stage: Stage) -> None:
    stage.answer(stage.run(["map", 2]))
    assert is_lost(stage.answer(stage.pull(1)))


def test_mapper_is_suspended_for_its_owner_alone(stage: Stage) -> None:
    stage.answer(stage.run(["map", 3]))
    assert is_lost(stage.answer(stage.pull(1, owner=OTHER)))
    assert not is_lost(stage.answer(stage.pull(1)))


def test_mapper_that_was_discarded_cannot_be_asked(stage: Stage) -> None:
    stage.answer(stage.run(["map", 3]))
    stage.executors.discard(KEY, 1, OWNER)
    assert is_lost(stage.answer(stage.pull(1)))


def test_nobody_discards_the_mapper_of_another(stage: Stage) -> None:
    stage.answer(stage.run(["map", 3]))
    stage.executors.discard(KEY, 1, OTHER)
    assert not is_lost(stage.answer(stage.pull(1)))


@pytest.mark.parametrize("batches", [1, 5], ids=["at work", "some of it waits"])
def test_abandoned_owner_hears_nothing_more_of_its_work(stage: Stage, batches: int) -> None:
    for _ in range(batches):
        stage.run(["return", 1])
    stage.executors.abandon(KEY, OWNER)
    stage.pass_time()
    assert [owner for owner, _ in stage.heard] == [OTHER]


def test_abandoned_owner_has_no_suspended_mapper(stage: Stage) -> None:
    stage.answer(stage.run(["map", 3]))
    stage.executors.abandon(KEY, OWNER)
    assert is_lost(stage.answer(stage.pull(1)))


def test_owner_hears_that_its_suspended_mappers_are_lost(stage: Stage) -> None:
    stage.answer(stage.run(["map", 3], ["map", 3]))
    stage.kill(False)

    def told() -> list[int]:
        return [v for _, m in stage.heard if isinstance(m, SuspendedLost) for v in m.vertices]

    stage.until(lambda: told()[1:])
    assert sorted(told()) == [1, 2]
    assert {owner for owner, m in stage.heard if isinstance(m, SuspendedLost)} == {OWNER}


def test_owner_hears_that_its_work_is_lost_and_which_vertex_is_blamed(stage: Stage) -> None:
    ticket = stage.run(["wait", 0])
    stage.kill(True)
    lost = stage.answer(ticket)
    assert isinstance(lost, Lost)
    assert lost.culprit == 1
    assert lost.failure.kind == "crash"


def test_work_that_no_executor_has_begun_runs_after_a_death(stage: Stage) -> None:
    stage.answer(stage.run(["return", 1]))
    stage.kill(False)
    assert isinstance(stage.answer(stage.run(["return", 1])), Ran)


@pytest.fixture
def lent(tmp_path: Path) -> Iterator[Stage]:
    """A pool; it has one executor, and borrows those of other nodes."""
    yield from real(tmp_path)


def borrow(stage: Stage, idle: int) -> None:
    away = [Away(KEY.workflow, frozenset({"general"}), idle)]
    cast("ExecutorPool", stage.executors).borrow(idle, lambda: away)


def lost(stage: Stage) -> list[int]:
    """Return the tickets of work that was given back."""
    return [m.ticket for _, m in stage.heard if isinstance(m, Lost)]


def test_borrowed_executors_are_slots(lent: Stage) -> None:
    borrow(lent, 3)
    assert lent.executors.slots == 4


def test_the_end_of_a_batch_is_given_back_for_an_idle_executor_elsewhere(lent: Stage) -> None:
    ticket = lent.run(["wait", 0], *[["return", 1]] * 4)
    borrow(lent, 1)
    taken = lent.until(lambda: [m for _, m in lent.heard if isinstance(m, TakenBack)])
    assert taken == TakenBack(ticket, 2)


def test_the_end_of_a_batch_that_takes_long_is_given_back_for_one_elsewhere(
    lent: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paces, "LONG_S", 0.01)
    ticket = lent.run(["wait", 0], *[["return", 1]] * 4)
    executors = cast("ExecutorPool", lent.executors)._executors
    lent.until(lambda: [i for one in executors for i in one.work.values() if i.is_long])
    borrow(lent, 1)
    taken = lent.until(lambda: [m for _, m in lent.heard if isinstance(m, TakenBack)])
    assert taken == TakenBack(ticket, 2)


def test_waiting_work_is_given_back_for_an_idle_executor_elsewhere(lent: Stage) -> None:
    lent.run(["wait", 0])
    waiting = [lent.run(["return", 1]) for _ in range(3)]
    borrow(lent, 1)
    lost = lent.until(lambda: [m for _, m in lent.heard if isinstance(m, Lost)])
    assert lost.ticket in waiting
    assert lost.culprit is None


def test_work_behind_that_of_another_node_is_given_back(lent: Stage) -> None:
    lent.run(["wait", 0], owner=THEIRS)
    ours = lent.run(["return", 1])
    borrow(lent, 1)
    lent.until(lambda: lost(lent))
    assert lost(lent) == [ours]


def test_waiting_work_is_given_back_when_no_executor_is_there(
    lent: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = cast("ExecutorPool", lent.executors)
    server = pool._processes._fork_server
    monkeypatch.setattr(server, "start_later", lambda _: None)
    server._end()
    lent.until(lambda: [None] if pool.trouble and not pool._executors else [])
    ours = lent.run(["return", 1])
    borrow(lent, 1)
    lent.until(lambda: lost(lent))
    assert lost(lent) == [ours]


def test_work_that_is_too_large_for_the_way_stays(
    lent: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    lent.run(["wait", 0], owner=THEIRS)
    monkeypatch.setattr(rebalancing, "MAX_AWAY_BYTES", 30)
    large = [lent.run(*[["return", 1]] * 4) for _ in range(2)]
    small = lent.run(["return", 1])
    borrow(lent, 3)
    lent.until(lambda: lost(lent))
    assert lost(lent) == [small]
    assert large


def test_work_that_no_executor_here_can_do_waits_for_a_node_that_can(lent: Stage) -> None:
    pool = cast("ExecutorPool", lent.executors)
    theirs = lent.run(["return", 1], requires=("gpu",))
    borrow(lent, 1)  # of a node that cannot do it
    lent.pass_time()
    assert (lost(lent), pool.own_waiting, pool.queued) == ([], 0, 1)
    assert pool.foreign() == {("w", frozenset({"gpu"}))}
    pool.borrow(1, lambda: [Away(KEY.workflow, frozenset({"gpu"}), 1)])
    lent.until(lambda: lost(lent))
    assert lost(lent) == [theirs]
    assert pool.foreign() == set()


def test_work_of_another_node_stays(lent: Stage) -> None:
    lent.run(["wait", 0], *[["return", 1]] * 4, owner=THEIRS)
    ours = [lent.run(["return", 1]) for _ in range(3)]
    borrow(lent, 9)
    lent.until(lambda: [None for _, m in lent.heard if isinstance(m, Lost) and m.ticket in ours])
    assert {owner for owner, _ in lent.heard} == {OWNER}


def test_a_pool_that_drains_has_no_executor_and_gives_back_work_of_other_nodes(lent: Stage) -> None:
    pool = cast("ExecutorPool", lent.executors)
    assert pool.own_slots == 1
    pool.drain()
    lent.run(["return", 1])
    ticket = lent.run(["return", 1], owner=THEIRS)
    pool.give_back()
    assert pool.own_slots == 0
    assert [(owner, m.ticket, m.culprit) for owner, m in lent.heard] == [(THEIRS, ticket, None)]


def test_a_pool_without_executors_gives_back_work_of_other_nodes(
    lent: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = cast("ExecutorPool", lent.executors)
    lent.run(["wait", 0], ["wait", 0])
    for _ in range(2):
        lent.run(["return", 1], owner=THEIRS)
    monkeypatch.setattr(ExecutorProcesses, "trouble", "the fork server of the executors is gone")
    pool.give_back()
    assert pool.own_slots == 0
    assert {owner for owner, _ in lent.heard} == {THEIRS}


def test_a_pool_that_drains_asks_no_mapper_of_another_node(lent: Stage) -> None:
    lent.answer(lent.run(["map", 9], owner=THEIRS))
    cast("ExecutorPool", lent.executors).drain()
    assert is_lost(lent.answer(lent.pull(1, owner=THEIRS)))


def test_a_pull_that_waits_for_its_executor_is_given_back_to_another_node(lent: Stage) -> None:
    lent.answer(lent.run(["map", 9], owner=THEIRS))
    for _ in range(3):
        lent.run(["wait", 0])
    ticket = lent.pull(1, owner=THEIRS)
    cast("ExecutorPool", lent.executors).drain()
    assert is_lost(lent.answer(ticket))


def test_a_pool_that_can_run_work_of_other_nodes_keeps_it(lent: Stage) -> None:
    lent.run(["wait", 0])
    for _ in range(3):
        lent.run(["return", 1], owner=THEIRS)
    cast("ExecutorPool", lent.executors).give_back()
    assert lent.heard == []


def test_an_executor_is_offered_when_it_is_ready(lent: Stage) -> None:
    pool = cast("ExecutorPool", lent.executors)
    lent.kill(False)
    lent.until(lambda: [None] if pool.own_slots == 0 else [])
    lent.until(lambda: [None] if pool.own_slots == 1 else [])


def is_lost(answer: Any) -> bool:
    """Whether a mapper that was asked is said not to be there."""
    if isinstance(answer, Lost):
        return answer.culprit is None and answer.failure.kind == "lost"
    return [s.failure.kind for s in answer.segments if isinstance(s, FailedRun)] == ["lost"]
