from __future__ import annotations

from typing import Any

import pytest
from thespian.actors import (
    Actor,
    ActorAddress,
    ActorExitRequest,
    ActorSystem,
    ActorSystemFailure,
    ActorTypeDispatcher,
    InvalidActorSpecification,
    NoCompatibleSystemForActor,
    requireCapability,
)

from jobx.actors.runtime.address import Address
from tests.unit.actors.runtime.stage import Note, Player, Stage


class Dispatcher(ActorTypeDispatcher):
    def receiveMsg_Note(self, message: Note, sender: ActorAddress) -> None:  # noqa: N802 - Thespian's
        self.send(sender, Note(message.text.upper()))


@requireCapability("gpu")
class NeedsGpu(Player):
    pass


def test_an_actor_has_its_services_before_its_first_message(stage: Stage) -> None:
    stage.play(stage.create(), lambda me: me.node.append(me.node is stage.seen))
    assert stage.seen == [True]


def test_an_actor_exists_when_its_creation_returns(stage: Stage) -> None:
    assert stage.alive == [] and str(stage.create()) in stage.alive


def test_a_type_dispatcher_works(stage: Stage) -> None:
    stage.play(stage.create(Dispatcher), Note("hello"))
    assert stage.answers == [Note("HELLO")]


def test_a_global_name_means_one_actor_while_it_lives(stage: Stage) -> None:
    system = ActorSystem(systemBase=stage.base, transientUnique=True)
    first = system.createActor(Player, globalName="one")
    assert system.createActor(Player, globalName="one") == first
    stage.play(first, lambda me: me.node.append(me.globalName))
    stage.play(first, ActorExitRequest())
    assert stage.seen[0] == "one"
    assert system.createActor(Player, globalName="one") != first


def test_a_capability_that_is_offered_is_accepted(stage: Stage) -> None:
    stage.base.newPrimaryActor(Player, {"capability": "general"})
    assert len(stage.alive) == 1


@pytest.mark.parametrize("word", ["gpu", "unheard-of"])
def test_a_capability_that_is_not_offered_is_refused_by_name(stage: Stage, word: str) -> None:
    with pytest.raises(NoCompatibleSystemForActor, match=word):
        stage.base.newPrimaryActor(Player, {"capability": word})


def test_a_capability_check_of_the_class_is_asked(stage: Stage) -> None:
    with pytest.raises(NoCompatibleSystemForActor):
        stage.create(NeedsGpu)
    stage.base.updateCapability("gpu", True)
    stage.create(NeedsGpu)


def test_a_capability_can_be_taken_back(stage: Stage) -> None:
    stage.play(stage.create(), lambda me: me.updateCapability("general"))
    with pytest.raises(NoCompatibleSystemForActor):
        stage.base.newPrimaryActor(Player, {"capability": "general"})


@pytest.mark.parametrize("wrong", ["tests.unit.actors.runtime.stage.Player", object, Player()])
def test_what_is_no_actor_class_is_refused(stage: Stage, wrong: Any) -> None:
    with pytest.raises(InvalidActorSpecification):
        stage.base.newPrimaryActor(wrong)


@pytest.mark.parametrize(
    "act",
    [
        lambda me: me.loadActorSource("actors.zip"),
        lambda me: me.registerSourceAuthority(),
        lambda me: me.createActor(Player, sourceHash="1234"),
        lambda me: me.preRegisterRemoteSystem("10.0.0.1", {}),
    ],
)
def test_code_and_conventions_of_actors_are_refused(stage: Stage, act: Any) -> None:
    stage.play(stage.create(), act)
    assert ActorSystemFailure.__name__ in stage.answers[0].details


def test_a_source_hash_is_refused_from_outside_too(stage: Stage) -> None:
    with pytest.raises(ActorSystemFailure):
        ActorSystem(systemBase=stage.base, transientUnique=True).createActor(
            Player, sourceHash="1234"
        )


def test_asking_for_convention_updates_does_nothing(stage: Stage) -> None:
    player = stage.create()
    stage.play(player, lambda me: me.notifyOnSystemRegistrationChanges())
    assert stage.alive == [str(player)]


def test_equal_addresses_are_one_key() -> None:
    address = Address("n1", 7, 3)
    assert {address: "here"}[Address("n1", 7, 3)] == "here"
    assert address == ActorAddress(("n1", 7, 3))
    assert address != Address("n1", 8, 3)
    assert address.actorAddressString == "n1/7/3"


def test_an_actor_without_a_receive_method_fails_by_thespians_own_assertion(stage: Stage) -> None:
    stage.play(stage.create(Actor), Note("one"))
    assert "must be overridden" in stage.answers[0].details
