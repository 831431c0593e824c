from __future__ import annotations

from typing import Any

import pytest
from thespian.actors import (
    Actor,
    ActorAddress,
    ActorExitRequest,
    ChildActorExited,
    PoisonMessage,
)

from jobx.actors.runtime.failure import ChildFailed
from tests.unit.actors.runtime.stage import Note, Player, Stage, fail


class Fails(Player):
    """Fails on every message, and counts them."""

    def receiveMessage(self, message: Any, sender: ActorAddress) -> None:  # noqa: N802 - Thespian's
        self.node.append(message)
        raise ValueError("boom")


class BornDead(Actor):
    def __init__(self) -> None:
        raise ValueError("stillborn")


@pytest.mark.parametrize("message", [Note("one"), PoisonMessage(Note("two")), ActorExitRequest()])
def test_an_actor_that_fails_is_gone_whatever_the_message(stage: Stage, message: Any) -> None:
    stage.play(stage.create(Fails), message)
    assert stage.alive == []
    assert stage.base.counters().failed == 1


def test_a_message_that_fails_is_not_run_again(stage: Stage) -> None:
    stage.play(stage.create(Fails), Note("one"))
    assert stage.seen == [Note("one")]


def test_the_sender_of_a_message_that_fails_gets_it_back_with_the_traceback(stage: Stage) -> None:
    player = stage.create(Fails)
    stage.play(player, Note("one"))
    [(poison, sender)] = stage.mail
    assert (poison, sender) == (PoisonMessage(Note("one")), player)
    assert "ValueError: boom" in poison.details


def test_no_poison_comes_back_for_poison(stage: Stage) -> None:
    stage.play(stage.create(Fails), PoisonMessage(Note("one")))
    assert stage.mail == []


def test_a_sender_that_is_dead_gets_no_poison(stage: Stage) -> None:
    sender, player = stage.create(), stage.create(Fails)
    stage.send(sender, lambda me: me.send(player, Note("one")))
    stage.play(sender, ActorExitRequest())
    assert stage.base.counters().dead_letters == 0


def test_an_actor_that_fails_on_its_own_message_gets_no_poison(stage: Stage) -> None:
    player = stage.create()
    stage.play(player, lambda me: me.send(me.myAddress, fail))
    assert stage.base.counters().dead_letters == 0


def test_the_parent_of_an_actor_that_fails_learns_why(stage: Stage) -> None:
    parent = stage.create()
    child = stage.child(parent)
    stage.play(child, fail)
    [exited] = stage.seen
    assert isinstance(exited, ChildFailed)
    assert exited == ChildActorExited(child)
    assert (exited.error_type, exited.reason) == ("ValueError", "ValueError: boom")
    assert "raise ValueError" in exited.details


def test_unread_mail_of_an_actor_that_fails_goes_to_dead_letters(stage: Stage) -> None:
    player = stage.create()
    stage.send(player, fail)
    stage.send(player, Note("unread"))
    stage.run()
    assert stage.seen == []
    assert stage.base.counters().dead_letters == 1


def test_children_of_an_actor_that_fails_exit_before_its_parent_is_told(stage: Stage) -> None:
    top = stage.create()
    middle = stage.child(top)
    stage.child(middle)
    stage.play(middle, fail)
    assert [type(message) for message in stage.seen] == [ActorExitRequest, ChildFailed]
    assert stage.alive == [str(top)]


def test_a_child_that_cannot_be_made_is_a_dead_address_and_a_failed_child(stage: Stage) -> None:
    parent = stage.create()
    child = stage.child(parent, BornDead)
    assert stage.seen == [ChildActorExited(child)]
    assert stage.seen[0].reason == "ValueError: stillborn"
    assert stage.alive == [str(parent)]


def test_a_primary_actor_that_cannot_be_made_raises(stage: Stage) -> None:
    with pytest.raises(ValueError, match="stillborn"):
        stage.create(BornDead)


def test_an_interrupt_is_not_swallowed_and_the_others_go_on(stage: Stage) -> None:
    def interrupt(_: Any) -> None:
        raise KeyboardInterrupt

    interrupted, other = stage.create(), stage.create()
    stage.send(interrupted, interrupt)
    stage.send(other, Note("mine"))
    with pytest.raises(KeyboardInterrupt):
        stage.run()
    stage.run()
    assert stage.seen == [Note("mine")]
    assert stage.alive == [str(other)]
