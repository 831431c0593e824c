"""A node of a simulated cluster: it loses its store, its peers, its lease or its life."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from msgspec import structs
from thespian.actors import Actor, ActorAddress, ActorSystem

from jobx.actors import recovery
from jobx.actors.bridge.bridge import Bridge
from jobx.actors.bridge.ends import LocalEnd
from jobx.actors.bridge.envelope import Seal
from jobx.actors.bridge.transport import Lane
from jobx.actors.cluster.adoption import LOOK_S, Adoption
from jobx.actors.cluster.members import Member, NodeRecord, losses, members_of
from jobx.actors.cluster.pulse import Pulse
from jobx.actors.cluster.registration import Registration
from jobx.actors.coordination.batch import Batch
from jobx.actors.coordination.supervisor import Supervisor
from jobx.actors.log_reader import has_progressed
from jobx.actors.messages import Adopt, Drain, RequestKey, Run
from jobx.actors.ports import Services
from jobx.actors.runtime.placement import Creation
from jobx.actors.runtime.system import LoopSystemBase
from jobx.config import Settings
from jobx.config_sections import NodeSettings, RequestSettings
from jobx.errors import StoreUnavailable
from jobx.kv.leases import Held, Holders
from jobx.kv.requests import lives
from jobx.kv.requests.lives import OpenRequest
from tests.simulation.executors import SimulatedExecutors
from tests.simulation.node_scheduler import NodeScheduler
from tests.simulation.simulator import WORKFLOW, SimulatedLog
from tests.support.memory_transport import MemoryTransport

if TYPE_CHECKING:
    from tests.simulation.cluster import Cluster

KINDS: Final[dict[str, type[Actor]]] = {"batch": Batch}
SEAL: Final = Seal(b"k" * 32, "sim")
NAMES: Final = ("a", "b", "c")
LEASE_S: Final = 5.0
#: How long a node that is stopped lets its work end.
DRAIN_S: Final = 1.0
_NODES: Final = "nodes/"
_LIMITS: Final = RequestSettings(
    window=2002, time_limit_s=100_000.0, lost_attempts=50, node_deaths=100
)


@dataclass
class RemoteLog(SimulatedLog):
    """A log whose store may be out of reach: then it waits."""

    can_reach: Callable[[], bool] = lambda: True

    def read(self, key: RequestKey, reply_to: ActorAddress, *, has_events: bool = True) -> None:
        if self.can_reach():
            super().read(key, reply_to, has_events=has_events)
        else:
            again = functools.partial(self.read, key, reply_to, has_events=has_events)
            self.scheduler.call_later(0.5, again)

    def mark(self, requests: Any) -> None:
        if self.can_reach():
            super().mark(requests)
        else:
            self.scheduler.call_later(0.5, lambda: self.mark(requests))

    def _commit(self) -> None:
        if self.can_reach():
            super()._commit()
        else:
            self.scheduler.call_later(0.5, self._commit)


class Node:
    """One life of a node.

    Attributes:
        cut: What it cannot reach: ``store``; ``peers``, whom it does not hear then; or its own
            ``supervisor``, which answers no probes then.
        is_over: It was stopped, and did not die.
        supervisor: The root of its actors.
    """

    def __init__(self, cluster: Cluster, name: str, incarnation: int) -> None:
        self.name = name
        self.incarnation = incarnation
        self.cut: set[str] = set()
        self.is_over = False
        self.offered = ("general", *["gpu"] * (name in cluster.able))
        self.scheduler: Any = NodeScheduler(cluster.scheduler)
        self.executors = SimulatedExecutors(
            *(cluster.world, cluster.rng, self.scheduler, cluster.faults, cluster.blobs),
            pace_s=cluster.pace_s,
            offered=frozenset(self.offered),
        )
        self.log = RemoteLog(
            cluster.store, cluster.rng, self.scheduler, can_reach=lambda: "store" not in self.cut
        )
        self.base = LoopSystemBase(
            self.scheduler, node_id=name, incarnation=incarnation, capabilities={}, services=None
        )
        cluster.bases.append(self.base)
        self.log.base = self.executors.base = self.base
        self.gateway = self.base.endpoint(lambda message, _: cluster.heard(message))
        self.base.services = Services(
            node_id=name,
            incarnation=incarnation,
            settings=Settings(node=NodeSettings(capabilities=self.offered), requests=_LIMITS),
            log=self.log,
            executors=self.executors,
            blobs=cluster.blob_folder,
            now=self.scheduler.now,
            now_at=lambda: self.scheduler.now() + cluster.clocks[name],
            gateway=self.gateway,
            others=lambda _workflow, _gone_s: self._others(),
            is_lost=lambda node_id: self.adoption.is_lost(node_id),
        )
        self._cluster = cluster
        self._members: dict[str, Member] = {}
        self._seen: Holders | None = None
        self._probes: list[Callable[[], None]] = []
        self.bridge = self._connect()
        record, now = (
            NodeRecord(incarnation, nsqd="sim", capabilities=self.offered, slots=2, is_heir=True),
            cluster.scheduler.now,
        )
        life = lives.Life(incarnation=incarnation, capabilities=self.offered)
        lives.begin(cluster.store, name, life)
        self.registration = Registration(
            VirtualLease(cluster, self), record, self.bridge.register, now
        )
        self.adoption = Adoption(
            name,
            record,
            cluster.store,
            lambda: self.registration.has_settled(LEASE_S),
            death_limit=_LIMITS.node_deaths,
            now=now,
        )
        system = ActorSystem(systemBase=self.base, transientUnique=True)
        self.supervisor = system.createActor(Supervisor)
        self._pulse = Pulse(self._ask_supervisor, LEASE_S, now)
        self._renew()
        self._look()
        self._adopt()

    def _connect(self) -> Bridge:
        bridge = Bridge(
            self.base,
            MemoryTransport(self._cluster.network, self.name),
            SEAL,
            LocalEnd(self.name, self.incarnation, "sim"),
            kinds=KINDS,
            choose=self._choose,
            probe=self._ask_supervisor,
        )
        self.base.placement = bridge.families
        bridge.open(WORKFLOW)
        return bridge

    def _ask_supervisor(self, answered: Callable[[], None]) -> None:
        self._probes.append(answered)
        self.scheduler.call_soon(self.answer_probes)

    def answer_probes(self) -> None:
        """Have the supervisor answer, unless it hangs."""
        while self._probes and "supervisor" not in self.cut:
            self._probes.pop()()

    def _others(self) -> list[frozenset[str]] | None:
        if self._seen is None:
            return None
        found = (one.record for name, one in self._members.items() if name != self.name)
        return [frozenset(record.capabilities) for record in found]

    def _able(self, run: Run) -> list[Lane]:
        """Return the lanes to peers that offer what work requires, and can be sent some."""
        found = (name for name in self._members if name != self.name)
        lanes = (Lane(name, WORKFLOW) for name in found)
        return [
            lane
            for lane in lanes
            if {*self._members[lane.peer].record.capabilities}.issuperset(run.requires)
            and self.bridge.has_room(lane)
        ]

    def _choose(self, creation: Creation) -> Lane | None:
        rng, run = self._cluster.rng, creation.arguments[0]
        if not {*self.offered}.issuperset(run.requires):
            able = self._able(run)
            return rng.choice(able) if able else None
        if rng.random() >= self._cluster.far_share:
            return None
        return Lane(rng.choice([name for name in NAMES if name != self.name]), WORKFLOW)

    def _renew(self) -> None:
        self._pulse.beat()
        with contextlib.suppress(StoreUnavailable):
            if self._pulse.is_alive:
                self.registration.renew()
        self.scheduler.call_later(LEASE_S / 3, self._renew)

    def _look(self) -> None:
        """See who is there, as a watch of the leases tells it."""
        holders = self._cluster.holders()
        if "store" not in self.cut and holders != self._seen:
            self._seen = holders
            members = members_of(holders, _NODES)
            for loss in losses(self._members, members):
                self.bridge.lose(loss.node_id, loss.registration, "its registration ended")
            self._members = members
            if self.adoption.saw(holders, _NODES):
                self._adopt_now()
            for name in sorted(members.keys() - {self.name}):
                self.bridge.connect(Lane(name, WORKFLOW))
        self.executors.give_away(lambda run: bool(self._able(run)))
        self.scheduler.call_later(0.2, self._look)

    def _adopt(self) -> None:
        """Adopt now and then what lost nodes left."""
        self._adopt_now()
        self.scheduler.call_later(LOOK_S, self._adopt)

    def _adopt_now(self) -> None:
        """Look for what lost nodes left, as a thread does: it may be told of late."""
        if "store" in self.cut:
            return
        found = self.adoption.look()
        late_s = self._cluster.rng.choice(self._cluster.late_s)
        if found.requests:
            tell = functools.partial(self.base.deliver, self.supervisor, Adopt(found.requests))
            self.scheduler.call_later(late_s, tell)

    def take_up(self, opened: list[OpenRequest], *, was_lost: bool) -> None:
        """Continue requests."""
        waiting = recovery.charge(
            opened,
            self.incarnation - 1,
            was_lost=was_lost,
            limit=_LIMITS.node_deaths,
            progressed=lambda one: has_progressed(self._cluster.store, one),
        )
        lives.mark(self._cluster.store, recovery.charges(opened, waiting))
        if waiting:
            self.base.deliver(self.supervisor, Adopt(tuple(waiting)))

    def drain(self) -> None:
        """Stop as a node does on a signal: what is open then is left for others."""
        self.base.deliver(self.supervisor, Drain())
        self.scheduler.call_later(DRAIN_S, self._stop)

    def _stop(self) -> None:
        life = lives.last(self._cluster.store, self.name)
        lives.begin(self._cluster.store, self.name, structs.replace(life, is_over=True))
        self.registration._lease.release()
        self.is_over = True
        self.die()

    def die(self) -> None:
        """Lose all but what is stored."""
        self.log.die()
        self.scheduler.is_dead = True


class VirtualLease:
    """The lease of a node's id, on virtual time."""

    def __init__(self, cluster: Cluster, node: Node) -> None:
        self._cluster = cluster
        self._node = node
        self._held = Held(node.name)

    def acquire(self) -> None:
        """Do nothing: who is started may have it."""

    def renew(self, value: str | None = None) -> bool:
        """See ``Lease.renew``."""
        if "store" in self._node.cut:
            raise StoreUnavailable("it is out of reach")
        self._held = self._held.showing(value or "")
        key, leases = _NODES + self._node.name, self._cluster.leases
        found = self._cluster.holders().get(key)
        is_kept = found is not None and found.term == self._held.term
        if not is_kept:
            number = self._cluster.rng.randrange(1 << 60)
            self._held = Held(self._held.holder, f"{number:x}", self._held.value)
        leases[key] = (self._held, self._cluster.scheduler.now() + LEASE_S)
        return is_kept

    def release(self) -> None:
        """Give it up."""
        self._cluster.leases.pop(_NODES + self._node.name, None)
