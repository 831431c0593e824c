"""Two engines in one process, with their bridges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from thespian.actors import ActorAddress

from jobx.actors.bridge.bridge import Bridge
from jobx.actors.bridge.ends import LocalEnd
from jobx.actors.bridge.envelope import Seal
from jobx.actors.bridge.link import PROBE_S
from jobx.actors.bridge.transport import Lane
from jobx.actors.messages import Discard, Lost, TakenBack
from jobx.actors.runtime.actor import LoopActor
from jobx.actors.runtime.placement import Creation
from jobx.actors.runtime.system import LoopSystemBase
from tests.support.memory_transport import MemoryNetwork, MemoryTransport
from tests.support.virtual_time import VirtualScheduler

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
        self.base.placement = self.bridge.families
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
