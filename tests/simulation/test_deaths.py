"""Every kind of actor dies once at each of its messages: the request ends all the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from thespian.actors import ActorExitRequest, WakeupMessage

from jobx.actors.coordination import batch, coordinator, supervisor
from jobx.actors.coordination.batch import Batch
from jobx.actors.coordination.coordinator import Coordinator
from jobx.actors.messages import (
    Adopt,
    AdoptStrays,
    Cancel,
    CommitRefused,
    Describe,
    Drain,
    EndChild,
    Explain,
    LogRead,
    MoreRoom,
    Probe,
    Progressed,
    Ran,
    Refused,
    RequestKey,
    Submit,
)
from jobx.actors.runtime.address import Address
from jobx.actors.runtime.failure import ChildFailed, ChildLost
from jobx.kv import keys
from jobx.kv.store import Put
from tests.simulation.executors import unpack_result
from tests.simulation.simulator import WORKFLOW, Simulation

SEEDS = 120
PLACES = [
    pytest.param(module, kind, id=f"{module.__name__.rpartition('.')[2]}-{kind.__name__}")
    for module in (supervisor, coordinator, batch)
    for kind in module._RECEIVE
]
#: Methods by which actors are born.
BIRTHS = [
    pytest.param(actor, name, id=f"{actor.__name__}.{name}")
    for actor, name in ((Coordinator, "_accept"), (Coordinator, "_recover"), (Batch, "__init__"))
]


class Death:
    """Has an actor die at its next message of a kind, once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, place: Any, kind: Any) -> None:
        self.came = False
        if isinstance(kind, str):
            self._real = getattr(place, kind)
            monkeypatch.setattr(place, kind, lambda *arguments: self(*arguments))
        else:
            self._real = place._RECEIVE[kind]
            monkeypatch.setitem(place._RECEIVE, kind, self)

    def __call__(self, actor: Any, *message: Any) -> None:
        if not self.came:
            self.came = True
            raise ArithmeticError("a fault of ours")
        self._real(actor, *message)


def provoke(simulation: Simulation, kind: Any) -> None:
    """Do what brings a message of a kind about that does not come by itself."""
    key, gateway = RequestKey(WORKFLOW, "r0"), simulation._gateway
    asked = {
        Describe: Describe(key, gateway, 1),
        Explain: Explain(key, gateway, 1),
        Cancel: Cancel(key, "why not", gateway, 1),
        ActorExitRequest: Cancel(key, "what is at work goes", gateway, 1),
        Drain: Drain(),
        AdoptStrays: AdoptStrays((key,)),
        MoreRoom: MoreRoom(WORKFLOW),
        Probe: Probe(gateway, 1),
        Progressed: Progressed(key),
    }
    if kind in asked:
        simulation.base.deliver(simulation.supervisor, asked[kind])
    elif kind is Submit:
        simulation.submit("r0")
    elif kind is ChildLost:
        lost = ChildLost(Address("far", 1, 1), "NodeLost", "simulated", "")
        for record in simulation.base.tree():
            if record.name.startswith("Coordinator"):
                number = int(record.address.rpartition("/")[2])
                simulation.base.deliver(Address("sim", simulation._incarnation, number), lost)
    elif kind is EndChild:
        for cell in simulation.base.cells():
            if isinstance(cell.actor, Coordinator | Batch) and cell.parent is not None:
                end = EndChild(cell.address, isinstance(cell.actor, Coordinator), "x", gateway, 1)
                simulation.base.deliver(cell.parent.address, end)
    elif kind is WakeupMessage:
        simulation.break_coordinator("r0")


def live(simulation: Simulation, death: Death, kind: Any) -> bool:
    """Run a request; return whether it has ended, in this life of the node or in the next one."""
    lost: list[Any] = []
    simulation.base._root_exited = lost.append
    simulation.submit("r0")
    for step in range(4000):
        simulation.scheduler.advance(0.002 if step < 2000 else 0.2)
        if step in (3, 10) and not death.came:
            provoke(simulation, kind)
        if lost:  # the node ends, and is started again
            lost.clear()
            simulation.kill_node()
            simulation.start_node()
            simulation.base._root_exited = lost.append
            simulation.submit("r0")  # as a web worker does, whose connection was lost
        if step == 1000 and kind is Drain:
            simulation.kill_node()
            simulation.start_node()
        request = simulation.entity("r0")
        if request is not None and request.is_done:
            return True
        if "r0" in simulation.refused:
            return True
    return False


@pytest.mark.parametrize(("place", "kind"), PLACES + BIRTHS)
def test_a_request_ends_whatever_actor_dies_at_its_birth_or_at_whatever_message(
    place: Any, kind: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(SEEDS):
        with monkeypatch.context() as patched:
            death = Death(patched, place, kind)
            simulation = Simulation(seed, tmp_path)
            if kind is ChildFailed:
                Death(patched, batch, Ran)
            if kind in (CommitRefused, Refused):  # somebody else has written its log
                simulation.store.commit([Put(keys.event(WORKFLOW, "r0", 0), b"")])
            if _needs_a_life_before(kind):
                simulation.submit("r0")
                simulation.scheduler.advance(0.004)
                simulation.kill_node()
                simulation.start_node()
            assert live(simulation, death, kind), f"seed {seed}: the request never ended"
        if not death.came:
            continue
        request = simulation.entity("r0")
        if request is None:
            assert "r0" not in simulation.opened
            assert "r0" in simulation.refused
        elif request.state == "succeeded":
            assert unpack_result(request.result or ()) == simulation.world.expected()
        else:
            assert request.state == "cancelled" or request.failure is not None
        return
    pytest.fail(f"no run had a {kind}")


def _needs_a_life_before(kind: Any) -> bool:
    return kind in (Adopt, LogRead, "_recover")
