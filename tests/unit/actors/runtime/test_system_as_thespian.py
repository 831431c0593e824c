"""What the actor system has in common with Thespian's own, where an author may rely on it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from thespian.actors import ActorAddress, ActorExitRequest, ChildActorExited, DeadEnvelope
from thespian.system.messages.status import Thespian_ActorStatus, Thespian_StatusReq

from jobx.actors.runtime.limits import EngineLimits
from jobx.errors import InvalidInput
from tests.unit.actors.runtime.stage import Note, Player, Stage


class Asks(Player):
    """Takes the arguments that Thespian offers."""

    def __init__(self, requirements: Any, capabilities: Any) -> None:
        super().__init__()
        self.found = (requirements, capabilities["general"])


class TakesOne(Player):
    def __init__(self, capabilities: Any = None) -> None:
        super().__init__()
        self.found = capabilities["general"]


class MakesAtItsEnd(Player):
    """Creates a child when it is to exit, and notes what came of it."""

    def receiveMessage(self, message: Any, sender: ActorAddress) -> None:  # noqa: N802 - Thespian's
        if isinstance(message, ActorExitRequest):
            self.node.append(self.createActor(Player))
            self.node.append("ended well")
        else:
            super().receiveMessage(message, sender)


@pytest.mark.parametrize(
    ("kind", "found"), [(Asks, ({"capability": "general"}, True)), (TakesOne, True)]
)
def test_init_gets_the_arguments_that_it_names(kind: Any, found: Any, stage: Stage) -> None:
    parent = stage.create()
    needs = {"capability": "general"}
    made: list[ActorAddress] = []
    stage.play(parent, lambda actor: made.append(actor.createActor(kind, needs)))
    stage.play(made[0], lambda actor: stage.seen.append(actor.found))
    assert stage.seen == [found]


def test_the_newest_handler_of_dead_letters_gets_them(stage: Stage) -> None:
    dead, first, second = stage.create(), stage.create(), stage.create()
    stage.play(dead, ActorExitRequest())
    stage.seen.clear()
    for reader in (first, second):
        stage.play(reader, lambda actor: actor.handleDeadLetters())
    stage.play(dead, Note("one"))
    assert stage.seen == [DeadEnvelope(dead, Note("one"))]
    stage.play(first, lambda actor: actor.handleDeadLetters(False))
    stage.play(dead, Note("two"))
    assert stage.seen[1:] == [DeadEnvelope(dead, Note("two"))]
    stage.play(second, lambda actor: actor.handleDeadLetters(False))
    stage.play(dead, Note("three"))
    assert len(stage.seen) == 2


def test_an_actor_without_a_name_has_none(stage: Stage) -> None:
    stage.play(stage.create(), lambda actor: stage.seen.append(actor.globalName))
    assert stage.seen == [None]


def test_an_actor_that_has_no_say_in_it_answers_for_its_status(stage: Stage) -> None:
    parent = stage.create()
    child = stage.child(parent)
    stage.play(parent, Thespian_StatusReq())
    ((status, sender),) = stage.mail
    assert isinstance(status, Thespian_ActorStatus)
    assert (sender, status.childActors, stage.seen) == (parent, [child], [])


@pytest.mark.parametrize("period", [float("nan"), timedelta.max, float("inf"), -1.0, 1e300])
def test_no_period_breaks_the_wakeups_of_others(stage: Stage, period: Any) -> None:
    stage.play(stage.create(), lambda actor: actor.wakeupAfter(period, "odd"))
    stage.play(stage.create(), lambda actor: actor.wakeupAfter(1, "mine"))
    stage.scheduler.advance(2.0)
    assert [message.payload for message in stage.seen][-1] == "mine"


def test_a_period_that_is_over_is_over_at_once(stage: Stage) -> None:
    stage.play(stage.create(), lambda actor: actor.wakeupAfter(timedelta(seconds=-5), "late"))
    assert [message.payload for message in stage.seen] == ["late"]


def test_what_is_no_period_is_refused_to_who_asks(stage: Stage) -> None:
    def ask(actor: Any) -> None:
        with pytest.raises(InvalidInput, match="period"):
            actor.wakeupAfter(float("nan"))
        stage.seen.append("refused")

    stage.play(stage.create(), ask)
    assert stage.seen == ["refused"]


def test_an_actor_may_ask_for_a_child_while_the_system_stops_and_ends_well(stage: Stage) -> None:
    stage.create(MakesAtItsEnd)
    stage.base.stop()
    assert stage.seen[1:] == ["ended well"]
    assert stage.base.counters().failed == 0


class Unspeakable(ValueError):
    """An exception that nobody can look at."""

    @property
    def __cause__(self) -> Any:  # type: ignore[override]  # what the test is about
        raise SystemExit("no cause for you")

    @__cause__.setter
    def __cause__(self, value: Any) -> None:
        pass


class Mute(ValueError):
    def __str__(self) -> str:
        raise RuntimeError("no text for you")


@pytest.mark.parametrize("kind", [Unspeakable, Mute])
def test_a_death_is_told_whatever_the_exception_does(kind: Any, stage: Stage) -> None:
    def fail(_: Any) -> None:
        raise kind("boom")

    parent = stage.create()
    child = stage.child(parent)
    stage.play(child, fail)
    (exited,) = [seen for seen in stage.seen if isinstance(seen, ChildActorExited)]
    assert exited.childAddress == child
    assert kind.__name__ in exited.reason  # type: ignore[attr-defined]  # a failure was told
    assert stage.alive == [str(parent)]


def test_slow_messages_hold_the_loop_no_longer_than_a_slice_and_one_message() -> None:
    stage = Stage(EngineLimits(slice_s=0.05))
    clock = iter(range(1_000_000))
    stage.scheduler.now = lambda: next(clock) * 0.02  # type: ignore[method-assign]  # a clock of the test
    player = stage.create()
    for number in range(100):
        stage.send(player, number)
    read: list[int] = []
    stage.scheduler.call_soon(lambda: read.append(len(stage.seen)))
    stage.run()
    assert 1 <= read[0] <= 4


def test_the_end_of_a_root_is_told(stage: Stage) -> None:
    told: list[Any] = []
    stage.base._root_exited = told.append
    root = stage.create()
    child = stage.child(root)

    def fail(_: Any) -> None:
        raise ArithmeticError("a fault of ours")

    stage.play(child, fail)
    assert told == []
    stage.play(root, fail)
    assert [notice.reason for notice in told] == ["ArithmeticError: a fault of ours"]
    stage.create()
    stage.base.stop()
    assert len(told) == 1
