"""What it costs a node's loop to be asked about its actors, and actors to be counted and traced.

``python -m tests.bench.console [--actors 20000]``. ``total`` is the processor time of an answer,
with its encoding; ``longest`` the longest time in which the loop could do nothing else; ``wait``
is the same on the clock. Medians of several tries.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, cast

import click
import uvloop
from rich.console import Console
from rich.table import Table
from thespian.actors import ActorAddress

from jobx import questions, views
from jobx.actors.gateway.console_verbs import ConsoleVerbs
from jobx.actors.gateway.elsewhere import Elsewhere
from jobx.actors.gateway.node_verbs import MAX_ACTORS
from jobx.actors.gateway.waiters import Waiters
from jobx.actors.inspection import actor_views
from jobx.actors.ports import Services
from jobx.actors.runtime.actor import LoopActor
from jobx.actors.runtime.actor_filter import ActorFilter
from jobx.actors.runtime.limits import EngineLimits
from jobx.actors.runtime.mail_trace import MailTraces
from jobx.actors.runtime.scheduler import LoopScheduler
from jobx.actors.runtime.system import LoopSystemBase
from jobx.config import Settings
from jobx.kv.blobs import BlobFolder

#: Tries of each question.
TRIES: Final = 15
#: Actors below each coordinator.
_BATCHES: Final = 9
_NOBODY: Final = cast("Any", None)


class Batch(LoopActor):
    """Calls itself as a batch does."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number
        self.is_busy = number % 7 > 0

    def describe(self) -> str:
        """Return what lists show."""
        return f"Batch each m{self._number} x{self._number % 1000}"

    def receiveMessage(self, message: object, sender: ActorAddress) -> None:  # noqa: N802 - Thespian's
        """Pass a message on that counts down."""
        if isinstance(message, tuple) and message[0]:
            self.send(message[1], (message[0] - 1, self.myAddress))


class Coordinator(Batch):
    """Calls itself as a coordinator does, and has batches."""

    held_bytes = 1000

    def __init__(self, number: int) -> None:
        super().__init__(number)
        for below in range(_BATCHES):
            self.create(Batch, number + below)

    def describe(self) -> str:
        """Return what lists show."""
        return "Coordinator " + "/".join(("texts", f"01m8p287prq5w0vnkgnf{self._number:06d}"))


class Root(LoopActor):
    """Has all coordinators."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.coordinators = [self.create(Coordinator, number) for number in range(count)]


def node(count: int) -> tuple[LoopSystemBase, ConsoleVerbs]:
    """Return a system with so many actors, and what answers questions about it."""
    base = LoopSystemBase(
        LoopScheduler(asyncio.get_running_loop()),
        node_id="bench",
        incarnation=1,
        capabilities={},
        services=None,
        limits=EngineLimits(mailbox=10_000_000),
    )
    base.create(None, Root, arguments=(count // (_BATCHES + 1),))
    services = Services(
        *("bench", 1, Settings(), _NOBODY, _NOBODY, BlobFolder(Path("/nowhere"))),
        *(time.monotonic, time.time, _NOBODY),
    )
    elsewhere = Elsewhere("bench")
    parts = services, base, MailTraces(base), Waiters(), elsewhere
    return base, ConsoleVerbs(*parts, {"Batch"}, {"Batch"}, list)


async def asked(ask: Callable[[], Awaitable[Any]]) -> tuple[float, float, float]:
    """Return processor time of an answer, and the longest stretch of the loop: CPU and clock."""
    stretches: list[tuple[float, float]] = []
    before = time.thread_time(), time.monotonic()
    loop, is_over = asyncio.get_running_loop(), False

    def turn() -> None:
        nonlocal before
        now = time.thread_time(), time.monotonic()
        stretches.append((now[0] - before[0], now[1] - before[1]))
        before = now
        if not is_over:
            loop.call_soon(turn)

    began_s = time.thread_time()
    loop.call_soon(turn)
    questions.encode_answer(1, await ask())
    took_s = time.thread_time() - began_s
    is_over = True
    await asyncio.sleep(0.001)
    return took_s, max(cpu for cpu, _ in stretches), max(wall for _, wall in stretches)


def rows(base: LoopSystemBase, verbs: ConsoleVerbs) -> dict[str, Callable[[], Awaitable[Any]]]:
    """Return what is asked, by its name."""
    (root,) = [cell for cell in base.cells() if cell.account.class_name == "Root"]
    ask = questions

    async def tree() -> Any:
        return views.ActorTree(actors=actor_views.actor_trees(base.tree(MAX_ACTORS)))

    return {
        "summary": lambda: verbs.summary(ask.GetActorSummary()),
        "list, first 100": lambda: verbs.list_page(ask.ListActors()),
        "list, first 1,000": lambda: verbs.list_page(ask.ListActors(limit=1000)),
        "list by class": lambda: verbs.list_page(ask.ListActors(class_name="Coordinator")),
        "list by state": lambda: verbs.list_page(ask.ListActors(state="stopping")),
        "list by name, of one": lambda: verbs.list_page(ask.ListActors(name="nkgnf000999")),
        "list below the root": lambda: verbs.list_page(ask.ListActors(below=str(root.address))),
        "top by time": lambda: verbs.top(ask.TopActors()),
        "top by held": lambda: verbs.top(ask.TopActors(by="held")),
        "show the root": lambda: verbs.show(ask.GetActor(address=str(root.address))),
        "tree, first 1,000": tree,
    }


async def mail_rate(base: LoopSystemBase, count: int) -> float:
    """Return how many messages a second two actors exchange."""
    actors = [cell.address for cell in base.cells() if cell.account.class_name == "Batch"]
    began_s = time.thread_time()
    base.deliver(actors[0], (count, actors[1]), actors[1])
    before = base.counters().delivered
    while base.counters().delivered < before + count:
        await asyncio.sleep(0)
    return count / (time.thread_time() - began_s)


async def measure(count: int) -> Table:
    """Return the table."""
    base, verbs = node(count)
    table = Table("asked", "total ms", "longest ms", "wait ms")
    for name, ask in rows(base, verbs).items():
        tries = [await asked(ask) for _ in range(TRIES)]
        table.add_row(
            name, *(f"{statistics.median(one) * 1000:.2f}" for one in zip(*tries, strict=True))
        )
    idle = await mail_rate(base, 200_000)
    trace = verbs.traces.begin(ActorFilter(class_name="Root"), None, 10)
    traced = await mail_rate(base, 200_000)
    verbs.traces.end(trace)
    after = await mail_rate(base, 200_000)
    table.add_row("messages a second", f"{idle:,.0f}", "", "")
    table.add_row("… beside a trace of others", f"{traced:,.0f}", "", "")
    table.add_row("… after it", f"{after:,.0f}", "", "")
    return table


@click.command()
@click.option("--actors", default=20_000, show_default=True, help="How many there are.")
def main(actors: int) -> None:
    """Measure the console."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        Console().print(runner.run(measure(actors)))


if __name__ == "__main__":
    main()
