"""Dead letters: the last groups of them, and nothing of their content."""

from __future__ import annotations

from jobx.actors.runtime import deadletters
from jobx.actors.runtime.address import Address
from jobx.actors.runtime.deadletters import DeadLetters
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
