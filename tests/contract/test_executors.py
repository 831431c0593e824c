"""The contract of executors, over each implementation of ``Executors``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobx.actors.messages import Lost, Ran, SuspendedLost
from jobx.segments import MappedChunk, Returned
from tests.support.executor_stage import (
    KEY,
    OTHER,
    OWNER,
    Stage,
    is_lost,
    real,
    simulated,
    ticket_of,
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
    assert {(owner, ticket_of(m)) for owner, m in stage.heard} == {(OWNER, mine), (OTHER, others)}


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
