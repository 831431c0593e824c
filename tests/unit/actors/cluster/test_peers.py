"""Two nodes that lend each other executors, with bridges in memory and counted executors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
from msgspec.structs import replace
from thespian.actors import ActorAddress, ActorExitRequest

from jobx.actors.bridge.bridge import Bridge
from jobx.actors.bridge.codec import Offer
from jobx.actors.bridge.ends import LocalEnd
from jobx.actors.bridge.envelope import Seal
from jobx.actors.bridge.link import MAX_PROBE_S
from jobx.actors.bridge.transport import Lane
from jobx.actors.cluster.members import Member, NodeRecord
from jobx.actors.cluster.peers import LEAVES, LOOK_S, QUIET_S, REST_S, Peers
from jobx.actors.cluster.silence import AGAIN_S, SILENT_S
from jobx.actors.executors.rebalancing import MAX_AWAY_BYTES, Away
from jobx.actors.messages import RequestKey, Run
from jobx.actors.ports import GONE_S
from jobx.actors.runtime.actor import LoopActor
from jobx.actors.runtime.address import Address
from jobx.actors.runtime.system import LoopSystemBase
from tests.support.memory_transport import MemoryNetwork, MemoryTransport
from tests.support.virtual_time import VirtualScheduler
from tests.support.work import map_work

#: How long it takes at most until a node that is back has work again.
BACK_S = 3.0


class CountedPool:
    """Two executors; work never ends by itself."""

    is_divisible = False
    kept = 0

    def __init__(self) -> None:
        self.own_slots = 2
        self.asked_back = 0
        self.work: list[ActorAddress] = []
        self.borrowed = 0
        self.idle: Callable[[], Sequence[Away]] = list
        self.lacks: set[frozenset[str]] = set()

    @property
    def own_waiting(self) -> int:
        waiting = self.work[2 * self.own_slots :]
        return sum(not Address.is_hosted(owner) for owner in waiting)

    def is_long(self, run: Run) -> bool:
        return run.work.step == "long"

    def foreign(self) -> set[tuple[str, frozenset[str]]]:
        return {("w", requires) for requires in self.lacks}

    def borrow(self, count: int, idle: Callable[[], Sequence[Away]]) -> None:
        self.borrowed, self.idle = count, idle

    def give_back(self) -> None:
        self.asked_back += 1

    def workflows(self) -> set[str]:
        return {"w" for owner in self.work if not Address.is_hosted(owner)}

    def owners(self) -> Iterable[list[ActorAddress]]:
        at_work = self.work[: 2 * self.own_slots]
        having = [at_work[number :: self.own_slots] for number in range(self.own_slots)]
        return [owners for owners in having if owners]


class Work(LoopActor):
    """A batch: it is in the pool of its node while it lives."""

    may_leave = True
    node: CountedPool

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.node.work.append(self.myAddress)

    def receiveMessage(self, message: Any, sender: ActorAddress) -> None:  # noqa: N802 - Thespian's
        self.node.work.remove(self.myAddress)


class Boss(LoopActor):
    """Does what it is told."""

    def receiveMessage(self, message: Any, sender: ActorAddress) -> None:  # noqa: N802 - Thespian's
        if callable(message):
            message(self)


class Node:
    def __init__(
        self,
        scheduler: VirtualScheduler,
        network: MemoryNetwork,
        name: str,
        offered: tuple[str, ...] = ("general",),
        life: int = 1,
    ) -> None:
        self.pool = CountedPool()
        self.more_room: list[str] = []
        base = LoopSystemBase(
            scheduler, node_id=name, incarnation=life, capabilities={}, services=self.pool
        )
        transport = MemoryTransport(network, name)
        self.peers = Peers(
            name, offered, self.pool, transport, scheduler, more_room=self.more_room.append
        )
        self.bridge = Bridge(
            base,
            transport,
            Seal(b"k" * 32, "test"),
            LocalEnd(name, life, "test"),
            kinds={"work": Work},
            choose=self.peers.choose,
            heard=self.peers.heard,
            changed=self.peers.changed,
        )
        self.peers.bridge = base.placement = self.bridge
        self.base = base
        self.boss = base.newPrimaryActor(Boss)


class Cluster:
    """Nodes that know each other, and run the workflow ``w``."""

    def __init__(self, names: str = "ab", **others: Any) -> None:
        self.scheduler = VirtualScheduler()
        network = self.network = MemoryNetwork(self.scheduler)
        offers = {name: others.get(name, ("general",)) for name in names}
        self.nodes = {
            name: Node(self.scheduler, network, name, offered) for name, offered in offers.items()
        }
        self.members = {
            name: Member(NodeRecord(1, "x:1", (), offered, 2), "t1")
            for name, offered in offers.items()
        }
        for node in self.nodes.values():
            node.peers.serve(["w"])
        self.meet()

    def meet(self) -> None:
        for node in self.nodes.values():
            node.peers.saw(dict(self.members))
        self.run(2.0)

    def run(self, for_s: float = 3 * LOOK_S) -> None:
        self.scheduler.advance(for_s)

    def begin(
        self, name: str, count: int, requires: tuple[str, ...] = ("general",), **fields: Any
    ) -> list[ActorAddress]:
        """Create batches on a node, and return their addresses."""
        made: list[ActorAddress] = []
        run = Run(1, RequestKey("w", "r"), map_work(**fields), requires)

        def create(me: Any) -> None:
            made.extend(me.create(Work, run) for _ in range(count))

        self.nodes[name].base.deliver(self.nodes[name].boss, create)
        self.run()
        return made

    def end(self, name: str, addresses: list[ActorAddress]) -> None:
        node = self.nodes[name]
        for address in addresses:
            node.base.deliver(address, "end", node.boss)
        self.run()

    def where(self, addresses: list[ActorAddress]) -> str:
        return "".join(address.addressDetails[0] for address in addresses)


def test_a_node_with_idle_executors_borrows_none() -> None:
    cluster = Cluster()
    assert cluster.where(cluster.begin("a", 2)) == "aa"
    assert cluster.nodes["a"].pool.borrowed == 0


def test_a_busy_node_borrows_idle_executors() -> None:
    cluster = Cluster()
    cluster.begin("a", 3)
    assert cluster.nodes["a"].pool.borrowed == 2
    assert cluster.nodes["a"].more_room == ["w"]
    assert cluster.nodes["a"].pool.idle() == [Away("w", frozenset({"general"}), 2)]
    assert cluster.where(cluster.begin("a", 2)) == "bb"
    assert cluster.nodes["a"].pool.idle() == []


def test_a_node_that_divides_its_work_borrows_too() -> None:
    cluster = Cluster()
    cluster.nodes["a"].pool.is_divisible = True
    cluster.begin("a", 2)
    assert cluster.nodes["a"].pool.borrowed == 2


def test_long_work_goes_elsewhere_when_what_is_idle_here_is_kept_for_short_work() -> None:
    cluster = Cluster()
    pool = cluster.nodes["a"].pool
    cluster.begin("a", 1, step="long")
    pool.kept = 1
    assert cluster.where(cluster.begin("a", 1, step="long")) == "a"  # nothing is borrowed yet
    assert pool.borrowed == 2
    assert cluster.where(cluster.begin("a", 2, step="long")) == "bb"


def test_short_work_has_the_executor_that_is_kept_for_it() -> None:
    cluster = Cluster()
    pool = cluster.nodes["a"].pool
    made = cluster.begin("a", 3, step="long")
    assert pool.borrowed == 2
    cluster.end("a", made[1:])
    pool.work, pool.kept = pool.work[:1], 1
    assert cluster.where(cluster.begin("a", 1)) == "a"


def test_a_busy_node_lends_nothing() -> None:
    cluster = Cluster()
    cluster.begin("b", 2)
    cluster.begin("a", 3)
    assert cluster.nodes["a"].pool.borrowed == 0


def test_a_batch_goes_elsewhere_when_all_executors_here_are_at_work_for_others() -> None:
    cluster = Cluster("abc")
    cluster.begin("b", 3)
    assert sorted(cluster.where(cluster.begin("b", 4))) == ["a", "a", "c", "c"]
    cluster.nodes["c"].pool.work.clear()  # idle again, while a's executors are lent
    cluster.begin("a", 1)
    assert cluster.nodes["a"].pool.borrowed > 0
    assert cluster.where(cluster.begin("a", 1)) == "c"


def test_a_node_whose_work_has_waited_for_long_borrows_executors_that_become_idle() -> None:
    cluster = Cluster()
    theirs = cluster.begin("b", 2)
    cluster.begin("a", 3)
    cluster.run(3 * QUIET_S)
    assert cluster.nodes["a"].pool.borrowed == 0
    cluster.end("b", theirs)
    assert cluster.nodes["a"].pool.borrowed == 2


def test_idle_executors_are_shared_out() -> None:
    cluster = Cluster("abc")
    cluster.begin("a", 3)
    cluster.begin("b", 3)
    assert cluster.nodes["a"].pool.borrowed + cluster.nodes["b"].pool.borrowed == 2


def test_what_is_not_wanted_any_more_is_given_back() -> None:
    cluster = Cluster()
    made = cluster.begin("a", 3)
    cluster.nodes["a"].pool.work.clear()
    cluster.run()
    assert len(made) == 3
    assert cluster.nodes["a"].pool.borrowed == 0


def test_a_lost_node_lends_nothing() -> None:
    cluster = Cluster()
    cluster.begin("a", 3)
    del cluster.members["b"]
    cluster.nodes["a"].peers.saw(dict(cluster.members))
    assert cluster.nodes["a"].pool.borrowed == 0


def test_a_node_rests_before_it_lends_again_over_a_link_that_broke() -> None:
    cluster = Cluster()
    cluster.begin("a", 3)
    bridge = cluster.nodes["b"].bridge
    end = bridge._ends[Lane("a", "w")]
    bridge._broke(end, end.link.give_up("its work could not be handled"))
    cluster.begin("a", 1)
    assert bridge.is_up(Lane("a", "w"))
    assert cluster.nodes["a"].pool.borrowed == 0
    cluster.run(REST_S)
    cluster.begin("a", 1)
    assert cluster.nodes["a"].pool.borrowed == 2


def test_a_node_that_does_not_offer_what_a_batch_requires_does_not_get_it() -> None:
    cluster = Cluster(b=("gpu",))
    cluster.begin("a", 3)
    assert cluster.where(cluster.begin("a", 2)) == "aa"


def test_a_node_that_offers_what_a_batch_requires_gets_it_whatever_else_it_lacks() -> None:
    cluster = Cluster(a=("general", "jre"))
    cluster.begin("a", 3)
    assert cluster.where(cluster.begin("a", 2)) == "bb"


def test_a_batch_that_no_executor_here_can_run_waits_for_a_node_that_can() -> None:
    cluster = Cluster("abc", b=("general", "gpu"))
    a = cluster.nodes["a"]
    a.pool.lacks = {frozenset({"gpu"})}
    assert cluster.where(cluster.begin("a", 1, ("gpu",))) == "a"
    assert a.pool.borrowed == 2  # of b alone
    assert cluster.where(cluster.begin("a", 4, ("gpu",))) == "bbbb"


def test_executors_for_work_that_none_here_can_run_stay_borrowed_between_its_batches() -> None:
    cluster = Cluster(b=("general", "gpu"))
    a = cluster.nodes["a"]
    a.pool.lacks = {frozenset({"gpu"})}
    cluster.begin("a", 1, ("gpu",))
    a.pool.lacks.clear()
    assert cluster.where(cluster.begin("a", 2, ("gpu",))) == "bb"
    assert a.pool.borrowed == 2
    cluster.run(2 * QUIET_S)
    assert a.pool.borrowed == 0


def test_work_that_waits_for_a_node_that_stays_away_is_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cluster = Cluster(b=("gpu",))
    cluster.network.fate = lambda *_: ()
    cluster.nodes["a"].pool.lacks = {frozenset({"gpu", "jre"})}
    cluster.begin("a", 1, ("gpu", "jre"))
    cluster.run(SILENT_S + 1.0)
    told = [record.getMessage() for record in caplog.records if "waits" in record.getMessage()]
    assert told == ["work of w that requires gpu, jre waits: no node that answers offers it"]
    cluster.nodes["a"].pool.lacks.clear()
    cluster.run(2 * AGAIN_S)
    assert cluster.nodes["a"].peers._timer is None


def test_a_large_batch_leaves_a_node_that_cannot_run_it() -> None:
    cluster = Cluster(b=("gpu",))
    cluster.nodes["a"].pool.lacks = {frozenset({"gpu"})}
    cluster.run()
    cluster.begin("a", 1, ("gpu",))
    large = bytes(MAX_AWAY_BYTES + 1)
    assert cluster.where(cluster.begin("a", 1, ("gpu",), pairs=large)) == "b"


def test_what_others_offer_is_known_once_they_were_seen_and_a_while_after_they_are_gone() -> None:
    cluster = Cluster(b=("gpu",))
    peers = cluster.nodes["a"].peers
    fresh = Node(cluster.scheduler, MemoryNetwork(cluster.scheduler), "x").peers
    assert fresh.others("w", 0.0) is None
    assert peers.others("w", 0.0) == [{"gpu"}]
    del cluster.members["b"]
    cluster.meet()
    assert peers.others("w", 0.0) == []
    assert peers.others("w", GONE_S) == [{"gpu"}]
    cluster.run(GONE_S)
    assert peers.others("w", GONE_S) == []


def test_a_node_that_is_gone_is_forgotten_after_a_while_and_may_come_back() -> None:
    cluster = Cluster("abc")
    here, b = cluster.nodes["a"].bridge, cluster.members.pop("b")
    cluster.meet()
    assert {state.lane.peer for state in here.states()} == {"b", "c"}
    cluster.run(GONE_S)
    cluster.meet()
    assert {state.lane.peer for state in here.states()} == {"c"}
    cluster.members["b"] = b._replace(term="t2")
    cluster.nodes["b"].bridge.register(2)
    cluster.meet()
    cluster.run(MAX_PROBE_S)
    assert here.is_up(Lane("b", "w"))
    cluster.begin("a", 3)
    assert cluster.where(cluster.begin("a", 4)).count("b") == 2


def lost_and_back(cluster: Cluster, *, is_same: bool, away_s: float) -> None:
    """Lose node b, and have it come back: started again, or the same, which stood still."""
    b, member = cluster.nodes["b"], cluster.members.pop("b")
    cluster.network.fate = lambda source, target: () if "b" in (source, target) else (0.0,)
    cluster.nodes["a"].peers.saw(dict(cluster.members))
    cluster.run(away_s)
    cluster.network.fate = lambda *_: (0.0,)
    if is_same:
        b.bridge.register(2)
    else:
        b.peers.close()
        b.bridge.close()
        b = Node(cluster.scheduler, cluster.network, "b", member.record.capabilities, life=2)
        b.peers.serve(["w"])
    cluster.nodes["b"] = b
    cluster.members["b"] = member._replace(record=replace(member.record, registration=2), term="t2")
    for node in cluster.nodes.values():
        node.peers.saw(dict(cluster.members))


@pytest.mark.parametrize("is_same", [True, False])
@pytest.mark.parametrize("away_s", [1.0, 15.0, 2 * GONE_S])
@pytest.mark.parametrize("requires", ["general", "gpu"])
def test_a_node_that_is_back_gets_what_waits_and_what_is_new_within_seconds(
    requires: str, away_s: float, *, is_same: bool
) -> None:
    cluster = Cluster(b=("general", "gpu"))
    a = cluster.nodes["a"]
    if requires == "gpu":
        a.pool.lacks = {frozenset({"gpu"})}
    assert cluster.where(cluster.begin("a", 3, (requires,))) == "aaa"
    lost_and_back(cluster, is_same=is_same, away_s=away_s)
    cluster.run(BACK_S)
    assert a.pool.idle() == [Away("w", frozenset({"general", "gpu"}), 2)]
    assert cluster.where(cluster.begin("a", 2, (requires,))) == "bb"


def test_a_large_batch_stays() -> None:
    cluster = Cluster()
    cluster.begin("a", 3)
    assert cluster.where(cluster.begin("a", 1, pairs=bytes(MAX_AWAY_BYTES + 1))) == "a"


def test_a_closed_node_places_nothing_elsewhere() -> None:
    cluster = Cluster()
    cluster.begin("a", 3)
    cluster.nodes["a"].peers.close()
    assert cluster.where(cluster.begin("a", 2)) == "aa"
    assert cluster.nodes["a"].pool.borrowed == 0


def test_a_node_that_loses_its_executors_lends_none_and_gives_work_back() -> None:
    cluster = Cluster()
    cluster.begin("a", 3)
    cluster.begin("a", 2)
    assert cluster.nodes["b"].pool.asked_back == 0
    cluster.nodes["b"].pool.own_slots = 0
    cluster.run()
    assert cluster.nodes["a"].pool.borrowed == 0
    assert cluster.nodes["b"].pool.asked_back > 0


def test_work_is_given_back_too_when_nobody_wants_executors_any_more() -> None:
    cluster = Cluster()
    made = cluster.begin("a", 3)
    cluster.begin("a", 2)
    cluster.end("a", made)
    cluster.run(10.0)
    cluster.nodes["b"].pool.own_slots = 0
    cluster.run()
    assert cluster.nodes["b"].pool.asked_back > 0


def test_the_offer_of_a_node_that_is_deaf_does_not_last() -> None:
    cluster = Cluster()
    cluster.begin("a", 3)
    assert cluster.nodes["a"].pool.borrowed == 2
    cluster.network.fate = lambda *_: ()
    cluster.run(6.0)  # longer than a node is waited for
    assert cluster.nodes["a"].pool.borrowed == 0
    assert cluster.where(cluster.begin("a", 2)) == "aa"


@pytest.mark.parametrize(("told", "used"), [(-5, 0), (1 << 63, 2)])
def test_no_node_offers_more_executors_than_it_has(told: int, used: int) -> None:
    cluster = Cluster()
    cluster.nodes["a"].peers.heard(Lane("b", "w"), Offer(told))
    assert cluster.nodes["a"].pool.borrowed == used


def test_a_workflow_that_was_deleted_has_links_only_when_it_is_there_again() -> None:
    cluster = Cluster("abc")
    for name in "ab":
        cluster.nodes[name].peers.serve([])
    cluster.run()
    assert [node.bridge.states() for node in cluster.nodes.values()][:2] == [[], []]
    assert {state.is_up for state in cluster.nodes["c"].bridge.states()} == {False}
    for name in "ab":
        cluster.nodes[name].peers.serve(["w"])
    cluster.run(REST_S + MAX_PROBE_S)
    cluster.begin("a", 3)
    assert set(cluster.where(cluster.begin("a", 4))) == {"b", "c"}


def test_many_deleted_workflows_are_left_some_in_a_turn_of_the_loop() -> None:
    cluster, many = Cluster(), [f"w{number}" for number in range(3 * LEAVES)]
    for node in cluster.nodes.values():
        node.peers.serve(["w", *many])
    cluster.run(REST_S + MAX_PROBE_S)
    a = cluster.nodes["a"]

    def left() -> set[str]:
        return {"w", *many} - {one.lane.workflow for one in a.bridge.states()}

    a.peers.serve(["w"])
    assert len(left()) == LEAVES
    back = (set(many) - left()).pop()
    a.peers.serve(["w", back])
    assert len(left()) == LEAVES
    cluster.run()
    assert left() == {*many} - {back}


def test_workflows_are_left_though_a_turn_in_which_some_are_left_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster, many = Cluster(), [f"w{number}" for number in range(2 * LEAVES)]
    a = cluster.nodes["a"]
    a.peers.serve(many)
    a.peers.serve([])
    with monkeypatch.context() as failing, pytest.raises(ZeroDivisionError):
        failing.setattr(a.bridge, "leave", lambda _: 1 / 0)
        cluster.run()
    a.peers.serve([])
    assert a.bridge.states() == []


def test_a_node_that_stops_leaves_no_further_workflows() -> None:
    cluster, many = Cluster(), [f"w{number}" for number in range(2 * LEAVES)]
    a = cluster.nodes["a"]
    a.peers.serve(many)
    a.peers.serve([])
    a.peers.close()
    cluster.run()
    assert len(a.bridge.states()) == len(many) - LEAVES


def test_a_deleted_workflow_has_links_until_its_work_has_ended() -> None:
    cluster = Cluster()
    cluster.begin("a", 3)
    away = cluster.begin("a", 2)
    assert cluster.where(away) == "bb"
    for node in cluster.nodes.values():
        node.peers.serve([])
    assert [node.bridge.is_up(lane) for node, lane in lanes(cluster)] == [True, True]
    a = cluster.nodes["a"]
    for address in away:
        a.base.deliver(address, ActorExitRequest(), a.boss)
    cluster.run()
    for node in cluster.nodes.values():
        node.peers.serve([])
    assert [node.bridge.states() for node in cluster.nodes.values()] == [[], []]


def test_a_node_of_another_version_that_never_answers_is_named_with_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cluster = Cluster("a")
    record = NodeRecord(1, "there:4150", (), ("general",), 2, version="7.0.0")
    cluster.members["c"] = Member(record, "t1")
    cluster.meet()
    cluster.run(SILENT_S + 1.0)
    assert "its JobX is 7.0.0, ours " in caplog.text


def lanes(cluster: Cluster) -> list[tuple[Node, Lane]]:
    return [(cluster.nodes["a"], Lane("b", "w")), (cluster.nodes["b"], Lane("a", "w"))]


def test_a_node_without_executors_and_work_looks_for_nothing() -> None:
    cluster = Cluster()
    cluster.nodes["a"].pool.own_slots = 0
    cluster.end("a", cluster.begin("a", 1))
    cluster.run()
    assert cluster.nodes["a"].peers._timer is None


def test_a_registered_node_that_never_answers_is_named(caplog: pytest.LogCaptureFixture) -> None:
    cluster = Cluster()
    cluster.members["c"] = Member(NodeRecord(1, "127.0.0.1:4150", (), ("general",), 2), "t1")
    cluster.meet()
    cluster.run(SILENT_S + 1.0)
    told = [record.getMessage() for record in caplog.records]
    found = [text for text in told if "does not answer" in text]
    assert len(found) == 2  # a and b say so
    assert all(text.startswith("node c ") and "127.0.0.1:4150" in text for text in found)
    assert not any("version" in text for text in found)
    assert cluster.where(cluster.begin("a", 2)) == "aa"
