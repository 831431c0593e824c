from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from thespian.actors import ActorExitRequest, DeadEnvelope

from jobx.actors.runtime.limits import EngineLimits
from tests.unit.actors.runtime.stage import Note, Player, Stage

SENDS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=60)


@given(sends=SENDS, slice_messages=st.integers(1, 5))
def test_messages_keep_their_order_between_each_sender_and_receiver(
    sends: list[tuple[int, int]], slice_messages: int
) -> None:
    stage = Stage(EngineLimits(slice_messages=slice_messages))
    players = [stage.create() for _ in range(4)]
    for number, (source, target) in enumerate(sends):
        send = (source, target, number)
        stage.send(players[source], lambda me, send=send: me.send(players[send[1]], send))
    stage.run()
    assert sorted(number for _, _, number in stage.seen) == list(range(len(sends)))
    for pair in set(sends):
        numbers = [number for *route, number in stage.seen if tuple(route) == pair]
        assert numbers == sorted(numbers)


def test_a_message_to_oneself_arrives_after_the_message_at_hand(stage: Stage) -> None:
    player = stage.create()

    def note_twice(me: Any) -> None:
        me.send(me.myAddress, Note("later"))
        me.node.append(Note("now"))

    stage.play(player, note_twice)
    assert stage.seen == [Note("now"), Note("later")]


def test_a_message_arrives_as_the_object_that_was_sent(stage: Stage) -> None:
    note = Note("one")
    stage.play(stage.create(), note)
    assert stage.seen[0] is note


def test_the_receiver_sees_who_sent(stage: Stage) -> None:
    player = stage.create()
    stage.play(player, lambda me: me.send(stage.audience, Note("hello")))
    assert stage.mail == [(Note("hello"), player)]


def test_a_flooded_actor_does_not_keep_others_waiting(stage: Stage) -> None:
    flooded, other = stage.create(), stage.create()
    for number in range(100):
        stage.send(flooded, number)
    stage.send(other, Note("mine"))
    stage.run()
    assert stage.seen.index(Note("mine")) <= 1


def test_a_chatty_pair_lets_timers_ring() -> None:
    stage = Stage(EngineLimits(slice_messages=8))
    first, second = stage.create(), stage.create()

    def chat(me: Any) -> None:
        if "rung" not in stage.seen:
            me.send(second if me.myAddress == first else first, chat)

    stage.send(first, chat)
    stage.scheduler.call_later(0.0, lambda: stage.seen.append("rung"))
    stage.run()
    assert "rung" in stage.seen


def test_a_slice_ends_when_its_time_is_up() -> None:
    stage = Stage(EngineLimits(slice_messages=1_000, slice_s=0.0))
    player = stage.create()
    for number in range(100):
        stage.send(player, number)
    read: list[int] = []
    stage.scheduler.call_soon(lambda: read.append(len(stage.seen)))
    stage.run()
    assert read == [1]


def test_a_slice_ends_when_the_loop_is_to_have_a_turn(stage: Stage) -> None:
    player = stage.create()
    for act in (1, lambda _: stage.base.yield_soon(), 2, 3):
        stage.send(player, act)
    read: list[list[int]] = []
    stage.scheduler.call_soon(lambda: read.append(list(stage.seen)))
    stage.run()
    assert (read, stage.seen) == ([[1]], [1, 2, 3])


def test_yielding_while_no_message_is_at_hand_changes_nothing(stage: Stage) -> None:
    player = stage.create()
    stage.base.yield_soon()
    for number in range(3):
        stage.send(player, number)
    read: list[list[int]] = []
    stage.scheduler.call_soon(lambda: read.append(list(stage.seen)))
    stage.run()
    assert read == [[0, 1, 2]]


def test_a_full_mailbox_sends_what_is_too_much_to_dead_letters(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = Stage(EngineLimits(mailbox=2))
    player = stage.create()
    for number in range(5):
        stage.send(player, number)
    stage.run()
    assert stage.seen == [0, 1]
    assert stage.base.counters().dead_letters == 3
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_a_full_mailbox_still_takes_an_exit_request() -> None:
    stage = Stage(EngineLimits(mailbox=1))
    player = stage.create()
    stage.send(player, Note("one"))
    stage.play(player, ActorExitRequest())
    assert stage.alive == []


def test_mail_to_a_dead_actor_is_counted_and_shown_to_handlers(stage: Stage) -> None:
    dead, reader = stage.create(), stage.create()
    stage.play(dead, ActorExitRequest())
    stage.seen.clear()
    stage.play(reader, lambda me: me.handleDeadLetters())
    stage.play(dead, Note("lost"))
    assert stage.seen == [DeadEnvelope(dead, Note("lost"))]
    assert stage.base.counters().dead_letters == 1


def test_a_handler_that_left_gets_no_dead_letters(stage: Stage) -> None:
    dead, reader = stage.create(), stage.create()
    stage.play(dead, ActorExitRequest())
    stage.play(reader, lambda me: me.handleDeadLetters())
    stage.play(reader, lambda me: me.handleDeadLetters(False))
    stage.seen.clear()
    stage.play(dead, Note("lost"))
    assert stage.seen == []


def test_a_full_handler_of_dead_letters_ends_the_matter() -> None:
    stage = Stage(EngineLimits(mailbox=2))
    dead, reader = stage.create(), stage.create()
    stage.play(dead, ActorExitRequest())
    stage.play(reader, lambda me: me.handleDeadLetters())
    stage.seen.clear()
    for number in range(5):
        stage.send(dead, number)
    stage.run()
    assert stage.seen == [DeadEnvelope(dead, 0), DeadEnvelope(dead, 1)]
    assert stage.base.counters().dead_letters == 5 + 3


def test_unread_mail_of_an_actor_that_exits_goes_to_dead_letters(stage: Stage) -> None:
    player = stage.create()
    stage.send(player, ActorExitRequest())
    stage.send(player, Note("unread"))
    stage.run()
    assert stage.base.counters().dead_letters == 1
    assert Note("unread") not in stage.seen


def test_an_exit_request_to_a_dead_actor_is_no_dead_letter(stage: Stage) -> None:
    player = stage.create()
    stage.play(player, ActorExitRequest())
    stage.play(player, ActorExitRequest())
    assert stage.base.counters().dead_letters == 0


def test_dead_letters_are_logged_at_a_bounded_rate(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "jobx.actors.runtime.deadletters")
    player = stage.create()
    stage.play(player, ActorExitRequest())
    for number in range(100):
        stage.send(player, number)
    assert len(caplog.records) == 10
    stage.scheduler.advance(1.0)
    stage.send(player, 100)
    assert caplog.records[-1].getMessage() == f"{player} did not get a int"
    assert len(caplog.records) == 11


def test_an_endpoint_gets_mail_until_it_is_closed(stage: Stage) -> None:
    got: list[Any] = []
    address = stage.base.endpoint(lambda message, _: got.append(message))
    stage.play(address, Note("one"))
    stage.base.close_endpoint(address)
    stage.play(address, Note("two"))
    assert got == [Note("one")]
    assert stage.base.counters().dead_letters == 1


def test_an_endpoint_outlives_a_callback_that_fails(stage: Stage) -> None:
    got: list[Any] = []

    def callback(message: Note, _: object) -> None:
        got.append(message)
        raise ValueError(message.text)

    address = stage.base.endpoint(callback)
    stage.play(address, Note("one"))
    stage.play(address, Note("two"))
    assert got == [Note("one"), Note("two")]
    assert [answer.poisonMessage for answer in stage.answers] == got


def test_an_endpoint_may_close_itself_and_fail(stage: Stage) -> None:
    def callback(*_: object) -> None:
        stage.base.close_endpoint(address)
        raise ValueError("boom")

    address = stage.base.endpoint(callback)
    stage.play(address, Note("one"))
    assert len(stage.answers) == 1


def test_an_actor_cannot_send_to_what_is_no_address(stage: Stage) -> None:
    player = stage.create()
    stage.play(player, lambda me: me.send("n1/7/1", Note("one")))
    assert "InvalidActorAddress" in stage.answers[0].details


def test_the_counters_tell_what_happened(stage: Stage) -> None:
    stage.play(stage.create(Player), Note("one"))
    counters = stage.base.counters()
    assert (counters.created, counters.delivered, counters.failed) == (1, 1, 0)
