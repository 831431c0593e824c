"""Whatever crosses the end of a request is no dead letter, however it ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path

import pytest

from jobx.actors.messages import Cancel, Describe, Drain, EndChild, Explain, MoreRoom, RequestKey
from jobx.actors.runtime.cell import Cell
from tests.simulation.executors import Faults
from tests.simulation.simulator import WORKFLOW, Simulation, unread
from tests.simulation.world import plan

SEEDS = 50
KEY = RequestKey(WORKFLOW, "r0")


def _cancel(simulation: Simulation) -> None:
    asked = Cancel(KEY, "enough", simulation._gateway, 1)
    simulation.base.deliver(simulation.supervisor, asked)


def _drain(simulation: Simulation) -> None:
    simulation.base.deliver(simulation.supervisor, Drain())


def _begin_again(simulation: Simulation) -> None:
    """Have the coordinator end, and its successor begin."""
    for cell in simulation.base.cells():
        if cell.name.startswith("Coordinator"):
            end = EndChild(cell.address, True, "why not", simulation._gateway, 1)
            simulation.base.deliver(simulation.supervisor, end)


#: What ends a request whose time is over after so many seconds, and is tried so often.
ENDS: dict[str, tuple[Callable[[Simulation], None], float, int]] = {
    "success": (lambda _: None, 1e5, 3),
    "failure": (lambda _: None, 1e5, 1),
    "time limit": (lambda _: None, 0.2, 3),
    "cancel": (_cancel, 1e5, 3),
    "drain": (_drain, 1e5, 3),
    "another coordinator": (_begin_again, 1e5, 3),
}


def _ask_between_messages(simulation: Simulation) -> None:
    """Have others ask for the request while mail is on its way, at any place in it."""
    handle, gateway, rng = simulation.base.step, simulation._gateway, simulation.rng
    asked = (Describe(KEY, gateway, 2), Explain(KEY, gateway, 3), MoreRoom(WORKFLOW))

    def step(queue: deque[Cell]) -> None:
        handle(queue)
        if queue and rng.random() < 0.2:
            simulation.base.deliver(simulation.supervisor, rng.choice(asked))

    simulation.base.step = step


@pytest.mark.parametrize("end", ENDS)
def test_no_message_is_left_unread_however_a_request_ends(end: str, tmp_path: Path) -> None:
    act, limit_s, attempts = ENDS[end]
    for seed in range(SEEDS):
        simulation = Simulation(seed, tmp_path)
        simulation.executors.faults = Faults(crash=0.05, author=0.3, duplicate=0.5, taken_back=0.5)
        simulation.plan = plan(attempts)
        _ask_between_messages(simulation)
        simulation.submit("r0", time_limit_s=limit_s)
        simulation.scheduler.advance(simulation.rng.choice((0.0, 0.001, 0.05, 0.5)))
        act(simulation)
        simulation.scheduler.advance(60.0)
        assert unread(simulation.bases) == [], f"seed {seed}"
