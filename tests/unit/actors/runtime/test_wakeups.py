from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from thespian.actors import ActorAddress, ActorExitRequest, WakeupMessage

from jobx.actors.runtime.timers import Agenda
from tests.unit.actors.runtime.stage import Player, Stage


def wake(period: float | timedelta, payload: object = None) -> Any:
    return lambda me: me.wakeupAfter(period, payload)


@pytest.mark.parametrize("period", [1.5, timedelta(seconds=1.5)])
def test_a_wakeup_comes_when_its_time_is_over_and_not_before(
    stage: Stage, period: float | timedelta
) -> None:
    stage.play(stage.create(), wake(period, "tea"))
    stage.scheduler.advance(1.4)
    assert stage.seen == []
    stage.scheduler.advance(0.1)
    assert stage.seen == [WakeupMessage(period, "tea")]


def test_a_wakeup_at_once_comes_at_once(stage: Stage) -> None:
    stage.play(stage.create(), wake(0))
    assert len(stage.seen) == 1


@given(periods=st.lists(st.integers(0, 5), max_size=30))
def test_wakeups_come_by_due_time_then_by_request(periods: list[int]) -> None:
    stage = Stage()
    player = stage.create()
    for number, period in enumerate(periods):
        stage.play(player, wake(period, (period, number)))
    stage.scheduler.advance(5)
    assert [message.payload for message in stage.seen] == sorted(
        (period, number) for number, period in enumerate(periods)
    )


def test_wakeups_that_are_overdue_come_in_the_order_in_which_they_were_due(stage: Stage) -> None:
    player = stage.create()
    stage.play(player, wake(2, "second"))
    stage.play(player, wake(1, "first"))
    stage.scheduler.advance(3)
    assert [message.payload for message in stage.seen] == ["first", "second"]


def test_wakeups_of_a_dead_actor_are_cancelled(stage: Stage) -> None:
    player = stage.create()
    stage.play(player, wake(1))
    stage.play(player, ActorExitRequest())
    stage.scheduler.advance(2)
    assert stage.base.counters().dead_letters == 0
    assert stage.scheduler.next_due() is None


def test_cancelled_wakeups_leave_those_of_others(stage: Stage) -> None:
    doomed, other = stage.create(), stage.create()
    stage.play(doomed, wake(1, "doomed"))
    stage.play(other, wake(2, "other"))
    stage.play(doomed, ActorExitRequest())
    stage.seen.clear()
    stage.scheduler.advance(2)
    assert [message.payload for message in stage.seen] == ["other"]


def test_a_wakeup_has_the_actor_itself_as_sender(stage: Stage) -> None:
    class Sleeper(Player):
        def receiveMessage(self, message: Any, sender: ActorAddress) -> None:  # noqa: N802 - Thespian's
            if isinstance(message, WakeupMessage):
                self.node.append(sender)
            else:
                message(self)

    sleeper = stage.create(Sleeper)
    stage.play(sleeper, wake(1))
    stage.scheduler.advance(1)
    assert stage.seen == [sleeper]


def test_an_agenda_keeps_no_more_cancelled_items_than_live_ones() -> None:
    agenda: Agenda[int] = Agenda()
    for number in range(10_000):
        agenda.add(float(number), number).cancel()
    assert len(agenda) == 0
    assert len(agenda._heap) < 100


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=300))
def test_an_agenda_gives_what_was_not_cancelled_in_order(items: list[tuple[int, bool]]) -> None:
    agenda: Agenda[tuple[int, int]] = Agenda()
    timers = [agenda.add(due, (due, number)) for number, (due, _) in enumerate(items)]
    for timer, (_, is_cancelled) in zip(timers, items, strict=True):
        if is_cancelled:
            timer.cancel()
            timer.cancel()
    expected = sorted((due, n) for n, (due, is_cancelled) in enumerate(items) if not is_cancelled)
    assert len(agenda) == len(expected)
    taken = []
    while due := agenda.take_due(9):
        taken.append(due[1])
    assert taken == expected
