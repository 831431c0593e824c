"""Executors on a stage: work is sent to them, and what their owners hear is kept.

A mapper does what its value says: ``["return", n]`` yields n pairs, ``["map", n]`` maps on to n
children, ``["wait", 0]`` takes longer than a test does.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

from msgspec.structs import replace

from jobx import model, values
from jobx.actors.coordination.work_frames import FrameBuilder
from jobx.actors.executors.pool import ExecutorPool
from jobx.actors.messages import Lost, Ran, RequestKey, Run
from jobx.actors.ports import Executors, Services
from jobx.actors.request.branches import ROOT
from jobx.actors.request.decisions import PullMapper, RunMappers
from jobx.actors.request.events import Accepted, Mapped
from jobx.actors.request.state import RequestState
from jobx.actors.runtime.address import Address
from jobx.config import Settings
from jobx.config_sections import NodeSettings
from jobx.kv.blobs import BlobFolder
from jobx.payload import Payload, pack_offsets
from jobx.segments import FailedRun
from jobx.work import LoadHandler
from tests.simulation.executors import CHUNK_PAIRS, Faults, SimulatedExecutors
from tests.simulation.world import World
from tests.support import frames
from tests.support.virtual_time import VirtualScheduler

KEY: Final = RequestKey("w", "r1")
OWNER: Final = Address("n", 1, 1)
OTHER: Final = Address("n", 1, 2)
#: Created from another node.
THEIRS: Final = Address("n", 1, "other/1/1")
MAPPER: Final = """
import time
(name, (what, count)), = arguments
if what == "wait":
    time.sleep(600)
yield MrConfigureToMap("s") if what == "map" else MrConfigureToReturn()
for number in range(count):
    yield (number, ["return", 1]) if what == "map" else (name, number)
"""
REDUCER: Final = "for key, values in results:\n    yield key, sum(values)\n"
HANDLERS: Final = {
    "m": frames.load("m", "mapper", MAPPER),
    "r": frames.load("r", "reducer", REDUCER),
}
REQUEST: Final = model.Request(
    workflow_name="w", request_id="r1", job_name="j", invocation_id="m0", accepted_at=1.0
)
PLAN: Final = model.Plan(
    steps={
        "s": model.PlanStep(
            mapper=model.HandlerRef(handler_name="m", version="m"),
            reducer=model.HandlerRef(handler_name="r", version="r"),
        )
    }
)


@dataclass
class Stage:
    """Executors, and what owners of work hear from them."""

    executors: Executors
    step: Callable[[], None]
    #: Kills all executors; with what they have at work, True: as soon as they have any.
    kill: Callable[[bool], None]
    heard: list[tuple[object, Any]]
    folder: BlobFolder
    tickets: Iterator[int] = field(default_factory=lambda: iter(range(1, 1000)))

    def builder(self, *items: list[Any]) -> tuple[FrameBuilder, RunMappers]:
        """Return a request whose root has mapped items, and the batch of these."""
        state = RequestState(PLAN)
        root = Payload(1, 1, b"\x90", offsets=pack_offsets([1]))
        state.apply(Accepted(1.0, "j", "s", "p", root, 60.0))
        packed = [values.pack([f"k{number}", item]) for number, item in enumerate(items)]
        ends = [sum(map(len, packed[: number + 1])) for number in range(len(packed))]
        chunk = Payload(len(packed), ends[-1], b"".join(packed), offsets=pack_offsets(ends))
        state.apply(Mapped(1.0, ROOT, ROOT, "s", 1, len(packed), chunk, "d"))
        services = SimpleNamespace(settings=Settings())
        builder = FrameBuilder(REQUEST, state, cast("Services", services))
        return builder, RunMappers(state.tree.chunks[1], 1, len(packed))

    def run(
        self, *items: list[Any], owner: Address = OWNER, requires: tuple[str, ...] = ("general",)
    ) -> int:
        """Run a batch of mappers, whose vertices begin at 1; return its ticket."""
        builder, batch = self.builder(*items)
        run = builder.mappers(next(self.tickets), batch)
        work = replace(run.work, chunk_pairs=CHUNK_PAIRS)
        self.executors.run(Run(run.ticket, KEY, work, requires), owner)
        return run.ticket

    def pull(self, vertex: int, owner: Address = OWNER) -> int:
        """Ask a suspended mapper for more; return the ticket."""
        builder, _ = self.builder(["map", 9])
        builder._state.tree.branch(vertex, builder._state.tree.chunks[1])
        pull = builder.pull(next(self.tickets), PullMapper(vertex, 1))
        self.executors.pull(pull, owner)
        return pull.ticket

    def answer(self, ticket: int) -> Any:
        """Wait for the answer to a ticket."""
        return self.until(lambda: [m for _, m in self.heard if ticket_of(m) == ticket])

    def until(self, found: Callable[[], list[Any]]) -> Any:
        """Let time pass until something is found."""
        deadline = time.monotonic() + 60.0
        while not found():
            assert time.monotonic() < deadline, f"it never became true: {self.heard}"
            self.step()
        return found()[0]

    def pass_time(self) -> None:
        """Let enough time pass for whatever is on its way."""
        done = self.run(["return", 1], owner=OTHER)
        self.answer(done)


def ticket_of(message: Any) -> int:
    return message.ticket if isinstance(message, Ran | Lost) else 0


class Library:
    """Knows the two handlers."""

    def known_code(self, _: str, version: str) -> LoadHandler | None:
        return HANDLERS[version]

    def code(self, _: str, version: str) -> LoadHandler:
        return HANDLERS[version]


class ToldWorld(World):
    """A world in which an item says what its mapper does."""

    def outcome(self, value: Any) -> tuple[str | None, list[list[Any]]]:
        what, count = value
        if what == "map":
            return "s", [[number, ["return", 1]] for number in range(count)]
        return None, [["k", number] for number in range(count)]


def real(folder: Path) -> Iterator[Stage]:
    loop, heard = asyncio.new_event_loop(), []
    settings = Settings(node=NodeSettings(data_dir=str(folder), executors=1))

    async def start() -> ExecutorPool:
        pool = ExecutorPool(
            settings,
            os.environ,
            node_id="n",
            incarnation=1,
            temp_dir=folder / "tmp",
            library=Library(),
            deliver=lambda *said: heard.append(said),
            notify=lambda _: None,
        )
        await pool.start()
        return pool

    pool = loop.run_until_complete(start())

    def step() -> None:
        loop.run_until_complete(asyncio.sleep(0.001))

    def kill(is_at_work: bool) -> None:
        while is_at_work and not any(e.progress().number for e in pool._executors):
            step()
        for executor in pool._executors:
            executor.kill_group()

    blobs = BlobFolder(folder / "blobs")
    yield Stage(pool, step, kill, heard, blobs)
    loop.run_until_complete(pool.close())
    loop.close()


def simulated(folder: Path) -> Iterator[Stage]:
    scheduler, heard, faults = VirtualScheduler(1), [], Faults()
    executors = SimulatedExecutors(ToldWorld(1, 1), random.Random(1), scheduler, faults, {})
    base: Any = SimpleNamespace(deliver=lambda *said: heard.append(said))
    executors.base = base

    def kill(is_at_work: bool) -> None:
        faults.crash = 1.0 if is_at_work else 0.0
        for key in list(executors.kept):
            executors.lose(key)

    yield Stage(
        executors,
        lambda: scheduler.advance(0.001),
        kill,
        heard,
        BlobFolder(folder / "blobs"),
    )


def is_lost(answer: Any) -> bool:
    """Whether a mapper that was asked is said not to be there."""
    if isinstance(answer, Lost):
        return answer.culprit is None and answer.failure.kind == "lost"
    return [s.failure.kind for s in answer.segments if isinstance(s, FailedRun)] == ["lost"]
