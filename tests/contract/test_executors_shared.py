"""The contract of a pool whose node borrows executors, or lends its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from jobx.actors.executors import paces, rebalancing
from jobx.actors.executors.pool import ExecutorPool
from jobx.actors.executors.processes import ExecutorProcesses
from jobx.actors.executors.rebalancing import Away
from jobx.actors.messages import Lost, TakenBack
from tests.support.executor_stage import KEY, OWNER, THEIRS, Stage, is_lost, real


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
