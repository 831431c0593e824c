"""Actors and their mail between two nodes."""

from __future__ import annotations

from typing import Any

from thespian.actors import ActorExitRequest, ChildActorExited

from jobx.actors.bridge import codec
from jobx.actors.messages import Discard, Lost, RequestKey, Run, TakenBack
from jobx.actors.runtime.failure import ChildFailed, ChildLost
from jobx.model import Failure
from tests.support.work import map_work
from tests.unit.actors.bridge.two_nodes import WORKFLOW, Parent, Two, names, two

__all__ = ["two"]


def test_a_child_is_born_on_the_other_node(two: Two) -> None:
    run = Run(1, RequestKey(WORKFLOW, "r"), map_work())
    two.child(run)
    assert two.b.seen == [("born", run)]
    assert (names(two.a), names(two.b)) == (["Parent", "Child"], ["Child"])


def test_parent_and_child_write_to_each_other(two: Two) -> None:
    two.play(two.child(), Discard(7))
    assert two.b.seen[1:] == [Discard(7)]
    assert two.a.seen == [TakenBack(1, 7)]


def test_a_child_writes_to_nobody_but_its_parent(two: Two) -> None:
    child = two.child()
    other = two.a.base.newPrimaryActor(Parent)
    (end,) = two.b.bridge._ends
    two.b.bridge._put(end, codec.mail(other, TakenBack(1, 7), child))
    two.b.bridge._put(end, codec.mail(two.parent, TakenBack(1, 8), child))
    two.run()
    assert two.a.seen == [TakenBack(1, 8)]


def test_mail_comes_in_the_order_in_which_it_was_sent(two: Two) -> None:
    child = two.child()

    def send_all(me: Any) -> None:
        for number in range(1000):
            me.send(child, TakenBack(1, number))

    two.play(two.parent, send_all)
    assert [message.first for message in two.b.seen[1:]] == list(range(1000))


def test_a_parent_hears_when_its_child_fails(two: Two) -> None:
    two.play(two.child(), Lost(1, None, Failure(kind="lost", type="ExecutorLost", message="")))
    (notice,) = two.a.seen
    assert isinstance(notice, ChildFailed)
    assert notice.reason == "ValueError: boom"
    assert (names(two.a), names(two.b)) == (["Parent"], [])


def test_a_child_exits_when_its_parent_tells_it_to(two: Two) -> None:
    two.play(two.child(), ActorExitRequest())
    assert [type(message) for message in two.a.seen] == [ChildActorExited]
    assert names(two.b) == []


def test_a_child_exits_with_its_parent(two: Two) -> None:
    two.child()
    two.play(two.parent, ActorExitRequest())
    assert (names(two.a), names(two.b)) == ([], [])
    assert (two.a.state.children, two.b.state.hosted) == (0, 0)


def test_a_closed_bridge_is_silent(two: Two) -> None:
    two.child()
    two.b.bridge.close()
    two.run(1000.0)
    assert [type(message) for message in two.a.seen] == [ChildLost]
