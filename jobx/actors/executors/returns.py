"""What comes back from executors: their answers, and the work of those that died."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from thespian.actors import ActorAddress

from jobx.actors import notification
from jobx.actors.executor_failures import KEEPER_GONE, unread
from jobx.actors.executors import rebalancing
from jobx.actors.executors.process import Executor, WorkItem
from jobx.actors.executors.processes import ExecutorProcesses
from jobx.actors.executors.report_checks import fault_in
from jobx.actors.executors.sending import Deliver, Sending
from jobx.actors.executors.sharing import Sharing
from jobx.actors.messages import Lost, Ran, SuspendedLost
from jobx.actors.metrics import Metrics
from jobx.actors.notification import Notification
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
from jobx.work import DropMappers

#: Executors that may die before one of them starts an item; after that the item is blamed.
MAX_UNSTARTED: Final = 3


class Returns:
    """Takes what comes back, tells the owners of the work, and lets other work follow.

    Args:
        node_id: Where work was done, in what owners hear.
        processes: The executors.
        sharing: Shares out what comes back undone.
        sending: Sends the work that waits for one executor.
        deliver: Sends a message to an owner.
        notify: Tells people.
        metrics: Counts deaths.
    """

    def __init__(
        self,
        node_id: str,
        processes: ExecutorProcesses,
        sharing: Sharing,
        sending: Sending,
        *,
        deliver: Deliver,
        notify: Callable[[Notification], None],
        metrics: Metrics,
    ) -> None:
        self._node_id = node_id
        self._processes = processes
        self._sharing = sharing
        self._sending = sending
        self._deliver = deliver
        self._notify = notify
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()

    def hear(self, executor: Executor, report: Report | UnreadReport) -> None:
        """Take what an executor says."""
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

    def dead(self, executor: Executor, blame: Failure) -> None:
        """Report the work of a dead executor."""
        is_wanted = not self._processes.is_closing
        if is_wanted:
            self._metrics.deaths[_cause(executor, blame),].add()
        is_told = (executor.work or not executor.was_ready) and blame.kind not in (
            "cancelled",
            "lost",
        )
        if is_told and is_wanted:
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


def _note_suspended(executor: Executor, owner: ActorAddress, segments: list[Segment]) -> None:
    for segment in segments:
        if isinstance(segment, MappedChunk) and segment.more:
            executor.suspended.setdefault(owner, set()).add(segment.vertex)
        elif isinstance(segment, MappedChunk | FailedRun):
            executor.release(owner, segment.vertex)


def _begun(item: WorkItem, segments: list[Segment]) -> int:
    unstarted: int = sum([s.count for s in segments if isinstance(s, Unstarted)])
    return len(item.work.vertices) - unstarted
