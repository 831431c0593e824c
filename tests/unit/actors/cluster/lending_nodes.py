"""Nodes that lend each other executors, with bridges in memory and counted executors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from thespian.actors import ActorAddress

from jobx.actors.bridge.bridge import Bridge
from jobx.actors.bridge.ends import LocalEnd
from jobx.actors.bridge.envelope import Seal
from jobx.actors.cluster.members import Member, NodeRecord
from jobx.actors.cluster.peers import LOOK_S, Peers
from jobx.actors.executors.rebalancing import Away
from jobx.actors.messages import RequestKey, Run
from jobx.actors.runtime.actor import LoopActor
from jobx.actors.runtime.address import Address
from jobx.actors.runtime.system import LoopSystemBase
from tests.support.memory_transport import MemoryNetwork, MemoryTransport
from tests.support.virtual_time import VirtualScheduler
from tests.support.work import map_work


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
        self.peers.bridge, base.placement = self.bridge, self.bridge.families
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
