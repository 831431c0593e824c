"""Two engines in one process, with their bridges."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from thespian.actors import ActorAddress, ActorExitRequest, ChildActorExited

from jobx.actors.bridge import codec, stream
from jobx.actors.bridge.bridge import Bridge
from jobx.actors.bridge.codec import Offer
from jobx.actors.bridge.ends import LocalEnd
from jobx.actors.bridge.envelope import Envelope, Letter, Seal
from jobx.actors.bridge.link import MAX_PROBE_S, PROBE_S
from jobx.actors.bridge.stream import WINDOW_BYTES
from jobx.actors.bridge.transport import Lane
from jobx.actors.messages import Discard, Lost, RequestKey, Run, TakenBack
from jobx.actors.runtime.actor import LoopActor
from jobx.actors.runtime.failure import ChildFailed, ChildLost
from jobx.actors.runtime.placement import Creation
from jobx.actors.runtime.system import LoopSystemBase
from jobx.model import Failure
from tests.support.memory_transport import MemoryNetwork, MemoryTransport
from tests.support.virtual_time import VirtualScheduler
from tests.support.work import map_work

WORKFLOW, CLUSTER = "w", "test"
PATIENCE_S = 5.0
SEAL = Seal(b"k" * 32, CLUSTER)


class Child(LoopActor):
    """Notes what it gets; answers Discard with TakenBack; fails at Lost."""

    may_leave = True
    node: list[Any]

    def __init__(self, *arguments: Any) -> None:
        super().__init__()
        self.node.append(("born", *arguments))

    def receiveMessage(self, message: Any, sender: ActorAddress) -> None:  # noqa: N802 - Thespian's
        self.node.append(message)
        if isinstance(message, Discard):
            self.send(self.parent, TakenBack(1, message.vertex))
        elif isinstance(message, Lost):
            raise ValueError("boom")


class Parent(LoopActor):
    """Does what the functions say that it gets, and notes all else."""

    node: list[Any]

    def receiveMessage(self, message: Any, sender: ActorAddress) -> None:  # noqa: N802 - Thespian's
        if callable(message):
            message(self)
        else:
            self.node.append(message)


class Node:
    """An engine, its bridge, and all that its actors saw."""

    def __init__(self, network: MemoryNetwork, scheduler: Any, name: str, life: int = 1) -> None:
        self.seen: list[Any] = []
        self.hangs = False
        self.asked: list[Callable[[], None]] = []
        self.peer = {"a": "b", "b": "a"}[name]
        self.base = LoopSystemBase(
            scheduler, node_id=name, incarnation=life, capabilities={}, services=self.seen
        )
        self.bridge = Bridge(
            self.base,
            MemoryTransport(network, name),
            SEAL,
            LocalEnd(name, life, CLUSTER, PATIENCE_S),
            kinds={"child": Child},
            choose=self._choose,
            probe=self._ask_supervisor,
        )
        self.base.placement = self.bridge
        self.bridge.open(WORKFLOW)
        self.bridge.connect(Lane(self.peer, WORKFLOW))

    def _choose(self, creation: Creation) -> Lane | None:
        return Lane(self.peer, WORKFLOW)

    def _ask_supervisor(self, answered: Callable[[], None]) -> None:
        if self.hangs:
            self.asked.append(answered)
        else:
            answered()

    @property
    def state(self) -> Any:
        return self.bridge.states()[0]


class Two:
    """Two nodes; a parent on the first."""

    def __init__(self) -> None:
        self.scheduler = VirtualScheduler()
        self.network = MemoryNetwork(self.scheduler)
        self.a, self.b = (Node(self.network, self.scheduler, name) for name in "ab")
        self.run(PROBE_S)
        self.parent = self.a.base.newPrimaryActor(Parent)

    def run(self, for_s: float = 0.1) -> None:
        self.scheduler.advance(for_s)

    def play(self, target: ActorAddress, message: Any, for_s: float = 0.1) -> None:
        self.a.base.deliver(target, message, self.parent)
        self.run(for_s)

    def child(self, *arguments: Any) -> ActorAddress:
        made: list[ActorAddress] = []
        self.play(self.parent, lambda me: made.append(me.create(Child, *arguments)))
        return made[0]

    def cut(self, *, is_cut: bool) -> None:
        self.network.fate = lambda *_: () if is_cut else (0.0,)

    def restart_b(self) -> None:
        self.b.bridge.close()
        self.b = Node(self.network, self.scheduler, "b", life=2)


@pytest.fixture
def two() -> Two:
    return Two()


def names(node: Node) -> list[str]:
    return [record.name for record in node.base.tree()]


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
    (end,) = two.b.bridge._ends.values()
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


def test_a_message_that_may_not_leave_ends_its_sender(two: Two) -> None:
    child = two.child()
    two.play(two.parent, lambda me: me.send(child, object()))
    assert names(two.a) == [] and names(two.b) == []


def put(node: Node, item: list[Any]) -> None:
    """Send what another version of JobX might send."""
    end = node.bridge._ends[Lane(node.peer, WORKFLOW)]
    node.bridge._put(end, msgspec.msgpack.encode(item))


def test_a_parent_hears_that_the_peer_does_not_know_a_kind(two: Two) -> None:
    two.a.bridge._names[Child] = "unheard-of"
    two.child()
    (notice,) = two.a.seen
    assert "unheard-of" in notice.reason


def test_a_parent_hears_that_the_peer_cannot_read_the_arguments(two: Two) -> None:
    told: list[Any] = []
    two.a.bridge._gone = lambda _, notice: told.append(notice)  # type: ignore[method-assign]  # hears it
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


def test_a_closed_bridge_is_silent(two: Two) -> None:
    two.child()
    two.b.bridge.close()
    two.run(1000.0)
    assert [type(message) for message in two.a.seen] == [ChildLost]


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
