"""The pool of executors: who runs what, in which order, and what follows when one dies.

Requests take turns (round robin), so a huge one never starves a small one. An executor has at most
two work frames: one at work and one behind it, so that it need not wait for the node. A frame
stuck behind a long one is taken back and given to an executor that is free; an answer that still
comes for it changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import mmap
import os
import shutil
import socket
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from thespian.actors import ActorAddress

from jobx import frames
from jobx.actors import notices
from jobx.actors.executor import PAGE_BYTES, Executor, WorkItem
from jobx.actors.fork_server import ForkServer
from jobx.actors.losses import KEEPER_GONE, crashed, exited, unsendable
from jobx.actors.messages import KeptLost, Lost, Pull, Ran, RequestKey, Run
from jobx.actors.notices import Notice
from jobx.actors.runtime.supervision import Restart, RestartBudget, RestartPolicy
from jobx.config import Settings, without_secrets
from jobx.errors import DeadlineExceeded, InternalError, JobxError, Unavailable
from jobx.handlers.executor_config import executor_config
from jobx.model import Failure
from jobx.views import ExecutorView

#: How often running work is looked at.
TICK_S: Final = 0.1
#: An executor that runs longer than its limit by this much is killed from outside.
GRACE_S: Final = 1.0
#: Work whose request is gone gets so long to end by itself.
ABANDON_S: Final = 0.5
#: A frame is sent behind one that has run shorter than this …
FRESH_S: Final = 0.1
#: … and taken back when it has waited behind it for longer than this.
STUCK_S: Final = 0.25
#: An executor that does not begin with what it has within this is killed.
START_S: Final = 30.0
#: Executors that an item may cost before one of them has begun with it; then it is blamed.
MAX_UNSTARTED: Final = 3

#: A fork server that dies is started again, later and later when it dies often.
FORK_SERVER: Final = RestartPolicy(max_restarts=10, backoff_s=0.05, max_backoff_s=5.0)

_log = logging.getLogger(__name__)

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
        self._executors: list[Executor] = []
        self._spawning: dict[int, Executor] = {}
        self._numbers = 0
        self._temp_dir = temp_dir
        self._is_closing = False
        self._tick: asyncio.Handle | None = None
        self._connecting: set[asyncio.Future[Any]] = set()
        self._fork_server_budget = RestartBudget(FORK_SERVER)
        self._fork_server = ForkServer(
            executor_config(settings, environ, temp_dir),
            without_secrets(settings, environ),
            on_spawned=self._spawned,
            on_exit=self._exited,
            on_gone=self._fork_server_gone,
        )

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

    # Life

    async def start(self, timeout_s: float = 30.0) -> None:
        """Start all executors and wait until they can take work.

        Raises:
            DeadlineExceeded: They are not ready in time.
        """
        self._loop = asyncio.get_running_loop()
        self._fork_server.start(self._loop)
        for _ in range(self._count):
            self._spawn()
        deadline = self._loop.time() + timeout_s
        while sum(item.state == "ready" for item in self._executors) < self._count:
            if self._loop.time() > deadline:
                raise DeadlineExceeded("the start of the executors", timeout_s)
            await asyncio.sleep(0.005)

    async def close(self) -> None:
        """End all executors; bounded."""
        self._is_closing = True
        if self._tick is not None:
            self._tick.cancel()
        for executor in self._executors:
            executor.send({"t": "exit"})
        deadline = self._loop.time() + ABANDON_S
        while any(e.state != "dead" for e in self._executors) and self._loop.time() < deadline:
            await asyncio.sleep(0.01)
        self._fork_server.stop()
        for executor in self._executors:
            executor.close()

    def views(self) -> list[ExecutorView]:
        """Return the executors as people see them."""
        now = self._loop.time()
        return [
            ExecutorView(
                pid=item.pid,
                state="busy" if item.work and item.state == "ready" else item.state,
                invocations=item.invocations,
                rss_bytes=item.rss_bytes,
                age_s=now - item.born,
            )
            for item in self._executors
        ]

    def _spawn(self) -> None:
        is_complete = len(self._executors) >= self._count
        if self._is_closing or is_complete or not self._fork_server.is_up:
            return
        try:
            self._ask_for_executor()
        except (OSError, InternalError) as error:
            _log.warning("an executor cannot be started now: %s", error)
            self._loop.call_later(GRACE_S, self._spawn)

    def _ask_for_executor(self) -> None:
        with ExitStack() as given:
            page_fd = os.memfd_create("jobx-page", os.MFD_CLOEXEC)
            given.callback(os.close, page_fd)
            os.ftruncate(page_fd, PAGE_BYTES)
            page = mmap.mmap(page_fd, PAGE_BYTES)
            ours, theirs = socket.socketpair()
            given.enter_context(theirs)
            self._numbers += 1
            try:
                self._fork_server.spawn(self._numbers, theirs, page_fd)
            except InternalError:
                ours.close()
                raise
        ours.setblocking(False)
        executor = Executor(page, self._frame, self._lost, self._loop.time())
        self._spawning[self._numbers] = executor
        self._executors.append(executor)
        connecting = asyncio.ensure_future(
            self._loop.create_connection(lambda: executor, sock=ours)
        )
        self._connecting.add(connecting)
        connecting.add_done_callback(self._connecting.discard)

    def _spawned(self, number: int, pid: int) -> None:
        executor = self._spawning.pop(number, None)
        if executor is not None:
            executor.pid = pid

    # Work on its way

    def _enqueue(self, item: WorkItem) -> None:
        self._queues.setdefault(item.key, deque()).append(item)

    def _pump(self) -> None:
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
            self._tick = self._loop.call_later(TICK_S, self._look)

    def _load(self, executor: Executor, item: WorkItem) -> None:
        """Send the handlers of an item that the executor does not have yet."""
        for version in item.versions:
            if version not in executor.loaded:
                executor.send({"t": "load", **self._load_code(item.key.workflow, version)})
                executor.loaded.add(version)

    def _frame(self, executor: Executor, frame: frames.Frame) -> None:
        if frame["t"] == "ready":
            if executor.state == "starting":
                executor.state = "ready"
            self._pump()
        elif frame["t"] == "result":
            self._answered(executor, frame)

    def _answered(self, executor: Executor, frame: frames.Frame) -> None:
        executor.rss_bytes = frame["rss_bytes"]
        item = executor.work.pop(frame["id"], None)
        if item is None or item.abandoned_at:
            self._drop_late(executor, frame, item)
        else:
            self._note_kept(executor, item, frame["segments"])
            executor.invocations += item.frame.get("count", 1)
            self._deliver(item.owner, Ran(item.ticket, frame["segments"], self._node_id))
        for waiting in executor.work.values():
            waiting.sent_at = self._loop.time()
        if frame.get("leaving"):
            executor.state = "leaving"
            self._take_back(executor)
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

    def _look(self) -> None:
        self._tick = None
        for executor in list(self._executors):
            if executor.work and executor.state in ("ready", "leaving"):
                self._enforce(executor)
        self._free_stuck()
        if any(executor.work for executor in self._executors):
            self._tick = self._loop.call_later(TICK_S, self._look)

    def _enforce(self, executor: Executor) -> None:
        """Kill an executor that is over its time, or at what nobody waits for."""
        progress, now = executor.progress(), self._loop.time()
        item = executor.work.get(progress.number)
        if item is None:  # it is at nothing, or at what was taken back as it began
            front = next(iter(executor.work.values()))
            if now - front.sent_at > START_S:
                text = f"the executor did not begin with its work within {START_S:g} s"
                executor.kill(crashed(text), progress)
        elif progress.running_s > item.time_limit_s + GRACE_S:
            text = f"the invocation took longer than {item.time_limit_s:g} s"
            executor.kill(Failure(kind="timeout", type="HandlerTimeout", message=text), progress)
        elif item.abandoned_at and now - item.abandoned_at > ABANDON_S:
            abandoned = Failure(kind="cancelled", type="Cancelled", message="abandoned")
            executor.kill(abandoned, progress)

    def _free_stuck(self) -> None:
        """Take back work that waits behind a long one while another executor is idle."""
        idle = sum(e.state == "ready" and not e.work for e in self._executors) - self.queued
        for executor in self._executors:
            if len(executor.work) < 2 or idle <= 0:
                continue
            front, behind = list(executor.work.values())[:2]
            waited_s = self._loop.time() - max(front.sent_at, behind.sent_at)
            if behind.is_pinned or waited_s < STUCK_S or behind.abandoned_at:
                continue
            executor.take_back(behind)
            self._queues.setdefault(behind.key, deque()).appendleft(behind)
            idle -= 1
        self._pump()

    # Death

    def _exited(self, pid: int, status: int) -> None:
        executor = next((item for item in self._executors if item.pid == pid), None)
        if executor is not None:
            self._bury(executor, exited(status))

    def _lost(self, executor: Executor) -> None:
        """The socket is closed: the exit status follows, unless the process lives on."""
        if executor.state != "dead":
            executor.state = "dying"
            self._loop.call_later(GRACE_S, self._end, executor)

    def _end(self, executor: Executor) -> None:
        if executor.state != "dead":
            gone = crashed("the executor closed its connection to the node")
            executor.kill(gone, executor.progress())
            self._bury(executor, gone)

    def _fork_server_gone(self) -> None:
        if self._is_closing:
            return
        dead = list(self._executors)
        for executor in dead:
            executor.kill_group()  # as the fork server would have done
        shutil.rmtree(self._temp_dir, ignore_errors=True)
        for executor in dead:
            self._bury(executor, crashed("the fork server is gone"))
        self._spawning.clear()
        self._start_fork_server_later()

    def _start_fork_server_later(self) -> None:
        decision = self._fork_server_budget.failed(self._loop.time())
        delay_s = decision.delay_s if isinstance(decision, Restart) else FORK_SERVER.max_backoff_s
        self._loop.call_later(delay_s, self._start_fork_server)

    def _start_fork_server(self) -> None:
        """Start the fork server again, and the executors that it makes."""
        if self._is_closing:
            return
        try:
            self._fork_server.start(self._loop)
        except Unavailable as error:
            _log.warning("%s", error)
            self._start_fork_server_later()
            return
        for _ in range(self._count - len(self._executors)):
            self._spawn()

    def _bury(self, executor: Executor, crash: Failure) -> None:
        """Report what a dead executor had, and start another in its place."""
        if executor.state == "dead":
            return
        was_ready, executor.state = executor.state != "starting", "dead"
        self._executors.remove(executor)
        self._spawning = {n: e for n, e in self._spawning.items() if e is not executor}
        blame = executor.blame or crash
        if (executor.work or not was_ready) and blame.kind != "cancelled" and not self._is_closing:
            self._notify(notices.executor_died(blame, was_ready))
        self._report_kept(executor)
        self._report_culprit(executor, blame)
        self._take_back(executor)
        executor.close()
        self._loop.call_later(0 if was_ready else GRACE_S, self._spawn)
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
            if item.is_pinned:
                self._deliver(item.owner, Lost(item.ticket, None, KEEPER_GONE))
            elif not item.abandoned_at:
                self._queues.setdefault(item.key, deque()).appendleft(item)
        executor.work.clear()
        executor.waiting.clear()

    def _report_kept(self, executor: Executor) -> None:
        """Report kept mappers as lost, but for one that was itself at work and is reported so."""
        at_work = executor.work.get(executor.progress().number)
        spared = at_work and at_work.is_pinned and (at_work.key, at_work.first_vertex)
        for kept, owner in executor.kept.items():
            if kept != spared:
                self._deliver(owner, KeptLost((kept[1],), KEEPER_GONE))
