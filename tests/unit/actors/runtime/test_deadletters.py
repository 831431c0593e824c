"""Dead letters: the last groups of them, and nothing of their content."""

from __future__ import annotations

from typing import Any

import pytest
from thespian.actors import ActorExitRequest, ChildActorExited, WakeupMessage

from jobx.actors.runtime import deadletters
from jobx.actors.runtime.address import Address
from jobx.actors.runtime.deadletters import (
    FAILED,
    FULL,
    GONE,
    UNREAD,
    Answered,
    DeadLetters,
    Perishable,
)
from jobx.actors.runtime.limits import EngineLimits
from tests.unit.actors.runtime.stage import Note, Stage

A, B = Address("n", 1, 1), Address("n", 1, 2)


def test_letters_are_grouped_by_type_target_and_sender() -> None:
    now = [1.0]
    letters = DeadLetters(lambda *_: None, lambda: now[0])
    for message, target, sender in [
        (Note("a"), A, B),
        (Note("b"), A, B),
        ("x", A, B),
        (Note("c"), B, A),
    ]:
        letters.take(target, message, sender)
        now[0] += 1.0
    shown = [(one.message, one.target, one.sender, one.count) for one in letters.last()]
    assert shown == [("Note", B, A, 1), ("str", A, B, 1), ("Note", A, B, 2)]
    assert (letters.last()[2].first_s, letters.last()[2].last_s) == (1.0, 2.0)


def test_the_last_groups_are_kept_and_all_letters_counted() -> None:
    letters = DeadLetters(lambda *_: None, lambda: 0.0)
    for number in range(deadletters.MOST_GROUPS + 20):
        letters.take(Address("n", 1, number), Note("x"), A)
    letters.take(Address("n", 1, 20), Note("x"), A)
    shown = [one.target.addressDetails[2] for one in letters.last()]
    assert len(shown) == deadletters.MOST_GROUPS
    assert (shown[0], shown[-1], letters.count) == (20, 21, deadletters.MOST_GROUPS + 21)


def test_a_letter_says_why_it_was_not_read() -> None:
    stage = Stage(EngineLimits(mailbox=1))
    address = stage.create()
    stage.send(address, Note("a"))
    stage.send(address, Note("b"))
    stage.base.drop(address)
    stage.send(address, "c")
    assert [one.reason for one in stage.base.dead_letters.last()] == [
        deadletters.GONE,
        deadletters.UNREAD,
    ]
    assert stage.base.dead_letters.last()[1].count == 2


class Late(Perishable, frozen=True):
    """What means nothing any more once its receiver has ended."""


class Asked(Answered, frozen=True):
    """What somebody waits for the answer of."""

    reply_to: Any

    def unread(self) -> tuple[Any, Any]:
        return self.reply_to, Note("nobody is here")


@pytest.mark.parametrize("end", ["gone", "leaving", "failing"])
def test_who_asks_an_actor_that_has_ended_is_answered_at_once(end: str) -> None:
    stage = Stage()
    address = stage.create()
    if end == "gone":
        stage.play(address, ActorExitRequest())
    elif end == "leaving":
        stage.send(address, ActorExitRequest())
    else:
        stage.send(address, lambda _: 1 / 0)
    stage.play(address, Asked(stage.audience))
    assert (Note("nobody is here"), address) in stage.mail
    assert stage.base.dead_letters.last() == []


@pytest.mark.parametrize(
    ("message", "reasons"),
    [
        (Note("a"), {GONE, UNREAD, FAILED, FULL}),
        (Late(), {FAILED, FULL}),
        (Asked(A), {FULL}),
        (ActorExitRequest(), set()),
        (ChildActorExited(A), set()),
        (WakeupMessage(1.0), set()),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_perishes_with_its_receiver_is_a_dead_letter_of_a_fault_alone(
    message: Any, reasons: set[str]
) -> None:
    letters = DeadLetters(lambda *_: None, lambda: 0.0)
    for number, reason in enumerate((GONE, UNREAD, FAILED, FULL)):
        letters.take(Address("n", 1, number), message, A, reason)
    assert {one.reason for one in letters.last()} == reasons


def _fail(me: Any) -> None:
    raise ArithmeticError(me)


@pytest.mark.parametrize(
    ("end", "reasons"), [(ActorExitRequest(), []), (_fail, [FAILED])], ids=["exit", "failure"]
)
def test_a_perishable_message_may_cross_an_exit_and_no_failure(
    end: Any, reasons: list[str]
) -> None:
    stage = Stage()
    address = stage.create()
    stage.send(address, end)
    stage.play(address, Late())  # it is behind the end
    stage.play(address, Late())
    assert Late() not in stage.seen
    assert [one.reason for one in stage.base.dead_letters.last()] == reasons


def test_handlers_of_dead_letters_get_no_perished_message() -> None:
    stage = Stage()
    dead, reader = stage.create(), stage.create()
    stage.play(dead, ActorExitRequest())
    stage.play(reader, lambda me: me.handleDeadLetters())
    stage.seen.clear()
    stage.play(dead, Late())
    assert stage.seen == []
