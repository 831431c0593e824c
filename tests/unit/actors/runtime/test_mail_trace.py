"""Traces of messages: what they show, when they end, and that nothing is left of them."""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec
import pytest

from jobx.actors.runtime import mail_trace
from jobx.actors.runtime.actor_filter import ActorFilter
from jobx.actors.runtime.mail_trace import MailTraces, size_of
from jobx.errors import Overloaded
from tests.unit.actors.runtime.stage import Note, Player, Stage, fail


class Quiet(Player):
    """Another class of actors."""


def test_a_trace_has_types_sizes_and_times_but_no_values(stage: Stage) -> None:
    address, traces = stage.create(), MailTraces(stage.base)
    trace = traces.begin(ActorFilter(), None, 10)
    stage.send(address, Note("secret"))
    stage.scheduler._now += 2.0
    stage.run()
    (handled,) = trace.messages
    assert handled._asdict() == {
        "began_s": 2.0,
        "receiver": str(address),
        "class_name": "Player",
        "message": "Note",
        "size_bytes": 6,
        "size_is_least": False,
        "sender": str(stage.audience),
        "sender_class": "Endpoint",
        "waited_s": 2.0,
        "took_s": 0.0,
        "failed": False,
    }


def test_a_trace_ends_by_itself_when_it_is_full(stage: Stage) -> None:
    address, traces = stage.create(), MailTraces(stage.base)
    ended: list[int] = []
    trace = traces.begin(ActorFilter(), None, 3, lambda: ended.append(1))
    for number in range(5):
        stage.play(address, Note(str(number)))
    assert (len(trace.messages), ended, len(traces)) == (3, [1], 0)
    assert stage.base.step == stage.base.run_next


def test_without_a_trace_messages_are_handled_by_the_engine_itself(stage: Stage) -> None:
    traces = MailTraces(stage.base)
    assert stage.base.step == stage.base.run_next
    trace = traces.begin(ActorFilter(), None, 3)
    assert stage.base.step != stage.base.run_next
    traces.end(trace)
    traces.end(trace)
    assert stage.base.step == stage.base.run_next


def test_two_traces_at_once_see_what_each_asked_for(stage: Stage) -> None:
    first, second, traces = stage.create(), stage.create(Quiet), MailTraces(stage.base)
    one = traces.begin(ActorFilter(class_name="Quiet"), None, 10)
    all_of_them = traces.begin(ActorFilter(), None, 10)
    only = traces.begin(ActorFilter(), stage.base.find(first.addressDetails), 10)
    stage.play(first, Note("a"))
    stage.play(second, Note("b"))
    traces.end(all_of_them)
    stage.play(second, Note("c"))
    seen = [len(trace.messages) for trace in (one, all_of_them, only)]
    assert seen == [2, 2, 1]
    assert [type(one).__name__ for one in stage.seen] == ["Note"] * 3


def test_a_message_that_ends_its_actor_is_marked(stage: Stage) -> None:
    address, traces = stage.create(), MailTraces(stage.base)
    trace = traces.begin(ActorFilter(), None, 10)
    stage.play(address, fail)
    assert trace.messages[0].failed


def test_traces_are_bounded(stage: Stage) -> None:
    traces = MailTraces(stage.base)
    for _ in range(mail_trace.MOST_TRACES):
        traces.begin(ActorFilter(), None, 1)
    with pytest.raises(Overloaded, match="8 traces of actors are on"):
        traces.begin(ActorFilter(), None, 1)


class Held(msgspec.Struct):
    """A message with parts."""

    text: str
    parts: list[Any]


@pytest.mark.parametrize(
    ("message", "size"),
    [
        ("text", (4, False)),
        (b"1234", (4, False)),
        (5, (8, False)),
        (None, (8, False)),
        (Held("abc", [b"12", 1]), (13, False)),
        (Note("abcd"), (4, False)),
        ({"a": "b", "c": {"d": b"e"}}, (5, False)),
        (deque(["a", ("b", {"c"})]), (3, False)),
        (object(), (8, False)),
        (["x"] * 499, (499, False)),
    ],
)
def test_the_size_of_a_message_is_that_of_its_parts(message: object, size: object) -> None:
    assert size_of(message) == size


def test_the_size_of_a_huge_or_endless_message_is_a_least_one() -> None:
    endless: list[Any] = ["a"]
    endless.append(endless)
    assert size_of(["x"] * 1_000_000)[1] is True
    assert size_of(endless)[1] is True
    assert size_of(dict.fromkeys(range(10000), "x"))[1] is True
