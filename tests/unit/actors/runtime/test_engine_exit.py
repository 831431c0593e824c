from __future__ import annotations

import gc
import logging
import weakref
from typing import Any, NoReturn

import pytest
from thespian.actors import (
    ActorAddress,
    ActorExitRequest,
    ActorSystem,
    ActorSystemFailure,
    ChildActorExited,
)

from jobx.actors.runtime.actor import LoopActor
from jobx.actors.runtime.limits import EngineLimits
from tests.unit.actors.runtime.stage import Note, Player, Stage


class Family(Player):
    """Notes who is told to exit, and who is told of whose exit."""

    def receiveMessage(self, message: Any, sender: ActorAddress) -> None:  # noqa: N802 - Thespian's
        if isinstance(message, ActorExitRequest):
            self.node.append(("exit", self.myAddress))
        elif isinstance(message, ChildActorExited):
            self.node.append(("told", self.myAddress, message.childAddress))
        else:
            message(self)


class Leaver(Family, LoopActor):
    """Leaves, and sends, as the actors of a node do."""


class Deaf(Family):
    """Does not care which of its children exit, unless they fail."""

    hears_exits = False


class Spares(Player):
    """Leaves its children alone when it exits."""

    def receiveMessage(self, message: Any, sender: ActorAddress) -> None:  # noqa: N802 - Thespian's
        if isinstance(message, ActorExitRequest):
            message.notRecursive()
        else:
            super().receiveMessage(message, sender)


def chain(stage: Stage, length: int) -> list[ActorAddress]:
    addresses = [stage.create(Family)]
    while len(addresses) < length:
        addresses.append(stage.child(addresses[-1], Family))
    return addresses


def test_an_exit_is_asked_of_parents_first_and_done_by_children_first(stage: Stage) -> None:
    top, *below = chain(stage, 4)
    stage.play(below[0], ActorExitRequest())
    asked = [("exit", address) for address in below]
    assert stage.seen == [*asked, ("told", top, below[0])]
    assert stage.alive == [str(top)]


def test_an_actor_that_leaves_reads_no_more(stage: Stage) -> None:
    top = stage.create(Family)
    child = stage.child(top, Leaver)
    stage.send(child, lambda actor: actor.leave())
    stage.send(child, lambda actor: actor.node.append("read"))
    stage.run()
    assert stage.seen == [("told", top, child)]
    assert stage.base.counters().dead_letters == 1


def test_a_parent_that_knows_why_a_child_leaves_hears_nothing_more(stage: Stage) -> None:
    top = stage.create(Family)
    child = stage.child(top, Leaver)
    below = stage.child(child, Family)
    stage.play(child, lambda actor: actor.leave(is_told=True))
    assert stage.seen == [("exit", below)]
    assert stage.alive == [str(top)]


class Mayfly(LoopActor):
    """Leaves as soon as it is born."""

    def __init__(self) -> None:
        super().__init__()
        self.create(Family)
        self.leave()


def test_an_actor_that_leaves_at_its_birth_is_gone_with_its_children(stage: Stage) -> None:
    top = stage.create(Family)
    child = stage.child(top, Mayfly)
    stage.run()
    assert stage.seen[-1] == ("told", top, child)
    assert stage.alive == [str(top)]


def test_an_actor_that_leaves_lets_its_children_go_first(stage: Stage) -> None:
    top = stage.create(Family)
    parent = stage.child(top, Leaver)
    child = stage.child(parent, Family)
    stage.play(parent, lambda actor: actor.leave())
    assert stage.seen == [("exit", child), ("told", top, parent)]
    assert stage.alive == [str(top)]


def test_an_actor_says_the_last_things_while_it_leaves(stage: Stage) -> None:
    leaver = stage.create(Leaver)

    def go(actor: Leaver) -> None:
        actor.leave()
        actor.send(stage.audience, Note("gone"))

    stage.play(leaver, go)
    assert stage.mail == [(Note("gone"), leaver)]
    assert stage.alive == []


def test_an_actor_that_does_not_care_is_told_of_failures_alone(stage: Stage) -> None:
    deaf = stage.create(Deaf)
    leaving, failing = stage.child(deaf, Family), stage.child(deaf, Family)
    stage.play(leaving, ActorExitRequest())
    assert stage.seen == [("exit", leaving)]
    stage.play(failing, lambda _: 1 / 0)
    assert stage.seen[1:] == [("told", deaf, failing)]
    assert stage.alive == [str(deaf)]


def test_an_actor_waits_for_the_last_of_its_children(stage: Stage) -> None:
    top = stage.create(Family)
    parent = stage.child(top, Family)
    children = [stage.child(parent, Family) for _ in range(3)]
    stage.play(parent, ActorExitRequest())
    asked = [("exit", address) for address in (parent, *children)]
    assert stage.seen == [*asked, ("told", top, parent)]


def test_a_dead_actor_is_not_kept_in_memory(stage: Stage) -> None:
    alive: list[weakref.ref[Any]] = []
    player = stage.child(stage.create())
    stage.play(player, lambda me: alive.append(weakref.ref(me)))
    gc.disable()
    try:
        stage.play(player, ActorExitRequest())
        assert alive[0]() is None
    finally:
        gc.enable()


def test_a_deep_chain_exits_without_recursion(stage: Stage) -> None:
    chain(stage, 5_000)
    stage.base.shutdown()
    assert stage.base.counters().exited == 5_000


def test_children_stay_when_the_exit_is_not_recursive(stage: Stage) -> None:
    parent = stage.create()
    child = stage.child(parent)
    stage.play(parent, ActorExitRequest(recursive=False))
    assert stage.alive == [str(child)]
    stage.play(child, ActorExitRequest())
    assert stage.alive == []


def test_an_actor_may_spare_its_children(stage: Stage) -> None:
    parent = stage.create(Spares)
    child = stage.child(parent)
    stage.play(parent, ActorExitRequest())
    assert stage.alive == [str(child)]


def test_an_actor_may_send_its_exit_to_itself(stage: Stage) -> None:
    player = stage.create()
    stage.play(player, lambda me: me.send(me.myAddress, ActorExitRequest()))
    assert stage.alive == []


def test_mail_before_an_exit_request_is_read(stage: Stage) -> None:
    player = stage.create()
    stage.send(player, Note("last words"))
    stage.play(player, ActorExitRequest())
    assert stage.seen[0] == Note("last words")


def test_an_actor_waits_for_its_children_and_takes_no_mail(stage: Stage) -> None:
    parent = stage.create(Family)
    child = stage.child(parent, Family)
    states: list[Any] = []
    stage.send(parent, ActorExitRequest())
    stage.send(child, lambda me: me.send(parent, Note("too late")))
    stage.send(child, lambda _: states.extend(stage.base.tree()))
    stage.run()
    assert [record.state for record in states] == ["stopping", "queued"]
    assert stage.base.counters().dead_letters == 1


def test_an_address_never_means_another_actor(stage: Stage) -> None:
    used = set()
    for _ in range(10):
        address = stage.create()
        stage.play(address, ActorExitRequest())
        used.add(address)
    assert len(used) == 10


def test_the_tree_shows_live_actors_in_the_order_of_their_creation(stage: Stage) -> None:
    class Described(Player):
        def describe(self) -> str:
            return "the second"

    first = stage.create()
    second = stage.child(first, Described)
    stage.scheduler.advance(2.0)
    stage.send(second, Note("unread"))
    rows = [(r.address, r.name, r.state, r.mailbox, r.parent) for r in stage.base.tree()]
    assert rows == [
        (str(first), "Player", "idle", 0, None),
        (str(second), "the second", "queued", 1, str(first)),
    ]
    assert {record.age_s for record in stage.base.tree()} == {2.0}


@pytest.mark.parametrize("limit", [1, 3])
def test_no_more_actors_are_described_than_are_shown(limit: int, stage: Stage) -> None:
    described = []

    class Described(Player):
        def describe(self) -> str:
            described.append(self)
            return "one of many"

    for _ in range(20):
        stage.create(Described)
    assert len(stage.base.tree(limit)) == len(described) == limit


def test_children_are_counted_without_looking_at_any_actor(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unread(dict[object, object]):
        def __iter__(self) -> NoReturn:
            raise AssertionError("every actor was looked at")

        items = values = keys = __iter__  # type: ignore[assignment]  # it is what counts

    parent = stage.create()
    children = [stage.child(parent) for _ in range(5)]
    stage.child(children[0])
    monkeypatch.setattr(stage.base, "_cells", Unread(stage.base._cells.items()))
    assert stage.base.count_children(parent) == 5
    assert stage.base.count_children(children[1]) == 0


def test_a_shutdown_exits_all_actors_and_reads_what_was_sent_before(stage: Stage) -> None:
    player = stage.create()
    stage.child(stage.create(Family), Family)
    stage.send(player, Note("before"))
    ActorSystem(systemBase=stage.base, transientUnique=True).shutdown()
    assert stage.alive == []
    assert Note("before") in stage.seen
    assert stage.base.counters().exited == 3


def test_a_shutdown_that_an_actor_asks_for_is_done_after_its_message(stage: Stage) -> None:
    player = stage.create()

    def end(me: Any) -> None:
        me.actorSystemShutdown()
        me.node.append(Note("still here"))

    stage.play(player, end)
    assert Note("still here") in stage.seen
    assert stage.alive == []


def test_a_shutdown_from_an_endpoint_is_done_after_its_message(stage: Stage) -> None:
    stage.create()
    stage.play(stage.base.endpoint(lambda *_: stage.base.shutdown()), Note("stop"))
    assert stage.alive == []


def test_a_shutdown_goes_on_when_the_loop_is_to_have_a_turn(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    player = stage.create()
    stage.send(player, lambda _: stage.base.yield_soon())
    stage.base.shutdown()
    assert stage.alive == []
    assert caplog.messages == []


def test_a_shutdown_drops_who_does_not_exit_in_time(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage(EngineLimits(stop_s=0.0))
    stage.create()
    stage.base.shutdown()
    assert stage.alive == []
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_nothing_is_created_after_a_shutdown(stage: Stage) -> None:
    stage.base.shutdown()
    with pytest.raises(ActorSystemFailure):
        stage.create()


def test_a_dead_actor_creates_no_children(stage: Stage) -> None:
    kept: list[Any] = []
    player = stage.create()
    stage.send(player, kept.append)
    stage.play(player, ActorExitRequest())
    with pytest.raises(ActorSystemFailure):
        kept[0].createActor(Player)
