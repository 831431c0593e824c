"""What a bridge does with mail that cannot be sent, read or taken."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
import pytest
from thespian.actors import ChildActorExited

from jobx.actors.bridge import stream
from jobx.actors.bridge.codec import Offer
from jobx.actors.bridge.envelope import Envelope, Letter, Seal
from jobx.actors.bridge.link import PROBE_S
from jobx.actors.bridge.transport import Lane
from jobx.actors.messages import Discard
from jobx.actors.runtime.failure import ChildLost
from tests.unit.actors.bridge.two_nodes import (
    CLUSTER,
    SEAL,
    WORKFLOW,
    Child,
    Node,
    Parent,
    Two,
    names,
    two,
)

__all__ = ["two"]


def test_a_message_that_may_not_leave_ends_its_sender(two: Two) -> None:
    child = two.child()
    two.play(two.parent, lambda me: me.send(child, object()))
    assert names(two.a) == [] and names(two.b) == []


def put(node: Node, item: list[Any]) -> None:
    """Send what another version of JobX might send."""
    end = node.bridge._ends[Lane(node.peer, WORKFLOW)]
    node.bridge._put(end, msgspec.msgpack.encode(item))


def test_a_parent_hears_that_the_peer_does_not_know_a_kind(two: Two) -> None:
    two.a.bridge.families._names[Child] = "unheard-of"
    two.child()
    (notice,) = two.a.seen
    assert "unheard-of" in notice.reason


def test_a_parent_hears_that_the_peer_cannot_read_the_arguments(two: Two) -> None:
    told: list[Any] = []
    two.a.bridge.families._gone = lambda _, notice: told.append(notice)  # type: ignore[method-assign]  # hears it
    put(two.a, ["spawn", ["b", 1, "a/1/x"], two.parent.addressDetails, "child", [["unheard-of"]]])
    two.run()
    assert ["unheard-of" in notice.reason for notice in told] == [True]
    assert (names(two.b), two.b.state.hosted) == ([], 0)


@pytest.mark.parametrize("is_to_child", [True, False])
def test_a_child_is_ended_for_mail_that_cannot_be_read(two: Two, *, is_to_child: bool) -> None:
    child = two.child()
    ends = [child.addressDetails, two.parent.addressDetails]
    target, sender = ends if is_to_child else reversed(ends)
    put(two.a if is_to_child else two.b, ["mail", target, sender, ["unheard-of", 1]])
    two.run()
    assert (names(two.a), names(two.b)) == (["Parent"], [])
    assert [isinstance(message, ChildActorExited) for message in two.a.seen] == [True]


def test_an_item_that_cannot_be_read_breaks_the_link(two: Two) -> None:
    two.child()
    put(two.a, ["offer", "many"])
    two.run(2 * PROBE_S)
    assert [type(message) for message in two.a.seen] == [ChildLost]
    assert two.b.state.breaks == 1


def test_nothing_that_follows_what_broke_the_link_is_handled(two: Two) -> None:
    put(two.a, ["offer", "many"])
    put(two.a, ["spawn", ["b", 1, "a/1/x"], two.parent.addressDetails, "child", []])
    two.run(2 * PROBE_S)
    assert two.b.seen == []
    assert two.b.state.breaks == 1


def test_a_link_breaks_over_an_item_that_could_not_be_handled(
    two: Two, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("boom")

    two.b.bridge._heard = fail
    two.child()
    two.a.bridge.tell(Lane("b", WORKFLOW), Offer(1))
    two.run(2 * PROBE_S)
    assert [type(message) for message in two.a.seen] == [ChildLost]
    assert two.b.state.is_up
    assert "boom" in caplog.text


def test_a_link_that_cannot_take_mail_breaks_and_its_writer_lives(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = two.child()
    monkeypatch.setattr(stream, "BACKLOG_BYTES", 10)
    two.play(two.parent, lambda me: me.send(child, Discard(7)))
    assert [type(message) for message in two.a.seen] == [ChildLost]
    assert names(two.a) == ["Parent"]


def test_an_actor_that_a_link_cannot_take_is_born_here(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "BACKLOG_BYTES", 10)
    two.child()
    assert (two.a.seen, two.b.seen) == ([("born",)], [])


def test_nobody_creates_an_actor_under_another_nodes_name(two: Two) -> None:
    put(two.a, ["spawn", ["a", 1, "x"], ["a", 1, 1], "child", []])
    put(two.a, ["spawn", ["b", 1, "c/1/x"], ["c", 1, 1], "child", []])
    two.run()
    assert names(two.b) == []


@pytest.mark.parametrize("is_hosted", [False, True])
def test_nobody_creates_an_actor_in_the_place_of_another_one(two: Two, *, is_hosted: bool) -> None:
    there = two.child() if is_hosted else two.b.base.newPrimaryActor(Parent)
    before = names(two.b)
    put(two.a, ["spawn", there.addressDetails, two.parent.addressDetails, "child", []])
    two.run()
    assert names(two.b) == before
    assert two.b.seen == [("born",)] * is_hosted


def test_mail_for_actors_that_are_no_family_is_dropped(two: Two) -> None:
    stranger = two.b.base.newPrimaryActor(Parent)
    put(two.a, ["mail", stranger.addressDetails, ["a", 1, 1], ["discard", 1]])
    put(two.a, ["exit", stranger.addressDetails, True])
    two.run()
    assert two.b.seen == []
    assert names(two.b) == ["Parent"]


LETTER = Letter((1, 1), (1, 1), 0)  # type: ignore[arg-type]  # not of its kind


@pytest.mark.parametrize(
    ("datagram", "reason"),
    [
        (b"rubbish", "size"),
        (Seal(b"x" * 32, CLUSTER).close(Envelope(CLUSTER, "w", "a", "b", LETTER)), "key"),
        (SEAL.close(Envelope("other", "w", "a", "b", LETTER)), "cluster"),
        (SEAL.close(Envelope(CLUSTER, "v", "a", "b", LETTER)), "workflow"),
        (SEAL.close(Envelope(CLUSTER, "w", "c", "b", LETTER)), "node"),
        (SEAL.close(Envelope(CLUSTER, "w", "a", "c", LETTER)), "node"),
    ],
)
def test_a_bad_datagram_is_counted_and_named(
    two: Two, datagram: bytes, reason: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(100):
            two.b.bridge.receive(WORKFLOW, datagram)
    assert two.b.bridge.refused == {reason: 100}
    (record,) = caplog.records
    assert f"({reason})" in record.getMessage()


def test_what_a_later_version_sends_is_named_once_and_breaks_nothing(
    two: Two, caplog: pytest.LogCaptureFixture
) -> None:
    child = two.child()
    end = two.a.bridge._ends[Lane("b", WORKFLOW)]
    for _ in range(3):
        two.a.bridge._put(end, msgspec.msgpack.encode(["praise", 1]))
    two.run()
    told = [record.getMessage() for record in caplog.records]
    assert [text for text in told if "praise" in text] == [
        "node a sends 'praise', which this version of JobX does not know; it is ignored"
    ]
    assert two.b.state.breaks == 0
    assert two.a.bridge.children(Lane("b", WORKFLOW)) == 1
    assert child.addressDetails[0] == "b"
