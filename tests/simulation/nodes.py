"""A second node that runs batches of the first one, over a network that has faults."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from thespian.actors import Actor

from jobx.actors.bridge.bridge import Bridge
from jobx.actors.bridge.ends import LocalEnd
from jobx.actors.bridge.envelope import Seal
from jobx.actors.bridge.transport import Lane
from jobx.actors.coordination.batch import Batch
from jobx.actors.runtime.placement import Creation
from jobx.actors.runtime.system import LoopSystemBase
from tests.simulation.executors import SimulatedExecutors
from tests.simulation.simulator import NODES, WORKFLOW, Simulation
from tests.support.memory_transport import MemoryNetwork, MemoryTransport

KINDS: dict[str, type[Actor]] = {"batch": Batch}
SEAL = Seal(b"k" * 32, "sim")
FAR = Lane("far", WORKFLOW)


class TwoNodes(Simulation):
    """One node has the coordinators, and a node ``far`` some of the batches.

    Attributes:
        far_share: Share of the batches that are created on the far node.
        far_crash: How often the far node dies.
        far_deaths: How often it did.
        far_executed: Invocations that all its lives executed.
    """

    def __init__(self, seed: int, tmp: Path) -> None:
        self.far_deaths = self.far_life = self.far_executed = 0
        self.is_cut: set[str] = set()
        self.network: MemoryNetwork | None = None
        self.bridge: Bridge | None = None
        super().__init__(seed, tmp)
        rng = self.rng
        self.loss = rng.choice((0.0, 0.0, 0.05, 0.3))
        self.double = rng.choice((0.0, 0.0, 0.3))
        self.delay_s = rng.choice((0.0, 0.001, 0.05, 1.0))
        self.cut = rng.choice((0.0, 0.0, 0.1, 0.3))
        self.far_crash = rng.choice((0.0, 0.0, 0.1, 0.3))
        self.far_share = rng.choice((0.3, 0.7, 1.0))
        self.start_far()
        self.scheduler.advance(3.0)

    def start_node(self) -> None:
        """Start the node that has the coordinators, and its end of the bridge."""
        super().start_node()
        if self.network is None:
            self.network = MemoryNetwork(self.scheduler, self._fate)
        services: Any = self.base.services
        self.bridge = self._connect(self.base, services.node_id, self._incarnation, {"far"})

    def kill_node(self) -> None:
        """Lose the node that has the coordinators."""
        assert self.bridge is not None
        self.bridge.close()
        super().kill_node()

    def start_far(self) -> None:
        """Start the far node."""
        self.far_life += 1
        self.far_executors = SimulatedExecutors(
            self.world, self.rng, self.scheduler, self.faults, self.blobs
        )
        services: Any = self.base.services
        self.far = LoopSystemBase(
            self.scheduler,
            node_id="far",
            incarnation=self.far_life,
            capabilities={},
            services=dataclasses.replace(services, node_id="far", executors=self.far_executors),
        )
        self.bases.append(self.far)
        self.far_executors.base = self.far
        self.far_bridge = self._connect(self.far, "far", self.far_life, {*NODES})

    def kill_far(self) -> None:
        """Lose the far node."""
        self.far_deaths += 1
        self.far_executed += self.far_executors.executed
        self.far_bridge.close()
        self.far_executors.is_dead = True
        self.far.deliver = lambda *_: None  # type: ignore[method-assign]  # a dead node hears nothing

    def _connect(self, base: LoopSystemBase, name: str, life: int, peers: set[str]) -> Bridge:
        assert self.network is not None
        transport = MemoryTransport(self.network, name)
        site = LocalEnd(name, life, "sim")
        bridge = Bridge(base, transport, SEAL, site, kinds=KINDS, choose=self._choose)
        base.placement = bridge.families
        bridge.open(WORKFLOW)
        for peer in sorted(peers):
            bridge.connect(Lane(peer, WORKFLOW))
        return bridge

    def _choose(self, _: Creation) -> Lane | None:
        return FAR if self.rng.random() < self.far_share else None

    def _fate(self, source: str, _: str) -> Iterable[float]:
        if ("far" if source == "far" else "near") in self.is_cut:
            return
        for _copy in range(2 if self.rng.random() < self.double else 1):
            if self.rng.random() >= self.loss:
                yield self.rng.random() * self.delay_s

    def _interfere(self, request_id: str) -> None:
        if self.coordinator_faults == 2:  # a slow network leaves time for a third in a minute
            self.coordinator_fault = 0.0
        super()._interfere(request_id)
        if self.far_deaths < 20 and self.rng.random() < self.far_crash:
            self.kill_far()
            self.start_far()
        if self.rng.random() < self.cut:
            self.is_cut = {name for name in ("near", "far") if self.rng.random() < 0.4}
