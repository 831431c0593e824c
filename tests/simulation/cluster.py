"""Several nodes on one store, each with coordinators and executors, over a network with faults.

A node may die, stand still (all that it would have done happens when it goes on), lose its way to
the store or to its peers, and lose its lease by any of these.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jobx import entity_json, model
from jobx.actors.messages import Ended, Opened, Refused
from jobx.actors.runtime.system import LoopSystemBase
from jobx.kv import keys
from jobx.kv.blobs import BlobFolder
from jobx.kv.leases import Held, Holders
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import lives, request_entity
from tests.simulation.cluster_node import DRAIN_S, NAMES, Node
from tests.simulation.executors import Faults
from tests.simulation.simulator import WORKFLOW
from tests.simulation.world import World, plan, submission
from tests.support.memory_transport import MemoryNetwork
from tests.support.virtual_time import VirtualScheduler


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
