"""The pool of executors: who runs what, in which order, and what follows when one dies.

Requests take turns (round robin), so a huge one never starves a small one. An executor belongs to
one workflow (``placing.py`` decides which work it gets), and has at most two work frames: a running
one and one behind it, so that it need not wait for the node. Work that another executor can do
sooner is recalled (``sharing.py``, ``rebalancing.py``).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from thespian.actors import ActorAddress

from jobx.actors.executor_failures import KEEPER_GONE
from jobx.actors.executors import at_work, overdue, rebalancing
from jobx.actors.executors.paces import UsualTime
from jobx.actors.executors.process import Executor, WorkItem
from jobx.actors.executors.processes import ExecutorProcesses, Starts, late
from jobx.actors.executors.rebalancing import Away
from jobx.actors.executors.returns import Returns
from jobx.actors.executors.sending import Code, Deliver, Sending
from jobx.actors.executors.sharing import Sharing
from jobx.actors.messages import Lost, Pull, RequestKey, Run
from jobx.actors.metrics import Metrics
from jobx.actors.notification import Notification
from jobx.actors.request.standing import Busy, Whereabouts
from jobx.actors.runtime.address import Address
from jobx.config import Settings
from jobx.kv.blobs import BlobFolder
from jobx.model import Failure
from jobx.segments import Report, UnreadReport
from jobx.views import ExecutorView
from jobx.work import DropMappers

#: How often the time of running work is checked.
TICK_S: Final = 0.1


class ExecutorPool:
    """Runs work frames in executor processes."""

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        *,
        node_id: str,
        incarnation: int,
        temp_dir: Path,
        library: Code,
        deliver: Deliver,
        notify: Callable[[Notification], None],
        metrics: Metrics | None = None,
    ) -> None:
        self._borrowed = 0
        self._offered = frozenset(settings.capabilities)
        self._count = settings.executor_count
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self._is_draining = False
        self._tick: asyncio.Handle | None = None
        self._watched_at = 0.0
        self._processes = ExecutorProcesses(
            settings, environ, temp_dir, on_report=self._hear, on_dead=self._dead
        )
        self._executors = self._processes.executors
        self._sending = Sending(
            library,
            f"{incarnation:x}",
            BlobFolder(settings.blob_path).name,
            deliver,
            sent=self._watch_later,
            again=self._run_first,
        )
        self._sharing = Sharing(self._processes, self._count, self._sending.send, deliver)
        self._returns = Returns(
            *(node_id, self._processes, self._sharing, self._sending),
            deliver=deliver,
            notify=notify,
            metrics=metrics or Metrics(),
        )

    @property
    def slots(self) -> int:
        """Number of executors, with those of other nodes that this one may use; at least 1."""
        return max(1, self._count + self._borrowed)

    def borrow(self, count: int, idle: Callable[[], Sequence[Away]]) -> None:
        """Use executors of other nodes, too.

        Args:
            count: How many may be used.
            idle: Returns those of them that are idle.
        """
        self._borrowed = count
        self._sharing.elsewhere = idle if count else None
        self._sharing.pump()

    @property
    def own_slots(self) -> int:
        """Number of executors of this node that can take work now."""
        if self._is_out:
            return 0
        return sum(executor.has_seat and executor.state == "ready" for executor in self._executors)

    @property
    def _is_out(self) -> bool:
        return self._is_draining or self.trouble is not None or not self._count

    @property
    def kept(self) -> int:
        """Number of idle executors that work which takes long may not have now."""
        return self._sharing.kept

    def is_long(self, run: Run) -> bool:
        """Whether work is known to take long."""
        return self._sharing.is_long(run)

    def give_back(self) -> None:
        """Let other nodes have their waiting work back, unless an executor here will take it."""
        if self._is_out:
            self._sharing.give_back_hosted()

    @property
    def is_divisible(self) -> bool:
        """Whether other executors could do a part of what is at work, and sooner."""
        loads = rebalancing.loads(self._executors, self._loop.time())
        return any(load.recallable and load.is_worth_leaving for load in loads)

    def owners(self) -> Iterator[list[ActorAddress]]:
        """Yield for each executor with work the owners of its work frames, in order."""
        for executor in self._executors:
            if executor.work:
                yield [item.owner for item in executor.work.values()]

    def workflows(self) -> set[str]:
        """Return the workflows with work of requests of this node."""
        items = (item for executor in self._executors for item in executor.work.values())
        at_work = {item.key.workflow for item in items if not Address.is_hosted(item.owner)}
        return at_work | self._sharing.backlog.own()

    def foreign(self) -> set[tuple[str, frozenset[str]]]:
        """Return the workflows of work that only other nodes can do, with what it requires."""
        return self._sharing.backlog.foreign_kinds()

    @property
    def own_waiting(self) -> int:
        """Number of work frames of requests of this node that wait for an executor of it."""
        return self._sharing.backlog.own_count + len(self._sending)

    @property
    def queued(self) -> int:
        """Number of work frames that wait for an executor."""
        return len(self._sharing) + len(self._sending)

    @property
    def is_busy(self) -> bool:
        """Whether any executor has work."""
        return any(executor.work for executor in self._executors)

    @property
    def trouble(self) -> str | None:
        """Why there is no executor; None if there is one. Quick to read."""
        return self._processes.trouble

    def run(self, run: Run, owner: ActorAddress) -> None:
        """Do work as soon as an executor has room; ``owner`` hears Ran or Lost."""
        item = WorkItem(run.ticket, run.key, run.work, owner)
        item.requires = run.requires
        if not self._offered.issuperset(run.requires):
            item.foreign = frozenset(run.requires)
        self._sharing.run(item)

    def _run_first(self, item: WorkItem) -> None:
        self._sharing.add(item, first=True)
        self._sharing.pump()

    def pull(self, pull: Pull, owner: ActorAddress) -> None:
        """Ask the executor of a suspended mapper of ``owner``, who hears Ran or Lost."""
        item = WorkItem(pull.ticket, pull.key, pull.work, owner)
        keeper = self._keeper(pull.work.vertex, owner)
        if keeper is None or (self._is_draining and Address.is_hosted(owner)):
            self._deliver(owner, Lost(pull.ticket, None, KEEPER_GONE))
        elif self._is_draining:
            return  # the mapper is restarted when the node is
        elif len(keeper.work) < 2:
            self._sending.send(keeper, item)
        else:
            keeper.waiting.append(item)

    def discard(self, key: RequestKey, vertex: int, owner: ActorAddress) -> None:
        """Close a suspended mapper of ``owner``."""
        keeper = self._keeper(vertex, owner)
        if keeper is not None:
            keeper.release(owner, vertex)
            keeper.send(DropMappers(key.request_id, [vertex]))

    def abandon(self, key: RequestKey, owner: ActorAddress) -> None:
        """Forget all work of an owner; running work gets a moment to end by itself."""
        now = self._loop.time()
        self._sharing.drop(key, owner)
        self._sending.forget(owner)
        for executor in self._executors:
            suspended = list(executor.suspended.pop(owner, ()))
            if suspended:
                executor.send(DropMappers(key.request_id, suspended))
            if executor.waiting:
                executor.waiting = deque(i for i in executor.waiting if i.owner != owner)
            for item in executor.work.values():
                if item.owner == owner:
                    item.abandoned_at = now
                    executor.recall(item.number, now)

    def drain(self) -> None:
        """Send nothing more; running work ends after its current invocation."""
        self._is_draining = True
        self._sharing.stop()
        for executor in self._executors:
            for item in executor.waiting:
                if Address.is_hosted(item.owner):  # its node goes on
                    self._deliver(item.owner, Lost(item.ticket, None, KEEPER_GONE))
            executor.waiting.clear()
            executor.recall(self._sending.number, self._loop.time())

    async def start(self, timeout_s: float = 30.0) -> None:
        """Start all executors and wait until they can take work.

        Raises:
            DeadlineExceeded: They are not ready in time.
        """
        await self._processes.start(timeout_s)

    async def close(self) -> None:
        """End all executors; bounded."""
        if self._tick is not None:
            self._tick.cancel()
        self._sharing.stop()
        self._sending.close()
        await self._processes.close()
        self._executors.clear()  # actors that end later still abandon the work of these

    def places(
        self, owners: Collection[ActorAddress]
    ) -> dict[tuple[ActorAddress, int], Whereabouts]:
        """Return where the work of owners is that has been sent, by owner and ticket."""
        return at_work.places(self._executors, owners, self._sharing.usual_s)

    def usual_times(self) -> list[UsualTime]:
        """Return how long invocations of the versions that ran last usually take."""
        return self._sharing.usual_times()

    def recall_usual(self, times: Sequence[UsualTime]) -> None:
        """Take over what an earlier life has learned."""
        self._sharing.recall_usual(times)

    def busy(self) -> dict[RequestKey, Busy]:
        """Return the requests that executors are at."""
        return at_work.busy(self._executors, self._loop.time())

    def abandoned(self, key: RequestKey) -> list[tuple[int, float]]:
        """Return the executors that are still at work of a request that has ended.

        Each with the instant at which it is killed, monotonic.
        """
        return at_work.abandoned(self._executors, key)

    def views(self) -> list[ExecutorView]:
        """Return the views of the executors."""
        now = self._loop.time()
        return [at_work.view(executor, now) for executor in self._executors]

    @property
    def starts(self) -> Starts | None:
        """Why no executor can take work now; None if one can, or there is to be none."""
        return self._processes.starts

    def _hear(self, executor: Executor, report: Report | UnreadReport) -> None:
        self._returns.hear(executor, report)

    def _dead(self, executor: Executor, blame: Failure) -> None:
        self._returns.dead(executor, blame)

    def _keeper(self, vertex: int, owner: ActorAddress) -> Executor | None:
        for executor in self._executors:
            is_here = vertex in executor.suspended.get(owner, ())
            if is_here and executor.state in ("ready", "parked"):
                return executor
        return None

    def _watch(self) -> None:
        now = self._loop.time()
        is_late = late(self._watched_at, TICK_S, now)  # this process stood still: answers wait
        for executor in list(self._executors) if not is_late else ():
            if executor.work and executor.state in ("ready", "parked", "leaving"):
                self._sharing.runs(executor)
                blame = overdue.at_work(executor, now)
                if blame is not None:
                    executor.kill(blame, executor.progress())
        self._tick = None
        if any(executor.work for executor in self._executors):
            self._watch_later()

    def _watch_later(self) -> None:
        if self._tick is None:
            self._watched_at = self._loop.time()
            self._tick = self._loop.call_later(TICK_S, self._watch)
