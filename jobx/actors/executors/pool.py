"""The pool of executors: who runs what, in which order, and what follows when one dies.

Requests take turns (round robin), so a huge one never starves a small one. An executor belongs to
one workflow (``placing.py`` decides which work it is given), and has at most two work frames: one
at work and one behind it, so that it need not wait for the node. What is better done elsewhere is
recalled (``rebalancing.py``).
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Protocol

from thespian.actors import ActorAddress

from jobx.actors import notification
from jobx.actors.executor_failures import KEEPER_GONE, unread, unsendable
from jobx.actors.executors import limits, placing, rebalancing
from jobx.actors.executors.backlog import Backlog, Queue
from jobx.actors.executors.paces import Paces
from jobx.actors.executors.process import Executor, WorkItem
from jobx.actors.executors.processes import Fleet, late
from jobx.actors.messages import Lost, Pull, Ran, RequestKey, Run, SuspendedLost, TakenBack
from jobx.actors.notification import Notification
from jobx.config import Settings
from jobx.errors import InternalError, JobxError
from jobx.model import Failure
from jobx.segments import (
    FailedRun,
    Leaving,
    MappedChunk,
    Ready,
    Report,
    Result,
    Segment,
    Unread,
    Unstarted,
)
from jobx.views import ExecutorView

#: How often the time of running work is looked at.
TICK_S: Final = 0.1
#: How often it is looked whether work that waits may be sent by now.
WAITING_S: Final = 0.02
#: Executors that an item may cost before one of them has begun with it; then it is blamed.
MAX_UNSTARTED: Final = 3

Deliver = Callable[[ActorAddress, object], None]


class Code(Protocol):
    """Knows the fields of a ``load`` frame for a handler version of a workflow."""

    def known_code(self, workflow: str, version: str) -> dict[str, Any] | None:
        """Return them, None when they have to be read first."""

    def code(self, workflow: str, version: str) -> dict[str, Any]:
        """Return them; blocks, in any thread, and raises a JobxError when they cannot be had."""


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
    ) -> None:
        self._count = settings.executor_count
        self._node_id = node_id
        self._stem = f"{incarnation:x}"
        self._library = library
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="code")
        self._reading: dict[asyncio.Task[None], WorkItem] = {}
        self._deliver = deliver
        self._notify = notify
        self._backlog = Backlog()
        self._paces = Paces()
        self._short_at = self._long_at = -math.inf
        self._is_draining = False
        self._numbers = 0
        self._tick: asyncio.Handle | None = None
        self._watched_at = 0.0
        self._look: asyncio.Handle | None = None
        self._fleet = Fleet(settings, environ, temp_dir, on_report=self._hear, on_dead=self._dead)
        self._executors = self._fleet.executors

    @property
    def slots(self) -> int:
        """Executors that this node has."""
        return self._count

    @property
    def queued(self) -> int:
        """Work frames that wait for an executor."""
        return len(self._backlog) + len(self._reading)

    @property
    def is_busy(self) -> bool:
        """Whether any executor has work."""
        return any(executor.work for executor in self._executors)

    @property
    def trouble(self) -> str | None:
        """Why no executor can be had, None: they can; quick to ask."""
        return self._fleet.trouble

    def run(self, work: Run, owner: ActorAddress) -> None:
        """Run a work frame as soon as an executor has room; ``owner`` hears Ran or Lost."""
        item = WorkItem(work.ticket, work.key, work.frame, work.versions, work.time_limit_s, owner)
        self._enqueue(item)
        self._pump()

    def pull(self, pull: Pull, owner: ActorAddress) -> None:
        """Ask the executor that keeps a mapper of ``owner``; it hears Ran or Lost."""
        item = WorkItem(pull.ticket, pull.key, pull.frame, (), pull.time_limit_s, owner)
        keeper = self._keeper(pull.vertex, owner)
        if keeper is None:
            self._deliver(owner, Lost(pull.ticket, None, KEEPER_GONE))
        elif self._is_draining:
            return  # the mapper begins anew when the node does
        elif len(keeper.work) < 2:
            self._send(keeper, item)
        else:
            keeper.waiting.append(item)

    def discard(self, key: RequestKey, vertex: int, owner: ActorAddress) -> None:
        """Close a suspended mapper of ``owner``."""
        keeper = self._keeper(vertex, owner)
        if keeper is not None:
            keeper.release(owner, vertex)
            keeper.send({"t": "drop", "request_id": key.request_id, "vertices": [vertex]})

    def abandon(self, key: RequestKey, owner: ActorAddress) -> None:
        """Forget all of an owner; what it has at work gets a moment to end by itself."""
        now = self._loop.time()
        self._backlog.drop(key, owner)
        for task, item in self._reading.items():
            if item.owner == owner:
                task.cancel()
        for executor in self._executors:
            suspended = list(executor.suspended.pop(owner, ()))
            if suspended:
                executor.send({"t": "drop", "request_id": key.request_id, "vertices": suspended})
            if executor.waiting:
                executor.waiting = deque(i for i in executor.waiting if i.owner != owner)
            for item in executor.work.values():
                if item.owner == owner:
                    item.abandoned_at = now
                    executor.recall(item.number, now)

    def drain(self) -> None:
        """Send nothing more; what is at work ends with the invocation that it is at."""
        self._is_draining = True
        for executor in self._executors:
            executor.waiting.clear()
            executor.recall(self._numbers, self._loop.time())

    async def start(self, timeout_s: float = 30.0) -> None:
        """Start all executors and wait until they can take work.

        Raises:
            DeadlineExceeded: They are not ready in time.
        """
        self._loop = asyncio.get_running_loop()
        await self._fleet.start(timeout_s)

    async def close(self) -> None:
        """End all executors; bounded."""
        for timer in (self._tick, self._look):
            if timer is not None:
                timer.cancel()
        for task in self._reading:
            task.cancel()
        self._reader.shutdown(wait=False, cancel_futures=True)
        await self._fleet.close()
        self._executors.clear()  # actors that end later still abandon what these had

    def views(self) -> list[ExecutorView]:
        """Return the executors as people see them."""
        now = self._loop.time()
        return [
            ExecutorView(
                pid=executor.pid,
                state="busy" if executor.work and executor.state == "ready" else executor.state,
                invocations=executor.invocations,
                rss_bytes=executor.rss_bytes,
                age_s=now - executor.born,
            )
            for executor in self._executors
        ]

    def _enqueue(self, item: WorkItem, *, first: bool = False) -> None:
        item.is_long = self._paces.is_long(item)
        (self._backlog.long if item.is_long else self._backlog.short).add(item, first=first)

    def _pump(self) -> None:
        """Send out queued work, and look soon at how it is shared out if that could be changed."""
        self._hand_out()
        if self._look is None:
            if any(executor.is_divisible for executor in self._executors):
                self._look = self._loop.call_later(rebalancing.BALANCE_S, self._balance)
            elif self._may_be_sent_later:
                self._look = self._loop.call_later(WAITING_S, self._balance)

    @property
    def _may_be_sent_later(self) -> bool:
        """Whether work waits though executors are idle."""
        return len(self._backlog) > 0 and any(
            executor.state == "ready" and executor.has_seat and not executor.work
            for executor in self._executors
        )

    def _hand_out(self) -> None:
        """Send queued work to executors with room: workflows take turns, and requests in them."""
        while self._backlog and not self._is_draining:
            now = self._loop.time()
            short, long = self._backlog.short, self._backlog.long
            queues = self._sendable(now) if long.count else [short]
            choice = placing.choose(self._executors, queues, now)
            if choice is None:
                break
            if choice.is_change:
                self._fleet.change(choice.executor, choice.workflow)
                continue
            item = choice.queue.take(choice.workflow)
            if self._paces.is_long(item) != item.is_long:  # it is known better since
                self._enqueue(item)
                continue
            if item.is_long:
                self._long_at = now
            elif not self._paces.is_of_long_job(item):
                self._short_at = now
            self._send(choice.executor, item)

    def _send(self, executor: Executor, item: WorkItem) -> None:
        if not self._knows_code(executor, item):
            task = self._loop.create_task(self._read_code(item))
            self._reading[task] = item
            task.add_done_callback(self._reading.pop)
            return
        self._numbers += 1
        item.number = self._numbers
        item.sent_at = self._loop.time()
        stem = f"{self._stem}-{item.number:x}"
        if not executor.is_used:
            executor.is_used, executor.workflow = True, item.key.workflow
            executor.since = item.sent_at
        try:
            self._load(executor, item)
            executor.send({**item.frame, "id": item.number, "blob_stem": stem})
        except JobxError as error:
            self._deliver(item.owner, Lost(item.ticket, item.first_vertex, unsendable(error)))
            return
        executor.work[item.number] = item
        self._watch_later()

    def _knows_code(self, executor: Executor, item: WorkItem) -> bool:
        """Whether the handlers of an item that the executor does not have are at hand."""
        for version in item.versions:
            if version not in executor.loaded and version not in item.code:
                known = self._library.known_code(item.key.workflow, version)
                if known is None:
                    return False
                item.code[version] = known
        return True

    async def _read_code(self, item: WorkItem) -> None:
        """Read the handlers of an item in a thread, then run it."""
        try:
            for version in item.versions:
                item.code[version] = await self._loop.run_in_executor(
                    self._reader, self._library.code, item.key.workflow, version
                )
        except Exception as error:  # noqa: BLE001 - whoever waits for the item must hear of it
            failed = error if isinstance(error, JobxError) else InternalError(repr(error))
            self._deliver(item.owner, Lost(item.ticket, item.first_vertex, unsendable(failed)))
            return
        self._enqueue(item, first=True)
        self._pump()

    def _load(self, executor: Executor, item: WorkItem) -> None:
        """Send the handlers of an item that the executor does not have yet."""
        for version in item.versions:
            if version not in executor.loaded:
                executor.send({"t": "load", **item.code[version]})
                executor.loaded.add(version)

    def _hear(self, executor: Executor, report: Report | Unread) -> None:
        if isinstance(report, Ready):
            if executor.state == "starting":
                executor.enter("ready", self._loop.time())
                executor.was_ready = True
            self._pump()
        elif isinstance(report, Result):
            self._answered(executor, report)
        elif isinstance(report, Leaving):
            executor.enter("leaving", self._loop.time())
            self._take_back(executor)
            self._pump()
        else:
            self._unread(executor, report)

    def _unread(self, executor: Executor, report: Unread) -> None:
        """Fail, by name, the work whose answer cannot be read, and replace the executor."""
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
        self._pump()

    def _answered(self, executor: Executor, result: Result) -> None:
        now = self._loop.time()
        item = executor.work.pop(result.id, None)
        if not executor.work:
            executor.idle_since = now
        if item is None or item.abandoned_at:
            self._drop_late(executor, result)
        elif not result.segments:  # it was recalled before it began
            item.returned += 1
            self._enqueue(item, first=True)
        else:
            begun = _begun(item, result.segments)
            executor.invocations += begun
            if begun:
                self._paces.ended(item, (now - item.sent_at) / begun)
            segments = rebalancing.without_taken(result.segments, item.stop)
            _note_suspended(executor, item.owner, segments)
            self._deliver(item.owner, Ran(item.ticket, segments, self._node_id))
        for waiting in executor.work.values():
            waiting.sent_at = now
        while executor.waiting and len(executor.work) < 2:
            self._send(executor, executor.waiting.popleft())
        self._pump()

    def _drop_late(self, executor: Executor, result: Result) -> None:
        """Close the mappers that an answer nobody waits for would keep."""
        kept = [s.vertex for s in result.segments if isinstance(s, MappedChunk) and s.more]
        if kept:
            executor.send({"t": "drop", "request_id": result.request_id, "vertices": kept})

    def _keeper(self, vertex: int, owner: ActorAddress) -> Executor | None:
        for executor in self._executors:
            is_here = vertex in executor.suspended.get(owner, ())
            if is_here and executor.state in ("ready", "parked"):
                return executor
        return None

    def _balance(self) -> None:
        """Recall what another could do, take back what was recalled, look again if need be."""
        self._look = None
        if self._is_draining:
            return
        now = self._loop.time()
        waiting = self._sendable(now)
        having = rebalancing.loads(self._executors, now)
        idle = rebalancing.idle(self._executors, now)
        is_long_sent = len(waiting) > 1
        movable = [one for one in having if is_long_sent or one.holds_up or not one.front.is_long]
        for executor, number in rebalancing.recalls(movable, idle, waiting):
            executor.recall(number, now)
        for load in having:
            self._regain(load, now)
        self._hand_out()
        now, idle = self._loop.time(), rebalancing.idle(self._executors, now)
        if rebalancing.is_uneven(rebalancing.loads(self._executors, now), idle, waiting):
            self._look = self._loop.call_later(rebalancing.BALANCE_S, self._balance)
        elif self._may_be_sent_later:
            self._look = self._loop.call_later(WAITING_S, self._balance)

    def _sendable(self, now: float) -> list[Queue]:
        """Return what may be sent now, what goes first first."""
        having = [e for e in self._executors if e.has_seat and e.work]
        at_work = sum(any(item.is_long for item in e.work.values()) for e in having)
        share = placing.Share(self._count, at_work, now - self._short_at, now - self._long_at)
        return share.order(self._backlog)

    def _regain(self, load: rebalancing.Load, now: float) -> None:
        """Take back what an executor will not come to."""
        behind, first = rebalancing.not_begun(load, now)
        if first:
            load.front.stop = first
            self._deliver(load.front.owner, TakenBack(load.front.ticket, first))
        for item in reversed(behind):
            del load.executor.work[item.number]
            self._enqueue(item, first=True)

    def _watch(self) -> None:
        now = self._loop.time()
        is_late = late(self._watched_at, TICK_S, now)  # this process stood still: answers are here
        for executor in list(self._executors) if not is_late else ():
            if executor.work and executor.state in ("ready", "parked", "leaving"):
                self._note_pace(executor)
                blame = limits.overdue(executor, now)
                if blame is not None:
                    executor.kill(blame, executor.progress())
        self._tick = None
        if any(executor.work for executor in self._executors):
            self._watch_later()

    def _watch_later(self) -> None:
        if self._tick is None:
            self._watched_at = self._loop.time()
            self._tick = self._loop.call_later(TICK_S, self._watch)

    def _note_pace(self, executor: Executor) -> None:
        """Note that an invocation takes long while it does, and free what waits behind it."""
        progress = executor.progress()
        item = executor.work.get(progress.number)
        if item is not None and self._paces.saw(item, progress.running_s):
            item.is_long = True
            if self._look is None and len(executor.work) > 1:
                self._look = self._loop.call_later(rebalancing.BALANCE_S, self._balance)

    def _dead(self, executor: Executor, blame: Failure) -> None:
        """Report what a dead executor had."""
        is_told = (executor.work or not executor.was_ready) and blame.kind not in (
            "cancelled",
            "lost",
        )
        if is_told and not self._fleet.is_closing:
            self._notify(notification.executor_died(blame, executor.was_ready))
        self._report_culprit(executor, blame)
        self._take_back(executor)
        for owner, vertices in executor.suspended.items():
            self._deliver(owner, SuspendedLost(tuple(vertices), KEEPER_GONE))
        executor.suspended.clear()
        self._pump()

    def _report_culprit(self, executor: Executor, blame: Failure) -> None:
        """Report what an executor died of: what it was at, or could not begin with again."""
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
        """Take back what an executor will not come to."""
        for item in (*executor.waiting, *reversed(executor.work.values())):
            if item.abandoned_at:
                continue
            # Its mapper went with the executor, or its owner has part of it back: they decide.
            if item.is_pinned or item.stop:
                executor.release(item.owner, item.first_vertex)
                self._deliver(item.owner, Lost(item.ticket, None, KEEPER_GONE))
            else:
                self._enqueue(item, first=True)
        executor.work.clear()
        executor.waiting.clear()


def _note_suspended(executor: Executor, owner: ActorAddress, segments: list[Segment]) -> None:
    for segment in segments:
        if isinstance(segment, MappedChunk) and segment.more:
            executor.suspended.setdefault(owner, set()).add(segment.vertex)
        elif isinstance(segment, MappedChunk | FailedRun):
            executor.release(owner, segment.vertex)


def _begun(item: WorkItem, segments: list[Segment]) -> int:
    unstarted: int = sum([s.count for s in segments if isinstance(s, Unstarted)])
    count: int = item.frame.get("count", 1)
    return count - unstarted
