"""Several nodes on one store, whose leases end: they die, are cut off, come back, adopt."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace
from thespian.actors import ActorAddress, ActorSystem

from jobx import model, values
from jobx.actors import recovery
from jobx.actors.cluster.adoption import LOOK_S, Adoption
from jobx.actors.cluster.members import NodeRecord
from jobx.actors.cluster.registration import Registration
from jobx.actors.coordination.supervisor import Supervisor
from jobx.actors.log_reader import has_progressed
from jobx.actors.messages import Adopt, AdoptStrays, Ended, Opened, Submit
from jobx.actors.ports import Services
from jobx.actors.runtime.scheduler import VirtualScheduler
from jobx.actors.runtime.system import LoopSystemBase
from jobx.actors.strays import Strays
from jobx.config import RequestSettings, Settings
from jobx.errors import StoreUnavailable
from jobx.kv import keys
from jobx.kv.blobs import BlobFolder
from jobx.kv.leases import Held, Holders
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import lives, request_entity
from jobx.kv.requests.lives import Life
from jobx.kv.store import Put
from jobx.payload import Payload, pack_offsets
from tests.simulation.executors import Faults, SimulatedExecutors
from tests.simulation.simulator import WORKFLOW, SimulatedLog
from tests.simulation.world import World, plan

LEASE_S: Final = 5.0
IDS: Final = ("a", "b", "c")
PREFIX: Final = keys.node("")
SETTINGS: Final = Settings(
    requests=RequestSettings(window=1001, time_limit_s=100_000.0, lost_attempts=50, node_deaths=100)
)


@dataclass
class VirtualLease:
    """A lease on virtual time; ``node`` cannot renew it while it is cut off."""

    leases: VirtualLeases
    node: LosingNode
    term: str = ""

    def acquire(self) -> None:
        self.renew("")

    def renew(self, value: str | None = None) -> bool:
        if self.node.is_cut:
            raise StoreUnavailable("cut off")
        found = self.leases.holders().get(keys.node(self.node.node_id))
        is_kept = found is not None and found.term == self.term
        if not is_kept:
            self.leases.terms += 1
            self.term = str(self.leases.terms)
        self.leases.hold(self.node.node_id, Held(self.node.node_id, self.term, value or ""))
        return is_kept

    def release(self) -> None:
        self.leases.held.pop(self.node.node_id, None)


class VirtualLeases:
    """All leases, with the time at which each runs out."""

    def __init__(self, scheduler: VirtualScheduler) -> None:
        self.terms = 0
        self.held: dict[str, tuple[float, Held]] = {}
        self._scheduler = scheduler

    def hold(self, node_id: str, held: Held) -> None:
        self.held[node_id] = self._scheduler.now() + LEASE_S, held

    def holders(self) -> Holders:
        now = self._scheduler.now()
        return {keys.node(name): held for name, (until, held) in self.held.items() if now < until}


@dataclass
class CutLog(SimulatedLog):
    """A log whose store does not answer while the node is cut off."""

    node: LosingNode | None = None

    @property
    def _is_cut(self) -> bool:
        return self.node is not None and self.node.is_cut

    def read(self, key: Any, reply_to: ActorAddress, *, has_events: bool = True) -> None:
        if self._is_cut:
            again = partial(self.read, key, reply_to, has_events=has_events)
            self.scheduler.call_later(0.5, again)
        else:
            super().read(key, reply_to, has_events=has_events)

    def mark(self, requests: Any) -> None:
        if not self._is_cut:
            super().mark(requests)

    def die(self) -> None:
        self.is_dead = self._is_cut
        if not self.is_dead:
            super().die()

    def _commit(self) -> None:
        if self._is_cut and not self.is_dead:
            self.scheduler.call_later(0.5, self._commit)
        else:
            super()._commit()


@dataclass
class SlowExecutors(SimulatedExecutors):
    """Executors whose work lasts for as long as leases, or not."""

    pace_s: float = 1.0

    def _later(self, call: Any) -> None:
        delay_s = self.rng.choice((0.0, 0.01, 1.0)) * self.pace_s
        self.scheduler.call_later(delay_s, lambda: None if self.is_dead else call())


class LosingNode:
    """One life of a node.

    Attributes:
        is_cut: It reaches neither the store nor its leases.
    """

    def __init__(self, losses: Losses, node_id: str, incarnation: int) -> None:
        self.node_id, self.incarnation = node_id, incarnation
        self.is_cut = self.is_dead = False
        self._losses = losses
        self._scheduler, store = losses.scheduler, losses.store
        world = losses.world, losses.rng, self._scheduler, losses.faults, losses.blobs
        self.executors = SlowExecutors(*world, pace_s=losses.pace_s)
        self.log = CutLog(store, losses.rng, self._scheduler, node=self)
        self._start_actors(losses)
        self._start_leases(losses)
        last = lives.last(store, node_id)
        lives.begin(store, node_id, Life(incarnation=incarnation, capabilities=()))
        waiting = recovery.charge(
            lives.opened(store, node_id),
            last.incarnation,
            was_lost=incarnation > 1,
            limit=SETTINGS.requests.node_deaths,
            progressed=lambda one: has_progressed(store, one),
        )
        self.base.deliver(self.supervisor, Adopt(tuple(waiting)))

    def _start_actors(self, losses: Losses) -> None:
        self.base = LoopSystemBase(
            self._scheduler,
            node_id=self.node_id,
            incarnation=self.incarnation,
            capabilities={},
            services=None,
        )
        self.executors.base = self.log.base = self.base
        self.gateway = self.base.endpoint(losses.hear)
        self.services = self.base.services = Services(
            node_id=self.node_id,
            incarnation=self.incarnation,
            settings=SETTINGS,
            log=self.log,
            executors=self.executors,
            blobs=losses.blob_folder,
            now=self._scheduler.now,
            now_at=lambda: self._scheduler.now() + losses.clock_of(self.node_id),
            gateway=self.gateway,
            is_lost=lambda name: self.adoption.is_lost(name),
        )
        system = ActorSystem(systemBase=self.base, transientUnique=True)
        self.supervisor = system.createActor(Supervisor)

    def _start_leases(self, losses: Losses) -> None:
        record = NodeRecord(self.incarnation, "there:1", slots=2, is_heir=True)
        self._lease = VirtualLease(losses.leases, self)
        self._lease.acquire()
        self.registration = Registration(
            self._lease, record, lambda _: None, now=self._scheduler.now
        )
        self.adoption = Adoption(
            self.node_id,
            record,
            losses.store,
            partial(self.registration.has_settled, LEASE_S),
            death_limit=SETTINGS.requests.node_deaths,
            now=self._scheduler.now,
        )
        strays = Strays(losses.store, self.node_id, self.services.budget.__contains__)
        self._every(LEASE_S / 3, self.registration.renew)
        self._every(losses.rng.choice((0.5, 2.0)), self._see)
        self._every(LOOK_S, self.adopt)
        self._every(15.0, partial(self._adopt_strays, strays))

    def _every(self, every_s: float, call: Callable[[], object]) -> None:
        """Make a call again and again while the node lives, and reaches the store."""
        if self.is_dead:
            return
        if not self.is_cut:
            call()
        self._scheduler.call_later(every_s, partial(self._every, every_s, call))

    def _see(self) -> None:
        self.adoption.saw(self._losses.leases.holders(), PREFIX)

    def adopt(self) -> None:
        """Adopt what is this node's share now."""
        found = self.adoption.look()
        if found.requests:
            self._losses.adopted += len(found.requests)
            self.base.deliver(self.supervisor, Adopt(found.requests))

    def _adopt_strays(self, strays: Strays) -> None:
        strays.look()
        self.base.deliver(self.supervisor, AdoptStrays(strays.found))

    def kill(self) -> None:
        """Lose the node; its lease runs out."""
        self.is_dead = True
        self.log.die()
        self.executors.is_dead = True
        self.base.deliver = lambda *_: None  # type: ignore[method-assign]  # a dead node hears nothing

    def stop(self) -> None:
        """Stop the node: what it has open is left, and nobody waits for its lease."""
        life = lives.last(self._losses.store, self.node_id)
        lives.begin(self._losses.store, self.node_id, replace(life, is_over=True))
        self.kill()
        self._lease.release()


class Losses:
    """Three nodes on one store, some requests, and faults drawn from a seed.

    Attributes:
        adopted: Requests that nodes adopted of others, or tried to.
    """

    def __init__(self, seed: int, tmp: Path) -> None:
        self.rng = rng = random.Random(seed)
        self.scheduler = VirtualScheduler(seed)
        self.store = MemoryStore()
        self.leases = VirtualLeases(self.scheduler)
        self.blobs: dict[str, bytes] = {}
        self.blob_folder = BlobFolder(tmp)
        self.world = World(seed, breadth=rng.choice((3, 5, 7)))
        self.faults = Faults(crash=rng.choice((0.0, 0.02)), duplicate=rng.choice((0.0, 0.3)))
        self.death = rng.choice((0.0, 0.1, 0.3))
        self.cut = rng.choice((0.0, 0.1, 0.3))
        self.pace_s = rng.choice((0.5, 5.0, 20.0))
        self.outage = rng.choice((0.0, 0.0, 0.05))
        self.plan = plan(attempts=3)
        self.opened: set[str] = set()
        self.ended: dict[str, list[model.Request]] = {}
        self.adopted = self.mishaps = 0
        self._clocks = {name: rng.choice((0.0, -1e6, 1e6)) for name in IDS}
        self._lives = dict.fromkeys(IDS, 0)
        self.nodes: dict[str, LosingNode] = {}
        for name in IDS:
            self.start(name)
        self.scheduler.advance(10.0)

    def clock_of(self, node_id: str) -> float:
        """Return how far the clock of a node's host is from that of the others."""
        return self._clocks[node_id]

    def start(self, node_id: str) -> None:
        """Start a node, once more if it was lost."""
        self._lives[node_id] += 1
        self.nodes[node_id] = LosingNode(self, node_id, self._lives[node_id])

    def lose(self, node_id: str, *, is_stopped: bool = False) -> None:
        """Lose a node, or stop it."""
        node = self.nodes.pop(node_id)
        if is_stopped and not node.is_cut:
            node.stop()
        else:
            node.kill()

    def submit(self, request_id: str, node: LosingNode) -> None:
        """Ask a node for a request."""
        request = model.Request(
            workflow_name=WORKFLOW,
            request_id=request_id,
            job_name="j",
            invocation_id="m0",
            is_blocking=False,
            accepted_at=node.services.now_at(),
            coordinator=node.node_id,
        )
        item = values.pack([["seed", [0, self.world.seed]]])
        accept = request_entity.accept_writes(request, node.node_id, "", node.incarnation)
        submit = Submit(
            request=request,
            step="s0",
            plan_digest="p",
            plan=self.plan,
            arguments=Payload(1, len(item), item, offsets=pack_offsets([len(item)])),
            time_limit_s=100_000.0,
            writes=(Put(keys.plan(WORKFLOW, "p"), model.encode(self.plan)), *accept),
            reply_to=node.gateway,
        )
        node.base.deliver(node.supervisor, submit)

    def hear(self, message: Any, _: ActorAddress) -> None:
        """Take what the clients of a node are told."""
        if isinstance(message, Opened):
            self.opened.add(message.request.request_id)
        elif isinstance(message, Ended):
            self.ended.setdefault(message.request.request_id, []).append(message.request)

    def entity(self, request_id: str) -> model.Request | None:
        """Return a request as the store has it."""
        entry = self.store.get(keys.entity("request", WORKFLOW, request_id))
        return model.decode(model.Request, "request", entry.value) if entry else None

    def run(self, request_ids: list[str], limit_s: float = 10_000.0) -> None:
        """Run with mishaps until everything that was accepted has ended, and then in peace."""
        while self.unfinished(request_ids) or self.mishaps < 3:
            assert self.scheduler.now() < limit_s, f"not ended: {self.unfinished(request_ids)}"
            self.scheduler.advance(self.rng.choice((0.001, 0.01, 0.1, 1.0, 3.0)))
            self.mishaps += 1
            if self.mishaps < 60:
                self._interfere(self.rng.choice(request_ids))
            else:
                self.heal()
        self.heal()
        self.scheduler.advance(120.0)

    def heal(self) -> None:
        """Let every node that lives reach the store; at least one does."""
        for node in self.nodes.values():
            node.is_cut = False
        if not self.nodes:
            self.start(self.rng.choice(IDS))

    def unfinished(self, request_ids: list[str]) -> list[str]:
        """Return requests that are in the store and have not ended."""
        found = [(name, self.entity(name)) for name in request_ids]
        return [name for name, request in found if request and not request.is_done]

    def _interfere(self, request_id: str) -> None:
        rng = self.rng
        for name in IDS:
            if name not in self.nodes:
                if rng.random() < 0.1:
                    self.start(name)
            elif rng.random() < self.death:
                self.lose(name, is_stopped=rng.random() < 0.3)
            elif rng.random() < self.cut:
                self.nodes[name].is_cut = not self.nodes[name].is_cut
        if rng.random() < self.outage:  # nobody reaches the store
            for node in self.nodes.values():
                node.is_cut = True
        if self.nodes and rng.random() < 0.2:
            self.submit(request_id, rng.choice([*self.nodes.values()]))
