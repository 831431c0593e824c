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

from msgspec.structs import replace
from thespian.actors import ActorAddress

from jobx.actors import notification
from jobx.actors.executor_failures import KEEPER_GONE, unread
from jobx.actors.executors import overdue, rebalancing
from jobx.actors.executors.answers import fault_in
from jobx.actors.executors.process import Executor, WorkItem
from jobx.actors.executors.processes import ExecutorProcesses, Starts, late
from jobx.actors.executors.rebalancing import Away
from jobx.actors.executors.sending import Code, Deliver, Sending
from jobx.actors.executors.sharing import Sharing
from jobx.actors.messages import Lost, Pull, Ran, RequestKey, Run, SuspendedLost
from jobx.actors.metrics import Metrics
from jobx.actors.notification import Notification
from jobx.actors.request.standing import Busy, Place
from jobx.actors.runtime.address import Address
from jobx.config import Settings
from jobx.kv.blobs import BlobFolder
from jobx.model import Failure
from jobx.segments import (
    FailedRun,
    Leaving,
    MappedChunk,
    ReadyReport,
    Report,
    ResultReport,
    Segment,
    UnreadReport,
    Unstarted,
)
from jobx.views import ExecutorView
from jobx.work import DropMappers

#: How often the time of running work is checked.
TICK_S: Final = 0.1
#: Executors that may die before one of them starts an item; after that the item is blamed.
MAX_UNSTARTED: Final = 3


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
        self._metrics = metrics or Metrics()
        self._borrowed = 0
        self._offered = frozenset(settings.capabilities)
        self._count = settings.executor_count
        self._node_id = node_id
        self._deliver = deliver
        self._notify = notify
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

    def places(self, owners: Collection[ActorAddress]) -> dict[tuple[ActorAddress, int], Place]:
        """Return where the work of owners is that has been sent, by owner and ticket."""
        return {
            (item.owner, item.ticket): executor.place_of(item, self._sharing.usual_s(item))
            for executor in self._executors
            for item in (*executor.work.values(), *executor.waiting)
            if item.owner in owners
        }

    def busy(self) -> dict[RequestKey, Busy]:
        """Return the requests that executors are at."""
        now, found = self._loop.time(), dict[RequestKey, Busy]()
        for executor in self._executors:
            front = next(iter(executor.work.values()), None)
            if front is None:
                continue
            since = now - executor.progress().running_s
            known = found.get(front.key)
            count = 1 if known is None else known.count + 1
            if known is not None and known.since <= since:
                found[front.key] = replace(known, count=count)
            else:
                found[front.key] = Busy(*front.key, count, executor.at_work_on(front), since)
        return found

    def abandoned(self, key: RequestKey) -> list[tuple[int, float]]:
        """Return the executors that are still at work of a request that has ended.

        Each with the instant at which it is killed, monotonic.
        """
        return [
            (executor.pid, item.abandoned_at + overdue.ABANDON_S)
            for executor in self._executors
            for item in executor.work.values()
            if item.key == key and item.abandoned_at
        ]

    @property
    def starts(self) -> Starts | None:
        """Why no executor can take work now; None if one can, or there is to be none."""
        return self._processes.starts

    def views(self) -> list[ExecutorView]:
        """Return the views of the executors."""
        now = self._loop.time()
        return [_view(executor, now) for executor in self._executors]

    def _hear(self, executor: Executor, report: Report | UnreadReport) -> None:
        if isinstance(report, ReadyReport):
            if executor.state == "starting":
                executor.enter("ready" if executor.has_seat else "blank", self._loop.time())
                executor.was_ready = True
            self._sharing.pump()
        elif isinstance(report, ResultReport):
            self._answered(executor, report)
        elif isinstance(report, Leaving):
            executor.enter("leaving", self._loop.time())
            executor.has_left = True
            self._take_back(executor)
            self._sharing.pump()
        else:
            self._unread(executor, report)

    def _unread(self, executor: Executor, report: UnreadReport) -> None:
        """Fail the work whose answer cannot be read, and replace the executor."""
        if executor.blame is not None:
            return
        blame = unread(report.reason)
        front = next(iter(executor.work), 0)  # answers come in the order of the work
        number = report.id if report.id in executor.work else front
        item = executor.work.pop(number, None)
        if item is not None and not item.abandoned_at:
            self._notify(notification.executor_died(blame, True))
            executor.release(item.owner, item.first_vertex)
            self._deliver(item.owner, Lost(item.ticket, item.first_vertex, blame))
        self._take_back(executor)
        executor.kill(blame, executor.progress())
        self._sharing.pump()

    def _answered(self, executor: Executor, result: ResultReport) -> None:
        now = self._loop.time()
        item = executor.work.get(result.id)
        fault = None
        if item is not None:
            is_recalled = result.id <= executor.recalled
            fault = fault_in(item.work, result.segments, is_recalled=is_recalled)
        if fault is not None:
            self._unread(executor, UnreadReport(result.id, fault))
            return
        executor.work.pop(result.id, None)
        if not executor.work:
            executor.idle_since = now
        if item is None or item.abandoned_at:
            self._drop_late(executor, result)
        elif not result.segments:  # it was recalled before it began
            item.returned += 1
            self._sharing.add(item, first=True)
        else:
            begun = _begun(item, result.segments)
            executor.invocations += begun
            if begun:
                self._sharing.ended(item, (now - item.sent_at) / begun)
            segments = rebalancing.without_taken(result.segments, item.stop)
            _note_suspended(executor, item.owner, segments)
            span_us = int(executor.time_of(item, now) * 1e6)
            place = self._node_id, executor.pid, span_us
            ran = Ran(item.ticket, segments, *place, result.data)
            self._deliver(item.owner, ran)
        for waiting in executor.work.values():
            waiting.sent_at = now
        while executor.waiting and len(executor.work) < 2:
            self._sending.send(executor, executor.waiting.popleft())
        self._sharing.pump()

    def _drop_late(self, executor: Executor, result: ResultReport) -> None:
        """Close the mappers that an unwanted answer left suspended."""
        kept = [s.vertex for s in result.segments if isinstance(s, MappedChunk) and s.more]
        if kept:
            executor.send(DropMappers(result.request_id, kept))

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

    def _dead(self, executor: Executor, blame: Failure) -> None:
        """Report the work of a dead executor."""
        if not self._processes.is_closing:
            self._metrics.deaths.of(_cause(executor, blame)).add()
        is_told = (executor.work or not executor.was_ready) and blame.kind not in (
            "cancelled",
            "lost",
        )
        if is_told and not self._processes.is_closing:
            self._notify(notification.executor_died(blame, executor.was_ready))
        self._report_culprit(executor, blame)
        self._take_back(executor)
        for owner, vertices in executor.suspended.items():
            self._deliver(owner, SuspendedLost(tuple(vertices), KEEPER_GONE))
        executor.suspended.clear()
        self._sharing.pump()

    def _report_culprit(self, executor: Executor, blame: Failure) -> None:
        """Report the work that killed an executor: the running work, or what it failed to start."""
        progress = executor.progress()
        culprit, vertex = executor.work.get(progress.number), progress.vertex
        stage = progress.stage
        if progress.number == 0 and executor.work:
            front = next(iter(executor.work.values()))
            front.unstarted += 1
            if front.unstarted >= MAX_UNSTARTED:
                culprit, vertex, stage = front, front.first_vertex, "mapper"
        if culprit is not None:
            del executor.work[culprit.number]
            if not culprit.abandoned_at:
                executor.release(culprit.owner, vertex)
                self._deliver(culprit.owner, Lost(culprit.ticket, vertex, blame, stage))

    def _take_back(self, executor: Executor) -> None:
        """Take back the work that an executor will not start."""
        for item in (*executor.waiting, *reversed(executor.work.values())):
            if item.abandoned_at:
                continue
            # Its mapper died with the executor, or its owner has part of it: the owner decides.
            if item.is_pinned or item.stop:
                executor.release(item.owner, item.first_vertex)
                self._deliver(item.owner, Lost(item.ticket, None, KEEPER_GONE))
            else:
                self._sharing.add(item, first=True)
        executor.work.clear()
        executor.waiting.clear()


def _cause(executor: Executor, blame: Failure) -> str:
    """Return why an executor ended, as metrics name it."""
    if not executor.was_ready:
        return "not_ready"
    is_replaced = executor.has_left and executor.blame is None
    return "replaced" if is_replaced else blame.kind


def _view(executor: Executor, now: float) -> ExecutorView:
    at_work = next(iter(executor.work.values()), None)
    return ExecutorView(
        pid=executor.pid,
        state=executor.shown_state,
        invocations=executor.invocations,
        rss_bytes=executor.rss_bytes,
        age_s=now - executor.born,
        workflow=at_work.key.workflow if at_work is not None else None,
        request_id=at_work.key.request_id if at_work is not None else None,
    )


def _note_suspended(executor: Executor, owner: ActorAddress, segments: list[Segment]) -> None:
    for segment in segments:
        if isinstance(segment, MappedChunk) and segment.more:
            executor.suspended.setdefault(owner, set()).add(segment.vertex)
        elif isinstance(segment, MappedChunk | FailedRun):
            executor.release(owner, segment.vertex)


def _begun(item: WorkItem, segments: list[Segment]) -> int:
    unstarted: int = sum([s.count for s in segments if isinstance(s, Unstarted)])
    return len(item.work.vertices) - unstarted
