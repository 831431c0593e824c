"""Links of workflows that a node forgets or leaves."""

from __future__ import annotations

import pytest

from jobx.actors.bridge.ends import TURN_LINKS
from jobx.actors.bridge.link import MAX_PROBE_S, Link
from jobx.actors.bridge.transport import Lane
from jobx.actors.runtime.failure import ChildLost
from tests.unit.actors.bridge.two_nodes import PATIENCE_S, WORKFLOW, Two, names, two

__all__ = ["two"]


def test_a_link_to_a_node_that_was_forgotten_begins_after_its_former_epoch(two: Two) -> None:
    two.child()
    before = two.a.bridge._ends[Lane("b", WORKFLOW)].link.epoch
    two.a.bridge.keep(())
    two.run(100.0)
    assert two.a.bridge.states() == []
    assert [type(message) for message in two.a.seen] == [ChildLost]
    two.a.bridge.connect(Lane("b", WORKFLOW))
    two.run(2 * MAX_PROBE_S)
    assert two.a.bridge._ends[Lane("b", WORKFLOW)].link.epoch > before
    assert names(two.b) == []
    two.child()
    assert names(two.b) == ["Child"]


def test_a_workflow_that_is_left_has_no_link_and_the_peer_hears_of_it(two: Two) -> None:
    assert two.a.bridge.leave(WORKFLOW)
    two.run()
    assert (two.a.bridge.states(), two.b.state.is_up) == ([], False)
    two.a.bridge.open(WORKFLOW)
    two.a.bridge.connect(Lane("b", WORKFLOW))
    two.run()
    assert (two.a.state.is_up, two.b.state.is_up) == (True, True)


def test_nothing_is_sent_in_a_workflow_once_the_transport_has_left_it(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    bridge, done = two.a.bridge, list[str]()
    for name in ("send", "leave"):
        monkeypatch.setattr(bridge._transport, name, lambda *_, name=name: done.append(name))
    assert bridge.leave(WORKFLOW)
    two.run()
    assert done == ["send", "leave"]


@pytest.mark.parametrize("is_back", [False, True])
def test_a_child_that_is_on_its_way_to_a_node_that_leaves_the_workflow_is_lost(
    two: Two, *, is_back: bool
) -> None:
    two.network.fate = lambda *_: (1.0,)
    two.child()
    assert two.b.bridge.leave(WORKFLOW)
    if is_back:  # before the child arrives, which is for an earlier link
        two.b.bridge.open(WORKFLOW)
        two.b.bridge.connect(Lane("a", WORKFLOW))
    two.run(2 * MAX_PROBE_S)
    assert [type(message) for message in two.a.seen] == [ChildLost]
    assert (names(two.b), two.a.state.is_up) == ([], is_back)


@pytest.mark.parametrize("leaves", ["a", "b"])
def test_a_workflow_is_not_left_while_actors_depend_on_a_link(two: Two, leaves: str) -> None:
    two.child()
    assert not {"a": two.a, "b": two.b}[leaves].bridge.leave(WORKFLOW)
    two.run()
    assert names(two.b) == ["Child"]


MANY = [f"w{number}" for number in range(3 * TURN_LINKS)]


def test_a_way_that_opens_has_only_the_peers_of_its_workflow_asked_again(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    bridge = two.a.bridge
    for workflow in MANY:
        bridge.connect(Lane("c", workflow))
    two.run()
    retried: list[Link] = []
    monkeypatch.setattr(Link, "retry", lambda me: retried.append(me))
    for workflow in MANY:
        bridge._retry(workflow)
    assert retried == [bridge._ends[Lane("c", workflow)].link for workflow in MANY]
    bridge._retry(None)
    assert len(retried) == 2 * len(MANY)


def test_many_links_send_some_in_a_turn_of_the_loop(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    bridge, sent = two.a.bridge, list[Lane]()
    monkeypatch.setattr(bridge._transport, "send", lambda lane, _: sent.append(lane))
    for workflow in MANY:
        bridge.connect(Lane("c", workflow))
    counts = []
    while len(sent) < len(MANY):
        two.scheduler._ready.popleft()()
        counts.append(len(sent))
    assert counts == [TURN_LINKS, 2 * TURN_LINKS, 3 * TURN_LINKS]
    assert sent == [Lane("c", workflow) for workflow in MANY]


def test_only_the_links_that_ask_are_looked_at_when_the_supervisor_answers(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    for workflow in MANY:
        two.a.bridge.connect(Lane("c", workflow))
    two.child()
    answered: list[Link] = []
    real = Link.answer
    monkeypatch.setattr(Link, "answer", lambda me, now: answered.append(me) or real(me, now))
    two.b.hangs = True
    two.run(PATIENCE_S / 2)
    assert answered and {*answered} == {two.a.bridge._ends[Lane("b", WORKFLOW)].link}
