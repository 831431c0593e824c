"""The pool of executors: who runs what, in which order, and what follows when one dies.

Requests take turns (round robin), so a huge one never starves a small one. An executor has at most
two work frames: one at work and one behind it, so that it need not wait for the node. What is
better done elsewhere is recalled (see ``balance.py``).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from thespian.actors import ActorAddress

from jobx import frames
from jobx.actors import balance, notices
from jobx.actors.executor import Executor, WorkItem
from jobx.actors.fleet import Fleet
from jobx.actors.losses import KEEPER_GONE, crashed, unsendable
from jobx.actors.messages import KeptLost, Lost, Pull, Ran, RequestKey, Run, TakenBack
from jobx.actors.notices import Notice
from jobx.config import Settings
from jobx.errors import JobxError
from jobx.handlers.protocol import vertices_of
from jobx.model import Failure
from jobx.views import ExecutorView

#: How often the time of running work is looked at.
TICK_S: Final = 0.1
#: An executor that runs longer than its limit by this much is killed from outside.
OVERDUE_S: Final = 1.0
#: Work whose request is gone gets so long to end by itself.
ABANDON_S: Final = 0.5
#: A frame is sent behind one that has run shorter than this.
FRESH_S: Final = 0.1
#: An executor that does not begin with what it has within this is killed.
START_S: Final = 30.0
#: Executors that an item may cost before one of them has begun with it; then it is blamed.
MAX_UNSTARTED: Final = 3

Deliver = Callable[[ActorAddress, object], None]
#: Returns the fields of a ``load`` frame for a handler version of a workflow.
LoadCode = Callable[[str, str], dict[str, Any]]


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
        load_code: LoadCode,
        deliver: Deliver,
        notify: Callable[[Notice], None],
    ) -> None:
        self._count = settings.executor_count
        self._node_id = node_id
        self._stem = f"{incarnation:x}"
        self._load_code = load_code
        self._deliver = deliver
        self._notify = notify
        self._queues: dict[RequestKey, deque[WorkItem]] = {}
        self._numbers = 0
        self._tick: asyncio.Handle | None = None
        self._look: asyncio.Handle | None = None
        self._fleet = Fleet(settings, environ, temp_dir, on_frame=self._frame, on_dead=self._dead)
        self._executors = self._fleet.executors

    # What actors ask

    @property
    def slots(self) -> int:
        """Executors that this node has."""
        return self._count

    @property
    def queued(self) -> int:
        """Work frames that wait for an executor."""
        return sum(map(len, self._queues.values()))

    @property
    def is_busy(self) -> bool:
        """Whether any executor has work."""
        return any(executor.work for executor in self._executors)

    def run(self, work: Run, owner: ActorAddress) -> None:
        """Run a work frame as soon as an executor has room; ``owner`` hears Ran or Lost."""
        item = WorkItem(work.ticket, work.key, work.frame, work.versions, work.time_limit_s, owner)
        self._enqueue(item)
        self._pump()

    def pull(self, pull: Pull, owner: ActorAddress) -> None:
        """Ask the executor that keeps a mapper of ``owner``; it hears Ran or Lost."""
        item = WorkItem(pull.ticket, pull.key, pull.frame, (), pull.time_limit_s, owner)
        keeper = self._keeper(pull.key, pull.vertex, owner)
        if keeper is None:
            self._deliver(owner, Lost(pull.ticket, None, KEEPER_GONE))
        elif len(keeper.work) < 2:
            self._send(keeper, item)
        else:
            keeper.waiting.append(item)

    def discard(self, key: RequestKey, vertex: int, owner: ActorAddress) -> None:
        """Close a kept mapper of ``owner``."""
        keeper = self._keeper(key, vertex, owner)
        if keeper is not None:
            del keeper.kept[key, vertex]
            keeper.send({"t": "drop", "request_id": key.request_id, "vertices": [vertex]})

    def abandon(self, owner: ActorAddress) -> None:
        """Forget all of an owner; what it has at work gets a moment to end by itself."""
        now = self._loop.time()
        for key, queue in list(self._queues.items()):
            left = deque(item for item in queue if item.owner != owner)
            if left:
                self._queues[key] = left
            else:
                del self._queues[key]
        for executor in self._executors:
            executor.waiting = deque(i for i in executor.waiting if i.owner != owner)
            for key, vertex in [k for k, who in executor.kept.items() if who == owner]:
                self.discard(key, vertex, owner)
            for item in executor.work.values():
                if item.owner == owner:
                    item.abandoned_at = now
                    executor.recall(item.number, now)

    # Life

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

    # Work on its way

    def _enqueue(self, item: WorkItem) -> None:
        self._queues.setdefault(item.key, deque()).append(item)

    def _requeue(self, item: WorkItem) -> None:
        self._queues.setdefault(item.key, deque()).appendleft(item)

    def _pump(self) -> None:
        """Send out queued work, and look soon at how it is shared out if that could be changed."""
        self._hand_out()
        if self._look is None and any(executor.is_divisible for executor in self._executors):
            self._look = self._loop.call_later(balance.BALANCE_S, self._balance)

    def _hand_out(self) -> None:
        """Send queued work to executors with room, one request after the other."""
        while self._queues:
            executor = self._free()
            if executor is None:
                break
            key = next(iter(self._queues))
            queue = self._queues.pop(key)
            item = queue.popleft()
            if queue:
                self._queues[key] = queue
            self._send(executor, item)

    def _free(self) -> Executor | None:
        """Return an idle executor, else one whose work is young, else None."""
        second = None
        for executor in self._executors:
            if executor.state != "ready" or executor.waiting:
                continue
            if not executor.work:
                return executor
            if len(executor.work) == 1 and second is None:
                (item,) = executor.work.values()
                if self._loop.time() - item.sent_at < FRESH_S:
                    second = executor
        return second

    def _send(self, executor: Executor, item: WorkItem) -> None:
        self._numbers += 1
        item.number = self._numbers
        item.sent_at = self._loop.time()
        stem = f"{self._stem}-{item.number:x}"
        try:
            self._load(executor, item)
            executor.send({**item.frame, "id": item.number, "blob_stem": stem})
        except JobxError as error:
            self._deliver(item.owner, Lost(item.ticket, item.first_vertex, unsendable(error)))
            return
        executor.work[item.number] = item
        if self._tick is None:
            self._tick = self._loop.call_later(TICK_S, self._watch)

    def _load(self, executor: Executor, item: WorkItem) -> None:
        """Send the handlers of an item that the executor does not have yet."""
        for version in item.versions:
            if version not in executor.loaded:
                executor.send({"t": "load", **self._load_code(item.key.workflow, version)})
                executor.loaded.add(version)

    def _frame(self, executor: Executor, frame: frames.Frame) -> None:
        if frame["t"] == "ready":
            if executor.state == "starting":
                executor.state, executor.was_ready = "ready", True
            self._pump()
        elif frame["t"] == "result":
            self._answered(executor, frame)
        elif frame["t"] == "leaving":
            executor.state = "leaving"
            self._take_back(executor)
            self._pump()

    def _answered(self, executor: Executor, frame: frames.Frame) -> None:
        item = executor.work.pop(frame["id"], None)
        if item is None or item.abandoned_at:
            self._drop_late(executor, frame, item)
        elif not frame["segments"]:  # it was recalled before it began
            self._requeue(item)
        else:
            executor.invocations += _begun(item, frame["segments"])
            segments = balance.without_taken(frame["segments"], item.stop)
            self._note_kept(executor, item, segments)
            self._deliver(item.owner, Ran(item.ticket, segments, self._node_id))
        for waiting in executor.work.values():
            waiting.sent_at = self._loop.time()
        while executor.waiting and len(executor.work) < 2:
            self._send(executor, executor.waiting.popleft())
        self._pump()

    def _note_kept(self, executor: Executor, item: WorkItem, segments: list[list[Any]]) -> None:
        for segment in segments:
            if segment[0] == "mapped" and segment[5]:
                executor.kept[item.key, segment[1]] = item.owner
            elif segment[0] in ("mapped", "failed"):
                executor.kept.pop((item.key, segment[1]), None)

    def _drop_late(self, executor: Executor, frame: frames.Frame, item: WorkItem | None) -> None:
        """Close the mappers that an answer nobody waits for would keep."""
        kept = [s[1] for s in frame["segments"] if s[0] == "mapped" and s[5]]
        if kept:
            request_id = frame.get("request_id") or (item.key.request_id if item else None)
            executor.send({"t": "drop", "request_id": request_id, "vertices": kept})

    def _keeper(self, key: RequestKey, vertex: int, owner: ActorAddress) -> Executor | None:
        for executor in self._executors:
            if executor.kept.get((key, vertex)) == owner and executor.state == "ready":
                return executor
        return None

    # What is looked at now and then

    @property
    def _idle(self) -> int:
        return sum(e.state == "ready" and not e.work for e in self._executors)

    def _balance(self) -> None:
        """Recall what another could do, take back what was recalled, look again if need be."""
        self._look = None
        now = self._loop.time()
        having = balance.loads(self._executors, now)
        for executor, number in balance.recalls(having, self._idle, self._queues):
            executor.recall(number, now)
        for load in having:
            behind, first = balance.not_begun(load, now)
            if first:
                load.front.stop = first
                self._deliver(load.front.owner, TakenBack(load.front.ticket, first))
            for item in reversed(behind):
                del load.executor.work[item.number]
                self._requeue(item)
        self._hand_out()
        if balance.is_uneven(balance.loads(self._executors, now), self._idle, self._queues):
            self._look = self._loop.call_later(balance.BALANCE_S, self._balance)

    def _watch(self) -> None:
        self._tick = None
        for executor in list(self._executors):
            if executor.work and executor.state in ("ready", "leaving"):
                self._enforce(executor)
        if any(executor.work for executor in self._executors):
            self._tick = self._loop.call_later(TICK_S, self._watch)

    def _enforce(self, executor: Executor) -> None:
        """Kill an executor that is over its time, or at what nobody waits for."""
        progress, now = executor.progress(), self._loop.time()
        item = executor.work.get(progress.number)
        if item is None:  # it is at nothing, or at what was taken back as it began
            front = next(iter(executor.work.values()))
            if now - front.sent_at > START_S:
                text = f"the executor did not begin with its work within {START_S:g} s"
                executor.kill(crashed(text), progress)
        elif progress.running_s > item.time_limit_s + OVERDUE_S:
            text = f"the invocation took longer than {item.time_limit_s:g} s"
            executor.kill(Failure(kind="timeout", type="HandlerTimeout", message=text), progress)
        elif item.abandoned_at and now - item.abandoned_at > ABANDON_S:
            abandoned = Failure(kind="cancelled", type="Cancelled", message="abandoned")
            executor.kill(abandoned, progress)

    # Death

    def _dead(self, executor: Executor, blame: Failure) -> None:
        """Report what a dead executor had."""
        is_told = (executor.work or not executor.was_ready) and blame.kind != "cancelled"
        if is_told and not self._fleet.is_closing:
            self._notify(notices.executor_died(blame, executor.was_ready))
        self._report_kept(executor)
        self._report_culprit(executor, blame)
        self._take_back(executor)
        self._pump()

    def _report_culprit(self, executor: Executor, blame: Failure) -> None:
        """Report what an executor died of: what it was at, or could not begin with again."""
        progress = executor.progress()
        culprit, vertex = executor.work.get(progress.number), progress.vertex
        if progress.number == 0 and executor.work:
            front = next(iter(executor.work.values()))
            front.unstarted += 1
            if front.unstarted >= MAX_UNSTARTED:
                culprit, vertex = front, front.first_vertex
        if culprit is not None:
            del executor.work[culprit.number]
            if not culprit.abandoned_at:
                self._deliver(culprit.owner, Lost(culprit.ticket, vertex, blame))

    def _take_back(self, executor: Executor) -> None:
        """Take back what an executor will not come to."""
        for item in (*executor.waiting, *reversed(executor.work.values())):
            if item.abandoned_at:
                continue
            # Its mapper went with the executor, or its owner has part of it back: they decide.
            if item.is_pinned or item.stop:
                self._deliver(item.owner, Lost(item.ticket, None, KEEPER_GONE))
            else:
                self._requeue(item)
        executor.work.clear()
        executor.waiting.clear()

    def _report_kept(self, executor: Executor) -> None:
        """Report kept mappers as lost, but for one that was itself at work and is reported so."""
        at_work = executor.work.get(executor.progress().number)
        spared = at_work and at_work.is_pinned and (at_work.key, at_work.first_vertex)
        for kept, owner in executor.kept.items():
            if kept != spared:
                self._deliver(owner, KeptLost((kept[1],), KEEPER_GONE))


def _begun(item: WorkItem, segments: list[list[Any]]) -> int:
    unstarted: int = sum(segment[2] for segment in segments if segment[0] == "unstarted")
    return len(vertices_of(item.frame)) - unstarted
