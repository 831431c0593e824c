"""Whole requests on virtual time: real actors, a made-up world, faults drawn from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thespian.actors import ActorAddress, ActorSystem

from jobx import model, values
from jobx.actors.log_writer import read_log
from jobx.actors.messages import (
    Adopt,
    CommitRefused,
    Committed,
    Ended,
    Opened,
    Refused,
    RequestKey,
    Submit,
)
from jobx.actors.runtime.scheduler import VirtualScheduler
from jobx.actors.runtime.system import LoopSystemBase
from jobx.actors.services import Services
from jobx.actors.supervisor import Supervisor
from jobx.config import RequestSettings, Settings
from jobx.kv import keys, requests
from jobx.kv.blobs import BlobFolder
from jobx.kv.memory import MemoryStore
from jobx.kv.store import Put, Write
from jobx.payload import Payload, pack_offsets
from tests.simulation.executors import Faults, SimulatedExecutors
from tests.simulation.world import World, plan

WORKFLOW = "w"


@dataclass
class SimulatedLog:
    """Commits after a while; what is under way when the node dies may be written or not."""

    store: MemoryStore
    rng: random.Random
    scheduler: VirtualScheduler
    base: LoopSystemBase | None = None
    is_dead: bool = False
    pending: list[tuple[RequestKey, ActorAddress, int, list[Write]]] = field(default_factory=list)

    def append(
        self, key: RequestKey, owner: ActorAddress, number: int, writes: Any, urgent: bool
    ) -> None:
        self.pending.append((key, owner, number, list(writes)))
        if len(self.pending) == 1:
            delay_s = 0.0005 if urgent else self.rng.choice((0.001, 0.02))
            self.scheduler.call_later(delay_s, self._commit)

    def forget(self, key: RequestKey) -> None:
        self.pending = [item for item in self.pending if item[0] != key]

    def read(self, key: RequestKey, reply_to: ActorAddress) -> None:
        self.scheduler.call_later(0.001, lambda: self._deliver(reply_to, read_log(self.store, key)))

    def die(self) -> None:
        """Stop; of what is not reported, a first part may have reached the store."""
        self.is_dead = True
        for *_, writes in self.pending[: self.rng.randrange(len(self.pending) + 1)]:
            self.store.commit_many([writes])

    def _commit(self) -> None:
        if self.is_dead:
            return
        batch, self.pending = self.pending, []
        for _, owner, number, writes in batch:
            conflict = self.store.commit_many([writes])[0]
            report = CommitRefused(conflict) if conflict else Committed(number)
            self._deliver(owner, report)

    def _deliver(self, target: ActorAddress, message: object) -> None:
        if not self.is_dead and self.base is not None:
            self.base.deliver(target, message)


class Simulation:
    """One store, one node after the other, some requests."""

    def __init__(self, seed: int, tmp: Path) -> None:
        self.rng = random.Random(seed)
        self.scheduler = VirtualScheduler(seed)
        self.store = MemoryStore()
        self.blobs: dict[str, bytes] = {}
        self.blob_folder = BlobFolder(tmp)
        self.world = World(seed, breadth=self.rng.choice((3, 5, 7)))
        self.faults = Faults(
            crash=self.rng.choice((0.0, 0.02, 0.1)),
            author=self.rng.choice((0.0, 0.1)),
            duplicate=self.rng.choice((0.0, 0.3)),
        )
        self.node_crash = self.rng.choice((0.0, 0.0, 0.3))
        self.plan = plan(attempts=3)
        self.opened: set[str] = set()
        self.ended: dict[str, list[model.Request]] = {}
        self.refused: dict[str, Refused] = {}
        self.crashes = 0
        self._incarnation = 0
        self.start_node()

    def start_node(self) -> None:
        """Start a node on what the store holds."""
        self._incarnation += 1
        limits = RequestSettings(window=1001, time_limit_s=100_000.0, lost_attempts=50)
        settings = Settings(requests=limits)
        self.executors = SimulatedExecutors(
            self.world, self.rng, self.scheduler, self.faults, self.blobs
        )
        self.log = SimulatedLog(self.store, self.rng, self.scheduler)
        self.base = LoopSystemBase(
            self.scheduler,
            node_id="sim",
            incarnation=self._incarnation,
            capabilities={},
            services=None,
        )
        self.executors.base = self.log.base = self.base
        self.base.services = Services(
            node_id="sim",
            incarnation=self._incarnation,
            settings=settings,
            log=self.log,
            executors=self.executors,
            blobs=self.blob_folder,
            now=self.scheduler.now,
            now_at=self.scheduler.now,
            gateway=self.base.endpoint(self._hear),
        )
        system = ActorSystem(systemBase=self.base, transientUnique=True)
        self.supervisor = system.createActor(Supervisor)
        opened = requests.opened(self.store, "sim")
        if opened:
            self.base.deliver(self.supervisor, Adopt(tuple(RequestKey(*item) for item in opened)))

    def kill_node(self) -> None:
        """Lose everything but the store and those blobs that reached the disk."""
        self.crashes += 1
        self.log.die()
        self.executors.is_dead = True
        self.base.deliver = lambda *_: None  # type: ignore[method-assign]  # a dead node hears nothing
        for name in [name for name in self.blobs if self.rng.random() < 0.3]:
            del self.blobs[name]

    def submit(self, request_id: str, *, is_blocking: bool = True) -> None:
        """Ask for a request."""
        request = model.Request(
            workflow_name=WORKFLOW,
            request_id=request_id,
            job_name="j",
            invocation_id="m0",
            is_blocking=is_blocking,
            accepted_at=self.scheduler.now(),
        )
        item = values.pack([["seed", [0, self.world.seed]]])
        services = self.base.services
        plan_write = Put(keys.plan(WORKFLOW, "p"), model.encode(self.plan))
        self.base.deliver(
            self.supervisor,
            Submit(
                request=request,
                step="s0",
                plan_digest="p",
                plan=self.plan,
                arguments=Payload(1, len(item), item, offsets=pack_offsets([len(item)])),
                time_limit_s=100_000.0,
                writes=(plan_write, *requests.accept_writes(request, "sim", "")),
                reply_to=services.gateway,
            ),
        )

    def run(self, request_ids: list[str], limit_s: float = 5_000.0) -> None:
        """Run until all accepted requests have ended in the store, killing nodes on the way."""
        while not self.is_quiet(request_ids):
            assert self.scheduler.now() < limit_s, f"not ended: {self.unfinished(request_ids)}"
            self.scheduler.advance(self.rng.choice((0.001, 0.01, 0.1, 1.0)))
            if self.crashes < 10 and self.rng.random() < self.node_crash:
                self.kill_node()
                self.start_node()
        self.scheduler.advance(60.0)

    def entity(self, request_id: str) -> model.Request | None:
        """Return a request as the store has it."""
        entry = self.store.get(keys.entity("request", WORKFLOW, request_id))
        return model.decode(model.Request, "request", entry.value) if entry else None

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
