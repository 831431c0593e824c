"""What is counted of actors and their classes, and how slow messages are named."""

from __future__ import annotations

import logging

import pytest
from thespian.actors import ActorAddress, ActorExitRequest

from jobx.actors.runtime import accounts
from jobx.actors.runtime.accounts import Account, Accounts, Restarted
from jobx.actors.runtime.cell import Cell
from tests.unit.actors.runtime.stage import Note, Stage, fail


def account(stage: Stage, name: str = "Player") -> Account:
    (found,) = [one for one in stage.base.accounts.all() if one.class_name == name]
    return found


def cell_of(stage: Stage, address: ActorAddress) -> Cell:
    cell = stage.base.find(address.addressDetails)
    assert cell is not None
    return cell


def take(stage: Stage, delay_s: float) -> object:
    """Return a message that takes so long."""

    def act(_: object) -> None:
        stage.scheduler._now += delay_s

    return act


def test_messages_and_their_time_are_counted_by_actor_and_by_class(stage: Stage) -> None:
    first, second = stage.create(), stage.create()
    stage.play(first, take(stage, 0.5))
    stage.play(second, take(stage, 0.25))
    stage.play(second, Note("x"))
    one, other = cell_of(stage, first), cell_of(stage, second)
    assert (one.handled, one.time_s, other.handled, other.time_s) == (1, 0.5, 2, 0.25)
    both = account(stage)
    assert (both.live, both.created, both.handled, both.time_s) == (2, 2, 3, 0.75)
    stage.play(first, ActorExitRequest())
    assert (both.live, both.created, both.handled) == (1, 2, 4)


def test_the_idle_time_between_messages_is_nobodys(stage: Stage) -> None:
    address = stage.create()
    stage.play(address, Note("a"))
    stage.scheduler.advance(100.0)
    stage.play(address, Note("b"))
    assert cell_of(stage, address).time_s == 0.0


def test_the_oldest_message_is_as_old_as_it_waits(stage: Stage) -> None:
    address = stage.create()
    stage.send(address, Note("a"))
    stage.scheduler._now += 2.0
    cell = cell_of(stage, address)
    assert cell.oldest_s(stage.scheduler.now()) == 2.0
    assert cell.record(stage.scheduler.now()).oldest_s == 2.0
    stage.run()
    assert cell.oldest_s(stage.scheduler.now()) is None


def test_a_failure_is_counted_with_its_reason(stage: Stage) -> None:
    stage.play(stage.create(), fail)
    failed = account(stage)
    assert (failed.failed, failed.failure, failed.live) == (1, "ValueError: boom", 0)


def test_a_restart_is_counted_with_its_reason(stage: Stage) -> None:
    address = stage.create()
    stage.base.note_restart(address, Restarted(2, 1, 3, "boom"))
    again = account(stage)
    assert (again.restarts, again.restart_reason) == (1, "boom")
    assert cell_of(stage, address).record(0.0).restarted == Restarted(2, 1, 3, "boom")
    stage.play(address, ActorExitRequest())
    stage.base.note_restart(address, Restarted(3, 1, 3, "late"))
    assert again.restarts == 1


def test_slow_messages_are_named_by_class_and_type(stage: Stage) -> None:
    address = stage.create()
    stage.play(address, take(stage, 0.010))
    stage.play(address, take(stage, 0.5))
    stage.play(address, take(stage, 0.25))
    (named,) = stage.base.accounts.slow.items()
    slow = named[1]
    assert named[0] == ("Player", "function")
    assert (slow.count, slow.time_s, slow.longest_s, account(stage).slow) == (2, 0.75, 0.5, 2)


def test_slow_messages_are_logged_once_in_ten_seconds(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    address = stage.create()
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            stage.play(address, take(stage, 0.5))
        stage.scheduler.advance(10.0)
        stage.play(address, take(stage, 0.5))
    assert caplog.messages == [
        "a Player took 500 ms to handle a function",
        "a Player took 500 ms to handle a function; 2 slow messages before it are not logged",
    ]


def test_types_of_slow_messages_are_bounded() -> None:
    found = Accounts(lambda: 0.0)
    account = found[Note]
    for number in range(accounts.MOST_SLOW + 50):
        found.was_slow(account, type(f"M{number}", (), {})(), 1.0, 0.0)
    assert len(found.slow) == accounts.MOST_SLOW + 1
    assert found.slow["other", "other"].count == 50
