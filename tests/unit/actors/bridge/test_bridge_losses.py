"""What becomes of children when a node or the network between two is lost."""

from __future__ import annotations

import pytest

from jobx.actors.bridge.link import MAX_PROBE_S, PROBE_S
from jobx.actors.bridge.stream import WINDOW_BYTES
from jobx.actors.bridge.transport import Lane
from jobx.actors.messages import Discard, RequestKey, Run
from jobx.actors.runtime.failure import ChildLost
from tests.support.work import map_work
from tests.unit.actors.bridge.two_nodes import PATIENCE_S, WORKFLOW, Node, Two, names, two

__all__ = ["two"]


@pytest.mark.parametrize("silent", ["a", "b"])
def test_a_cut_network_ends_children_at_both_ends(two: Two, silent: str) -> None:
    two.child()
    two.network.fate = lambda source, _: () if source == silent else (0.0,)
    two.run(3 * PATIENCE_S)
    two.cut(is_cut=False)
    two.run(2 * MAX_PROBE_S)
    assert [type(message) for message in two.a.seen] == [ChildLost]
    assert (names(two.a), names(two.b)) == (["Parent"], [])
    assert two.a.state.is_up and two.b.state.is_up


def test_a_restart_of_the_peer_ends_children_there(two: Two) -> None:
    two.child()
    two.restart_b()
    two.run(2 * PROBE_S)
    assert [type(message) for message in two.a.seen] == [ChildLost]
    assert two.a.state.is_up


def test_a_restart_of_the_parents_node_ends_its_children(two: Two) -> None:
    two.child()
    two.a.bridge.close()
    two.a = Node(two.network, two.scheduler, "a", life=2)
    two.run(2 * PROBE_S)
    assert names(two.b) == []


def test_a_lost_registration_ends_children_there_at_once(two: Two) -> None:
    two.child()
    two.a.bridge.lose("b", 1, "its lease ended")
    two.run(0.01)
    (notice,) = two.a.seen
    assert notice.reason == "b: its lease ended"
    two.run(10.0)
    assert not two.a.state.is_up


def test_a_node_whose_supervisor_hangs_is_lost_and_gets_nothing(two: Two) -> None:
    two.child()
    two.b.hangs = True
    two.run(2 * PATIENCE_S)
    (notice,) = two.a.seen
    assert isinstance(notice, ChildLost)
    assert "did not answer" in notice.reason
    assert not two.a.bridge.has_room(Lane("b", WORKFLOW))
    two.run(100.0)
    assert len(two.b.asked) == 1

    two.b.hangs = False
    two.b.asked.pop()()
    two.run(2 * MAX_PROBE_S)
    assert two.a.bridge.has_room(Lane("b", WORKFLOW))


def test_nothing_of_a_lost_child_is_heard(two: Two) -> None:
    child = two.child()
    two.a.bridge.lose("b", 1, "its lease ended")
    two.run()
    two.a.seen.clear()
    two.play(child, Discard(7))
    two.play(child, "anything")
    assert two.a.seen == []
    letters = two.a.base.dead_letters.last()
    assert [(one.message, one.target) for one in letters] == [("str", child)]


def test_an_actor_stays_while_the_peer_is_not_there(two: Two) -> None:
    two.cut(is_cut=True)
    two.a.bridge.lose("b", 1, "its lease ended")
    two.child()
    assert (two.a.seen, two.b.seen) == ([("born",)], [])


def test_an_actor_stays_while_too_much_waits_for_the_peer(two: Two) -> None:
    child = two.child()
    two.cut(is_cut=True)
    work = map_work(pairs=bytes(WINDOW_BYTES))
    two.play(child, Run(1, RequestKey(WORKFLOW, "r"), work))
    two.child()
    assert two.a.seen == [("born",)]
