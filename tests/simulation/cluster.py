"""Several nodes on one store, each with coordinators and executors, over a network with faults.

A node may die, stand still (all that it would have done happens when it goes on), lose its way to
the store or to its peers, and lose its lease by any of these.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from msgspec import structs
from thespian.actors import Actor, ActorAddress, ActorSystem

from jobx import entity_json, model
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
from jobx.actors.messages import Adopt, Drain, Ended, Opened, Refused, RequestKey, Run
from jobx.actors.ports import Services
from jobx.actors.runtime.placement import Creation
from jobx.actors.runtime.system import LoopSystemBase
from jobx.config import Settings
from jobx.config_sections import NodeSettings, RequestSettings
from jobx.errors import StoreUnavailable
from jobx.kv import keys
from jobx.kv.blobs import BlobFolder
from jobx.kv.leases import Held, Holders
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import lives, request_entity
from jobx.kv.requests.lives import OpenRequest
from tests.simulation.executors import Faults, SimulatedExecutors
from tests.simulation.node_scheduler import NodeScheduler
from tests.simulation.simulator import WORKFLOW, SimulatedLog
from tests.simulation.world import World, plan, submission
from tests.support.memory_transport import MemoryNetwork, MemoryTransport
from tests.support.virtual_time import VirtualScheduler

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
        self.base.placement = bridge
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


class Cluster:
    """Three nodes, one store, some requests.

    Args:
        seed: Determines everything.
        tmp: The folder of blobs.
    """

    def __init__(self, seed: int, tmp: Path) -> None:
        self.rng = rng = random.Random(seed)
        self.scheduler = VirtualScheduler(seed)
        self.store = MemoryStore()
        self.blobs: dict[str, bytes] = {}
        self.blob_folder = BlobFolder(tmp)
        self.world = World(seed, breadth=rng.choice((3, 5, 7)))
        self.faults = Faults(
            crash=rng.choice((0.0, 0.02)),
            author=rng.choice((0.0, 0.1)),
            later=rng.choice((0.0, 0.1)),
            duplicate=rng.choice((0.0, 0.3)),
            taken_back=rng.choice((0.0, 0.3)),
        )
        self.loss = rng.choice((0.0, 0.0, 0.05, 0.3))
        self.double = rng.choice((0.0, 0.0, 0.3))
        self.late_s = (0.0, 0.1, 2.0)
        self.pace_s = rng.choice((0.5, 5.0))
        self.delay_s = rng.choice((0.0, 0.001, 0.05, 0.5))
        self.far_share = rng.choice((0.3, 0.7, 1.0))
        self.trouble = rng.choice((0.0, 0.1, 0.3, 0.6))
        #: How far the clock of each host is from the others.
        self.clocks = {name: rng.choice((0.0, -1e6, 1e6)) for name in NAMES}
        self.troubles = 0
        #: Nodes that offer what the mappers of one step require; in vain, if there is no such step.
        self.able = rng.choice((("c",), ("b", "c"), NAMES))
        self.plan = plan(attempts=3, **{rng.choice(("none", "s0", "s1")): "gpu"})
        self.network = MemoryNetwork(self.scheduler, self._fate)
        self.leases: dict[str, tuple[Held, float]] = {}
        self.bases: list[LoopSystemBase] = []
        self.nodes: dict[str, Node] = {}
        self.down: dict[str, float] = {}
        self.opened: set[str] = set()
        self.ended: dict[str, list[model.Request]] = {}
        self.refused: Counter[str] = Counter()
        self._incarnations: Counter[str] = Counter()
        self._numbers = itertools.count(1)
        for name in NAMES:
            self.start(name, was_lost=False)
        self.scheduler.advance(3.0)

    def start(self, name: str, *, was_lost: bool) -> None:
        """Start a node, for the first time or once more."""
        last = self.nodes.get(name)
        # Beyond each registration of the life before.
        self._incarnations[name] = (last.registration._record.registration if last else 0) + 1
        self.nodes[name] = node = Node(self, name, self._incarnations[name])
        opened = list(lives.opened(self.store, name))
        if opened:
            node.take_up(opened, was_lost=was_lost)

    def holders(self) -> Holders:
        """Return who holds a lease now."""
        now = self.scheduler.now()
        return {key: held for key, (held, until) in self.leases.items() if until > now}

    def _fate(self, source: str, target: str) -> Iterable[float]:
        for name in (source, target):
            if "peers" in self.nodes[name].cut or self.nodes[name].scheduler.is_dead:
                return
        for _copy in range(2 if self.rng.random() < self.double else 1):
            if self.rng.random() >= self.loss:
                yield self.rng.random() * self.delay_s

    def submit(self, ask: str, name: str, request_id: str = "") -> None:
        """Ask a node for a request, by its idempotency key; its id is drawn unless it is given."""
        node = self.nodes[name]
        if node.scheduler.is_dead or node.scheduler.is_stopped:
            return
        request = model.Request(
            workflow_name=WORKFLOW,
            request_id=request_id or f"{ask}-{next(self._numbers)}",
            job_name="j",
            invocation_id="m0",
            accepted_at=self.scheduler.now() + self.clocks[name],
            coordinator=name,
            idempotency_key=ask,
        )
        writes = request_entity.accept_writes(request, name, "the same", node.incarnation)
        asked = submission(self.world, self.plan, request, writes, node.gateway, may_wait=True)
        node.base.deliver(node.supervisor, asked)

    def heard(self, message: Any) -> None:
        """Take what a node tells its callers."""
        if isinstance(message, Opened):
            self.opened.add(message.request.request_id)
        elif isinstance(message, Ended):
            self.ended.setdefault(message.request.request_id, []).append(message.request)
        elif isinstance(message, Refused):
            self.refused[message.key.request_id] += 1

    def entity(self, request_id: str) -> model.Request | None:
        """Return a request as the store has it."""
        entry = self.store.get(keys.entity("request", WORKFLOW, request_id))
        return entity_json.decode(model.Request, "request", entry.value) if entry else None

    def entities(self) -> dict[str, list[model.Request]]:
        """Return the requests of each ask, as the store has them."""
        found: dict[str, list[model.Request]] = defaultdict(list)
        for entry in self.store.range(keys.entities("request", WORKFLOW)):
            request = entity_json.decode(model.Request, "request", entry.value)
            found[request.idempotency_key or ""].append(request)
        return found

    def run(self, asks: tuple[str, ...], limit_s: float = 10_000.0) -> None:
        """Run until the requests of all asks have ended in the store, with mishaps on the way."""
        while (missing := self._missing(asks)) or self.down:
            assert self.scheduler.now() < limit_s, f"not ended: {missing}"
            self.scheduler.advance(self.rng.choice((0.01, 0.05, 0.2, 1.0)))
            self._interfere()
            found = self.entities()
            for one in missing:
                if one not in found and self.rng.random() < 0.3:
                    self.submit(one, self.rng.choice(NAMES))
        self._heal()
        self.scheduler.advance(60.0)

    def _missing(self, asks: tuple[str, ...]) -> list[str]:
        found = self.entities()
        return [one for one in asks if not any(each.is_done for each in found[one])]

    def _interfere(self) -> None:
        for name in [name for name, at in self.down.items() if at <= self.scheduler.now()]:
            del self.down[name]
            self._recover(self.nodes[name])
        if self.troubles < 12 and self.rng.random() < self.trouble:
            self.troubles += 1
            self._strike(self.nodes[self.rng.choice(NAMES)])

    def _strike(self, node: Node) -> None:
        if node.name in self.down:
            return
        kinds = ("kill", "stop", "drain", "store", "peers", "both", "supervisor")
        kind = self.rng.choice(kinds)
        lasts_s = self.rng.choice((0.0, 1.0, 4.0, 12.0, 40.0))
        self.down[node.name] = self.scheduler.now() + lasts_s
        if kind == "kill":
            node.die()
        elif kind == "stop":
            node.scheduler.stop()
        elif kind == "drain":
            node.drain()
            self.down[node.name] += DRAIN_S
        else:
            node.cut = {"store", "peers"} if kind == "both" else {kind}

    def _recover(self, node: Node) -> None:
        node.cut.clear()
        node.answer_probes()
        if node.scheduler.is_dead:
            self.start(node.name, was_lost=not node.is_over)
        else:
            node.scheduler.go_on()

    def _heal(self) -> None:
        for name in list(self.down):
            del self.down[name]
            self._recover(self.nodes[name])
