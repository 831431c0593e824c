from __future__ import annotations

import contextlib
import datetime
import decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from thespian.actors import ActorExitRequest, ChildActorExited

from jobx import values
from jobx.actors import messages
from jobx.actors.bridge import codec
from jobx.actors.bridge.codec import Exit, Exited, Mail, Spawn
from jobx.actors.messages import (
    Discard,
    Drain,
    Lost,
    Pull,
    Ran,
    RequestKey,
    Run,
    SuspendedLost,
    TakenBack,
)
from jobx.actors.runtime.address import Address
from jobx.actors.runtime.failure import ChildFailed, ChildLost
from jobx.errors import FrameError, InternalError
from jobx.model import Failure
from jobx.segments import FailedRun, MappedChunk, Reduced, Returned, Unstarted, pack_notes
from tests.support.work import map_work, pull_work, reduce_work

KEY = RequestKey("w", "r")
PARENT, CHILD = Address("a", 1, 7), Address("b", 2, "a/1/1")
FAILURE = Failure(kind="author", type="ValueError", message="wrong", input="['k', 1]")
WIRE = (1, 5, b"body!", None, 0, b"\1\0\0\0", (1, 2), b"", 3)
NOTES = pack_notes({3: {"output": "seen", "session": {"k": decimal.Decimal("1.5")}}})
#: Values of authors that travel in work.
SESSION = {
    "big": 1 << 80,
    "money": decimal.Decimal("1.10"),
    "at": datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC),
    "list": [None, 1.5, "ü"],
}
MESSAGES = [
    Run(1, KEY, map_work(attempts={3: 2}, pairs=b"\0\xff")),
    Run(1, KEY, reduce_work(inputs=[WIRE], session=values.pack(SESSION))),
    Pull(2, KEY, pull_work(3)),
    Discard(3),
    Ran(
        4,
        [
            Returned(0, 2, [WIRE], True, b"\0" * 24, NOTES),
            MappedChunk(2, "s", WIRE, "digest", True, 5),
            Reduced(3, 0, [WIRE], 7),
            FailedRun(4, FAILURE, 1, stage="reducer"),
            Unstarted(5, 10),
        ],
        "b",
    ),
    TakenBack(5, 100),
    Lost(6, None, FAILURE, "combiner"),
    SuspendedLost((1, 2), FAILURE),
]


def mailed(message: Any) -> Any:
    item = codec.read_item(codec.mail(PARENT, message, CHILD))
    assert isinstance(item, Mail)
    assert (Address(*item.target), Address(*item.sender)) == (PARENT, CHILD)
    return codec.read_message(item.message)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_arrives_as_it_was_sent(message: Any) -> None:
    assert mailed(message) == message


def test_notes_of_authors_arrive_unread() -> None:
    (segment,) = mailed(Ran(1, [Returned(0, 1, [WIRE], True, b"", NOTES)], "b")).segments
    assert bytes(segment.notes) == bytes(NOTES)


def test_every_message_with_a_tag_can_be_sent() -> None:
    tagged = {
        kind
        for kind in vars(messages).values()
        if isinstance(kind, type)
        and kind.__module__ == messages.__name__
        and issubclass(kind, msgspec.Struct)
        and kind.__struct_config__.tag is not None
    }
    assert tagged == {type(message) for message in MESSAGES}


def test_other_messages_stay_on_their_node() -> None:
    with pytest.raises(InternalError, match="Drain"):
        codec.mail(PARENT, Drain(), CHILD)


def test_a_birth_carries_its_arguments() -> None:
    item = codec.read_item(codec.spawn(CHILD, PARENT, "batch", (MESSAGES[0],)))
    assert isinstance(item, Spawn)
    assert (Address(*item.child), Address(*item.parent), item.kind) == (CHILD, PARENT, "batch")
    assert [codec.read_message(argument) for argument in item.arguments] == [MESSAGES[0]]


@pytest.mark.parametrize("is_recursive", [True, False])
def test_an_exit_request_travels(*, is_recursive: bool) -> None:
    request = ActorExitRequest(recursive=is_recursive)
    item = codec.read_item(codec.mail(CHILD, request, PARENT))
    assert item == Exit(CHILD.addressDetails, is_recursive)


@pytest.mark.parametrize(
    "notice",
    [ChildActorExited(CHILD), ChildFailed(CHILD, "ValueError", "ValueError: boom", "Traceback")],
)
def test_the_end_of_a_child_travels(notice: ChildActorExited) -> None:
    item = codec.read_item(codec.mail(PARENT, notice, CHILD))
    assert isinstance(item, Exited)
    assert vars(codec.notice(item)) == vars(notice)


def test_a_child_whose_node_could_not_read_its_mail_is_lost() -> None:
    notice = ChildFailed(CHILD, "FrameError", "it knows no such message", "")
    item = codec.read_item(codec.mail(PARENT, notice, CHILD))
    assert isinstance(item, Exited)
    assert isinstance(codec.notice(item), ChildLost)


@given(body=st.binary(max_size=60))
def test_any_bytes_are_an_item_or_a_frame_error(body: bytes) -> None:
    with contextlib.suppress(FrameError):
        codec.read_item(body)


@given(body=st.binary(max_size=60))
def test_any_bytes_are_a_message_or_a_frame_error(body: bytes) -> None:
    with contextlib.suppress(FrameError):
        codec.read_message(msgspec.Raw(body))


@pytest.mark.parametrize("message", [["unheard-of", 1], ["lost", 1], ["run", 1, ["w"], b"", [], 1]])
def test_a_message_of_another_form_is_named(message: list[Any]) -> None:
    with pytest.raises(FrameError, match="a message of another node"):
        codec.read_message(msgspec.Raw(msgspec.msgpack.encode(message)))


def test_an_item_of_a_later_version_is_known_as_such() -> None:
    body = msgspec.msgpack.encode(["praise", 1, {"of": "all"}])
    assert codec.read_item(body) == codec.Unknown("praise")


def test_further_fields_of_a_later_version_are_ignored() -> None:
    assert codec.read_item(msgspec.msgpack.encode(["offer", 3, "new"])) == codec.Offer(3)


@pytest.mark.parametrize("fields", [["offer", "many"], ["offer"], [], [7], ["x" * 65], "offer"])
def test_an_item_that_makes_no_sense_is_refused(fields: Any) -> None:
    with pytest.raises(FrameError):
        codec.read_item(msgspec.msgpack.encode(fields))
