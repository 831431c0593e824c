"""An engine whose actors may have children, and parents, on other nodes."""

from __future__ import annotations

from typing import Any

import pytest
from thespian.actors import (
    ActorAddress,
    ActorExitRequest,
    ChildActorExited,
    NoCompatibleSystemForActor,
)

from jobx.actors.runtime.actor import LoopActor
from jobx.actors.runtime.address import Address
from jobx.actors.runtime.failure import ChildFailed, ChildLost
from jobx.actors.runtime.placement import Creation, check_here
from tests.unit.actors.runtime.stage import Note, Player, Stage, fail


class Traveller(Player, LoopActor):
    """May be created on another node."""

    may_leave = True


class Settler(Traveller):
    """Does not care which of its children exit."""

    hears_exits = False


class OtherNode:
    """Takes every actor that may leave, and notes what it is sent."""

    def __init__(self) -> None:
        self.made: list[Creation] = []
        self.sent: list[tuple[ActorAddress, Any]] = []
        self.knows_all = True

    def place(self, creation: Creation) -> ActorAddress | None:
        check_here(creation)
        if not issubclass(creation.actor_class, Traveller) or creation.parent is None:
            return None
        self.made.append(creation)
        return Address("n2", 3, f"n1/7/{len(self.made)}")

    def send(self, target: ActorAddress, message: Any, sender: ActorAddress) -> bool:
        if self.knows_all:
            self.sent.append((target, message))
        return self.knows_all


@pytest.fixture
def other() -> OtherNode:
    return OtherNode()


@pytest.fixture
def stage(other: OtherNode) -> Stage:
    return Stage(placement=other)


def state_of(stage: Stage, address: ActorAddress) -> str | None:
    found = [record.state for record in stage.base.tree() if record.address == str(address)]
    return found[0] if found else None


def test_an_actor_is_created_where_it_is_placed(stage: Stage, other: OtherNode) -> None:
    parent = stage.create()
    child = stage.child(parent, Traveller)
    assert child == Address("n2", 3, "n1/7/1")
    assert [(made.actor_class, made.parent) for made in other.made] == [(Traveller, parent)]


def test_an_actor_that_may_not_leave_stays(stage: Stage, other: OtherNode) -> None:
    stage.child(stage.create())
    assert other.made == []


def test_what_no_node_offers_is_refused(stage: Stage) -> None:
    with pytest.raises(NoCompatibleSystemForActor):
        stage.base.newPrimaryActor(Traveller, {"capability": "gpu"})


def test_mail_for_another_node_leaves(stage: Stage, other: OtherNode) -> None:
    far = Address("n2", 3, 9)
    stage.play(far, Note("hello"))
    assert other.sent == [(far, Note("hello"))]
    assert stage.base.counters().dead_letters == 0


def test_mail_that_nobody_takes_is_a_dead_letter(stage: Stage, other: OtherNode) -> None:
    other.knows_all = False
    stage.play(Address("n2", 3, 9), Note("hello"))
    assert stage.base.counters().dead_letters == 1


def test_mail_for_an_earlier_life_of_this_node_stays(stage: Stage, other: OtherNode) -> None:
    stage.play(Address("n1", 6, 9), Note("hello"))
    assert other.sent == []


def test_a_remote_child_is_under_its_parent(stage: Stage) -> None:
    parent = stage.create()
    child = stage.child(parent, Traveller)
    assert stage.base.count_children(parent) == 1
    assert state_of(stage, child) == "remote"


def test_a_parent_hears_of_the_exit_of_a_remote_child(stage: Stage) -> None:
    parent = stage.create()
    child = stage.child(parent, Traveller)
    stage.base.exited_elsewhere(ChildActorExited(child))
    stage.run()
    assert [message.childAddress for message in stage.seen] == [child]
    assert stage.base.count_children(parent) == 0


def test_a_parent_that_ignores_exits_hears_of_lost_children_only(stage: Stage) -> None:
    parent = stage.create(Settler)
    first, second = stage.child(parent, Traveller), stage.child(parent, Traveller)
    stage.base.exited_elsewhere(ChildActorExited(first))
    stage.base.exited_elsewhere(ChildLost(second, "NodeLost", "n2 is lost", ""))
    stage.run()
    assert [type(message) for message in stage.seen] == [ChildLost]


def test_a_child_that_exits_twice_is_told_once(stage: Stage) -> None:
    child = stage.child(stage.create(), Traveller)
    stage.base.exited_elsewhere(ChildActorExited(child))
    stage.base.exited_elsewhere(ChildActorExited(child))
    stage.run()
    assert len(stage.seen) == 1


def test_nobody_elsewhere_can_end_an_actor_of_this_node(stage: Stage) -> None:
    actor = stage.create()
    stage.base.exited_elsewhere(ChildActorExited(actor))
    stage.run()
    assert state_of(stage, actor) == "idle"


def test_a_parent_leaves_after_its_remote_children(stage: Stage, other: OtherNode) -> None:
    parent = stage.create()
    child = stage.child(parent, Traveller)
    stage.play(parent, ActorExitRequest())
    assert [(to, type(message)) for to, message in other.sent] == [(child, ActorExitRequest)]
    assert state_of(stage, parent) == "stopping"
    stage.base.exited_elsewhere(ChildActorExited(child))
    assert stage.alive == []


def test_a_system_that_stops_waits_for_no_other_node(stage: Stage, other: OtherNode) -> None:
    child = stage.child(stage.create(), Traveller)
    stage.base.stop()
    assert [(to, type(message)) for to, message in other.sent] == [(child, ActorExitRequest)]
    assert stage.alive == []


def test_an_actor_of_a_stopping_system_is_not_placed(stage: Stage, other: OtherNode) -> None:
    parent = stage.create()
    made: list[ActorAddress] = []
    stage.send(parent, lambda me: made.append(me.createActor(Traveller)))
    stage.base.stop()
    assert len(made) == 1
    assert other.made == []


class Host:
    """An actor of the stage, for a parent on another node."""

    def __init__(self, stage: Stage) -> None:
        self.parent = Address("n2", 3, 4)
        self.address = Address("n1", 7, "n2/3/11")
        stage.base.host(self.address, self.parent, Traveller, ())


def test_a_hosted_actor_reads_its_mail(stage: Stage) -> None:
    stage.play(Host(stage).address, Note("hello"))
    assert stage.seen == [Note("hello")]


def test_a_hosted_actor_writes_to_its_parent(stage: Stage, other: OtherNode) -> None:
    hosted = Host(stage)
    stage.play(hosted.address, lambda me: me.send(me.parent, Note("hello")))
    assert other.sent == [(hosted.parent, Note("hello"))]


@pytest.mark.parametrize(
    ("act", "notice"),
    [
        (ActorExitRequest(), ChildActorExited),
        (lambda me: me.leave(), ChildActorExited),
        (fail, ChildFailed),
    ],
)
def test_the_parent_of_a_hosted_actor_is_told_of_its_end(
    stage: Stage, other: OtherNode, act: Any, notice: type
) -> None:
    hosted = Host(stage)
    stage.play(hosted.address, act)
    ((target, message),) = other.sent
    assert (target, type(message)) == (hosted.parent, notice)
    assert message.childAddress == hosted.address
    assert stage.alive == []
