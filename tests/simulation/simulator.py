"""Whole requests on virtual time: real actors, a made-up world, faults drawn from a seed."""

from __future__ import annotations

import functools
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thespian.actors import ActorAddress, ActorSystem

from jobx import entity_json, model
from jobx.actors import recovery
from jobx.actors.commits import commit
from jobx.actors.coordination.supervisor import Supervisor
from jobx.actors.log_reader import has_progressed, read_log
from jobx.actors.messages import (
    Adopt,
    AdoptStrays,
    Cancel,
    CommitRefused,
    Committed,
    Ended,
    Explain,
    Explained,
    Lost,
    Opened,
    Refused,
    RequestKey,
)
from jobx.actors.ports import Services
from jobx.actors.runtime.address import Address
from jobx.actors.runtime.deadletters import FAILED
from jobx.actors.runtime.limits import EngineLimits
from jobx.actors.runtime.system import LoopSystemBase
from jobx.actors.strays import Strays
from jobx.config import Settings
from jobx.config_sections import RequestSettings
from jobx.errors import JobxError
from jobx.kv import keys
from jobx.kv.blobs import BlobFolder
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import lives, request_entity
from jobx.kv.store import Write
from tests.simulation.executors import GONE, Faults, SimulatedExecutors
from tests.simulation.unsure_store import UnsureStore, VirtualLogWriter, VirtualLoop
from tests.simulation.world import World, plan, submission
from tests.support.virtual_time import VirtualScheduler

WORKFLOW = "w"
#: The nodes that take turns: some take up their own requests, others those of another.
NODES = ("sim", "sim", "other")


@dataclass
class _Group:
    """What one request appended since the last commit; written whole or not at all."""

    owner: ActorAddress
    number: int
    writes: list[Write] = field(default_factory=list)


@dataclass
class SimulatedLog:
    """Commits after a while; what is under way when the node dies may be written or not."""

    store: MemoryStore
    rng: random.Random
    scheduler: VirtualScheduler
    base: LoopSystemBase | None = None
    is_dead: bool = False
    pending: dict[RequestKey, _Group] = field(default_factory=dict)
    refused: set[RequestKey] = field(default_factory=set)

    def append(
        self,
        key: RequestKey,
        owner: ActorAddress,
        number: int,
        writes: Any,
        urgent: bool,
        *,
        first: Callable[[], object] | None = None,
    ) -> None:
        if key in self.refused:
            return
        if first is not None:
            try:
                first()
            except JobxError as error:
                self.refused.add(key)
                self._deliver(owner, CommitRefused(error))
                return
        if not self.pending:
            delay_s = 0.0005 if urgent else self.rng.choice((0.001, 0.02))
            self.scheduler.call_later(delay_s, self._commit)
        group = self.pending.setdefault(key, _Group(owner, number))
        group.number = number
        group.writes.extend(writes)

    def forget(self, key: RequestKey) -> None:
        self.pending.pop(key, None)
        self.refused.discard(key)

    def read(self, key: RequestKey, reply_to: ActorAddress, *, has_events: bool = True) -> None:
        if key in self.pending:
            again = functools.partial(self.read, key, reply_to, has_events=has_events)
            self.scheduler.call_later(0.001, again)
            return
        self.refused.discard(key)

        def answer() -> None:
            self._deliver(reply_to, read_log(self.store, key, has_events=has_events))

        self.scheduler.call_later(0.001, answer)

    def mark(self, requests: Sequence[lives.OpenRequest]) -> None:
        if not self.is_dead:
            lives.take_up(self.store, requests)

    def die(self) -> None:
        """Stop; of what is not reported, a first part may have reached the store."""
        self.is_dead = True
        groups = list(self.pending.values())
        for group in groups[: self.rng.randrange(len(groups) + 1)]:
            self.store.commit_many([[group.writes]])

    def _commit(self) -> None:
        if self.is_dead:
            return
        groups, self.pending = self.pending, {}
        for key, group in groups.items():
            conflict = commit(self.store, [[group.writes]])[0].error
            if conflict is not None:
                self.refused.add(key)
            report = CommitRefused(conflict) if conflict else Committed(group.number)
            self._deliver(group.owner, report)

    def _deliver(self, target: ActorAddress, message: object) -> None:
        if not self.is_dead and self.base is not None:
            self.base.deliver(target, message)


def unread(bases: Iterable[LoopSystemBase]) -> list[str]:
    """Return the dead letters of nodes, but those that failed actors did not read."""
    letters = (letter for base in bases for letter in base.dead_letters.last())
    return [f"{one.message}: {one.reason}" for one in letters if one.reason != FAILED]


class Simulation:
    """One store, one node after the other, some requests.

    Args:
        seed: Determines everything.
        tmp: The folder of blobs.
        node_deaths: See ``RequestSettings``.
        is_unsure: Nodes have a real log writer, over ``unsure``.

    Attributes:
        bases: The actor systems of all nodes so far.
    """

    def __init__(
        self, seed: int, tmp: Path, node_deaths: int = 100, *, is_unsure: bool = False
    ) -> None:
        self.rng = random.Random(seed)
        self.scheduler = VirtualScheduler(seed)
        self.store = MemoryStore()
        self.unsure = UnsureStore(self.store, self.scheduler, self.rng)
        self._is_unsure = is_unsure
        self.blobs: dict[str, bytes] = {}
        self.blob_folder = BlobFolder(tmp)
        self.world = World(seed, breadth=self.rng.choice((3, 5, 7, 12)))
        self.faults = Faults(
            crash=self.rng.choice((0.0, 0.02, 0.1)),
            author=self.rng.choice((0.0, 0.1)),
            later=self.rng.choice((0.0, 0.1, 0.3)),
            duplicate=self.rng.choice((0.0, 0.3)),
            unstarted=self.rng.choice((0.0, 0.1)),
            taken_back=self.rng.choice((0.0, 0.3)),
            blob=self.rng.choice((0.0, 0.0, 0.05)),
        )
        self.node_crash = self.rng.choice((0.0, 0.0, 0.3, 0.7))
        self.coordinator_fault = self.rng.choice((0.0, 0.0, 0.1))
        self.cancel = self.rng.choice((0.0, 0.0, 0.1))
        self.again = self.rng.choice((0.0, 0.9))
        self.plan = plan(attempts=3)
        self.opened: set[str] = set()
        self.ended: dict[str, list[model.Request]] = {}
        self.refused: dict[str, Refused] = {}
        self.asked: Counter[str] = Counter()
        self.cancelled: set[str] = set()
        self.crashes = 0
        self.coordinator_faults = 0
        self.bases: list[LoopSystemBase] = []
        #: Messages before adapters get a turn: it decides what crosses what.
        self._slice_messages = random.Random(seed).choice((1, 2, 256))
        #: So many that what is killed at random ends all the same.
        self.node_deaths = node_deaths
        self._incarnation = 0
        self.start_node()

    def start_node(self) -> None:
        """Start a node on what the store holds."""
        self._incarnation += 1
        turn = 0 if self._is_unsure else self._incarnation % len(NODES)
        node_id = self.node_id = NODES[turn]
        limits = RequestSettings(
            window=(1001, 3001)[self._incarnation % 2],
            time_limit_s=100_000.0,
            lost_attempts=50,
            node_deaths=self.node_deaths,
        )
        settings = Settings(requests=limits)
        self.executors = SimulatedExecutors(
            self.world, self.rng, self.scheduler, self.faults, self.blobs
        )
        self.log = self._new_log()
        self.base = LoopSystemBase(
            self.scheduler,
            node_id=node_id,
            incarnation=self._incarnation,
            capabilities={},
            services=None,
            limits=EngineLimits(slice_messages=self._slice_messages),
        )
        self.bases.append(self.base)
        self.executors.base = self.base
        if isinstance(self.log, SimulatedLog):
            self.log.base = self.base
        self._gateway = self.base.endpoint(self._hear)
        self.base.services = Services(
            node_id=node_id,
            incarnation=self._incarnation,
            settings=settings,
            log=self.log,
            executors=self.executors,
            blobs=self.blob_folder,
            now=self.scheduler.now,
            now_at=self.now_at,
            gateway=self._gateway,
        )
        self._strays = Strays(self.store, node_id, self.base.services.budget.__contains__)
        system = ActorSystem(systemBase=self.base, transientUnique=True)
        self.supervisor = system.createActor(Supervisor)
        opened = [one for node in {*NODES} for one in lives.opened(self.store, node)]
        was_lost, limit = self.crashes > 0, limits.node_deaths
        waiting = recovery.charge(
            opened,
            self._incarnation - 1,
            was_lost=was_lost,
            limit=limit,
            progressed=lambda one: has_progressed(self.store, one),
        )
        lives.mark(self.store, recovery.charges(opened, waiting))
        if waiting:
            self.base.deliver(self.supervisor, Adopt(tuple(waiting)))

    def _new_log(self) -> SimulatedLog | VirtualLogWriter:
        if not self._is_unsure:
            return SimulatedLog(self.store, self.rng, self.scheduler)
        loop = VirtualLoop(self.scheduler, self.unsure)
        patience_s = self.rng.choice((0.0, 2.5))
        # By then there is another base, and the loop of this one is dead.
        return VirtualLogWriter(loop, lambda *letter: self.base.deliver(*letter), patience_s)

    def kill_node(self) -> None:
        """Lose everything but the store and those blobs that reached the disk."""
        self.crashes += 1
        self.log.die()
        self.executors.is_dead = True
        self.base.deliver = lambda *_: None  # type: ignore[method-assign]  # a dead node hears nothing
        for name in [name for name in self.blobs if self.rng.random() < 0.3]:
            del self.blobs[name]

    def submit(self, request_id: str, *, is_blocking: bool = True, **more: Any) -> None:
        """Ask for a request."""
        self.asked[request_id] += 1
        request = model.Request(
            workflow_name=WORKFLOW,
            request_id=request_id,
            job_name="j",
            invocation_id="m0",
            is_blocking=is_blocking,
            accepted_at=self.now_at(),
        )
        writes = request_entity.accept_writes(request, self.node_id, "", self._incarnation)
        asked = submission(self.world, self.plan, request, writes, self._gateway, **more)
        self.base.deliver(self.supervisor, asked)

    def now_at(self) -> float:
        """Return the time of the wall clock; an instant of 0 would mean none."""
        return 1.0 + self.scheduler.now()

    def run(self, request_ids: list[str], limit_s: float = 10_000.0) -> None:
        """Run until all accepted requests have ended in the store, with mishaps on the way."""
        while not self.is_quiet(request_ids):
            assert self.scheduler.now() < limit_s, f"not ended: {self.unfinished(request_ids)}"
            self.scheduler.advance(self.rng.choice((0.001, 0.01, 0.1, 1.0)))
            self._interfere(self.rng.choice(request_ids))
            for name in request_ids:
                explain = Explain(RequestKey(WORKFLOW, name), self._gateway, 1)
                self.base.deliver(self.supervisor, explain)
            if self._is_unsure and self.rng.random() < 0.1:
                self.adopt_strays()
        self.unsure.rate = 0.0  # so that what is open ends
        rounds = 5 if self._is_unsure else 1
        # A request that was asked for again at last may take long on a slow network.
        while rounds > 0 or (self.unfinished(request_ids) and self.scheduler.now() < limit_s):
            self.scheduler.advance(60.0)
            self.adopt_strays()
            rounds -= 1

    def adopt_strays(self) -> None:
        """Do what a node does now and then on a store of other machines."""
        self._strays.look()
        self.base.deliver(self.supervisor, AdoptStrays(self._strays.found))

    def _interfere(self, request_id: str) -> None:
        if self.crashes < 20 and self.rng.random() < self.node_crash:
            self.kill_node()
            self.start_node()
            if self.rng.random() < self.again:
                self.submit(request_id)  # before the node has taken up what was open
        if self.rng.random() < self.again / 3:
            self.submit(request_id)  # a client whose connection was lost
        if self.rng.random() < self.cancel:
            self.cancelled.add(request_id)
            cancel = Cancel(RequestKey(WORKFLOW, request_id), "simulated", self._gateway, 1)
            self.base.deliver(self.supervisor, cancel)
        if self.coordinator_faults < 3 and self.rng.random() < self.coordinator_fault:
            self.break_coordinator(request_id)

    def break_coordinator(self, request_id: str) -> None:
        """Make a coordinator, if there is one, fail of a fault of its own."""
        wanted = f"Coordinator {WORKFLOW}/{request_id}"
        for record in self.base.tree():
            if record.name == wanted:
                self.coordinator_faults += 1
                number = int(record.address.rpartition("/")[2])
                address = Address(self.node_id, self._incarnation, number)
                self.base.deliver(address, Lost([], None, GONE))  # type: ignore[arg-type]  # no ticket at all

    def entity(self, request_id: str) -> model.Request | None:
        """Return a request as the store has it."""
        entry = self.store.get(keys.entity("request", WORKFLOW, request_id))
        return entity_json.decode(model.Request, "request", entry.value) if entry else None

    def unfinished(self, request_ids: list[str]) -> list[str]:
        """Return requests that are in the store and have not ended."""
        found = [(name, self.entity(name)) for name in request_ids]
        return [name for name, request in found if request and not request.is_done]

    def is_quiet(self, request_ids: list[str]) -> bool:
        """Whether nothing that was asked for is still on its way."""
        waiting = any(
            self.entity(name) is None and not self.crashes and name not in self.refused
            for name in request_ids
        )
        return not waiting and not self.unfinished(request_ids)

    def _hear(self, message: Any, _: ActorAddress) -> None:
        if isinstance(message, Opened):
            self.opened.add(message.request.request_id)
        elif isinstance(message, Ended):
            self.ended.setdefault(message.request.request_id, []).append(message.request)
        elif isinstance(message, Refused):
            self.refused[message.key.request_id] = message
        elif isinstance(message, Explained) and message.standing is not None:
            standing = message.standing
            assert sum(group.count for group in standing.groups) == standing.open, standing
