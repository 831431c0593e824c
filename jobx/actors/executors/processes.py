"""The executor processes of a node: started through the fork server, buried and replaced."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from jobx.actors.executor_failures import EVICTED, crashed, exited
from jobx.actors.executors import overdue
from jobx.actors.executors.fork_server_client import ForkServerClient
from jobx.actors.executors.process import Executor
from jobx.actors.runtime.log_limit import LogLimit
from jobx.actors.runtime.supervision import RestartBudget, RestartPolicy
from jobx.config import Settings, without_secrets
from jobx.errors import DeadlineExceeded, InternalError
from jobx.handlers.execution.settings import executor_config
from jobx.model import Failure
from jobx.segments import ReadyReport, Report, UnreadReport
from jobx.system.disk import create_folder
from jobx.system.processes import is_stopped
from jobx.work import Leave

#: An executor that closed its socket gets this long to exit.
EXIT_S: Final = 1.0
#: Pause after an executor that could not be started or was never ready.
SPAWN_AGAIN_S: Final = 1.0
#: Executors get this long to leave by themselves.
LEAVE_S: Final = 0.5
#: How often all processes are checked.
LOOK_S: Final = 1.0
#: Failed checks in a row before a stopped executor is replaced, or before the lack of executors is
#: reported.
STOPPED_LOOKS: Final = 2
DOUBT_LOOKS: Final = 2

#: Executors that are started ahead: a workflow without one need not wait for a process.
BLANKS: Final = 2

#: Nobody waits for them: while they die at their start, they are started later and later.
AHEAD: Final = RestartPolicy(
    max_restarts=5, window_s=600.0, backoff_s=SPAWN_AGAIN_S, max_backoff_s=60.0
)

_log = logging.getLogger(__name__)

#: Called with a dead executor and the cause of its death.
OnDead = Callable[[Executor, Failure], None]


class Starts(NamedTuple):
    """Executors that are being started, while none can take work.

    Attributes:
        deaths: How many have died since one was ready …
        last: … and how the last one did.
    """

    deaths: int
    last: str


class ExecutorProcesses:
    """The executor processes of a node, as many as its settings ask for.

    Args:
        settings: Their number and configuration.
        environ: The environment of the node.
        temp_dir: Where their private folders are made.
        on_report: Called with each report of an executor.
        on_dead: Called for each dead executor, which is replaced.

    Attributes:
        executors: The executors that live or are being started.
        is_closing: No more are started.
    """

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        temp_dir: Path,
        *,
        on_report: Callable[[Executor, Report | UnreadReport], None],
        on_dead: OnDead,
    ) -> None:
        self.executors: list[Executor] = []
        self.is_closing = False
        self._count = settings.executor_count
        self._temp_dir = temp_dir
        self._on_report = on_report
        self._on_dead = on_dead
        self._spawning: dict[int, Executor] = {}
        self._numbers = 0
        self._looking: asyncio.Handle | None = None
        self._looked_at = 0.0
        self._without_any = 0
        self._deaths, self._last_death = 0, ""
        self._connecting: set[asyncio.Future[Any]] = set()
        self._ahead_budget, self._ahead_at = RestartBudget(AHEAD), 0.0
        self._log_limit = LogLimit(time.monotonic, 10.0, 1)
        self._fork_server = ForkServerClient(
            executor_config(settings, environ, temp_dir),
            without_secrets(settings, environ),
            on_spawned=self._spawned,
            on_not_spawned=self._not_spawned,
            on_exit=self._exited,
            on_gone=self._fork_server_gone,
        )

    async def start(self, timeout_s: float) -> None:
        """Start all executors and wait until they can take work.

        Raises:
            DeadlineExceeded: They are not ready in time.
        """
        self._loop = asyncio.get_running_loop()
        shutil.rmtree(self._temp_dir, ignore_errors=True)
        create_folder(self._temp_dir)
        if not self._count:
            return
        self._fork_server.start(self._loop)
        self._spawn_all()
        self._looked_at = self._loop.time()
        self._looking = self._loop.call_later(LOOK_S, self._look)
        deadline = self._loop.time() + timeout_s
        while sum(executor.state == "ready" for executor in self.executors) < self._count:
            if self._loop.time() > deadline:
                raise DeadlineExceeded("the start of the executors", timeout_s)
            await asyncio.sleep(0.005)

    async def close(self) -> None:
        """End all executors; bounded."""
        self.is_closing = True
        if self._looking is not None:
            self._looking.cancel()
        for executor in self.executors:
            executor.send(Leave())
        deadline = self._loop.time() + LEAVE_S
        while any(e.state != "dead" for e in self.executors) and self._loop.time() < deadline:
            await asyncio.sleep(0.01)
        self._fork_server.stop()
        for executor in self.executors:
            executor.enter("dead", self._loop.time())
            executor.close()

    @property
    def trouble(self) -> str | None:
        """Why there is no executor; None if there is one, or there is to be none."""
        if not self._count:
            return None
        is_without = self._without_any > DOUBT_LOOKS and not self._is_any_ready()
        return self._fork_server.trouble or ("no executor is ready" if is_without else None)

    def _is_any_ready(self) -> bool:
        return any(executor.state == "ready" for executor in self.executors)

    @property
    def starts(self) -> Starts | None:
        """Why no executor can take work now; None if one can, or there is to be none."""
        if not self._count or any(e.state == "ready" and e.has_seat for e in self.executors):
            return None
        return Starts(self._deaths, self._last_death)

    def change(self, executor: Executor, workflow: str) -> None:
        """Give the seat of an executor that has no work to another workflow.

        That workflow's parked executor gets it at once; if there is none, a blank one.
        """
        now = self._loop.time()
        executor.has_seat = False
        executor.enter("parked", now)
        parked = [e for e in self.executors if e.state == "parked"]
        again = next((e for e in parked if e.workflow == workflow), None)
        if again is None:
            self._spawn(workflow)
        else:
            again.has_seat, again.since = True, now
            again.enter("ready", now)
            parked.remove(again)
        if len(parked) > self._count:
            self._evict(parked)

    def _evict(self, parked: list[Executor]) -> None:
        """End the least needed executor if too many are parked."""
        gone = min(parked, key=lambda e: (bool(e.work), bool(e.suspended), e.state_since))
        gone.kill(EVICTED, gone.progress())

    def _spawn_all(self) -> None:
        for _ in range(self._count):
            self._spawn()

    def _spawn(self, workflow: str = "") -> None:
        """Let a free seat be taken by an executor without one, or start one for it."""
        if self.is_closing or sum(one.has_seat for one in self.executors) >= self._count:
            return
        ahead = self._ahead()
        if ahead:
            self._seat(ahead[0], workflow)
            self._loop.call_soon(self._start_ahead)
        elif self._fork_server.is_up:
            self._start(workflow)

    def _ahead(self) -> list[Executor]:
        """Return the executors that were started ahead, those that are ready first."""
        found = [one for one in self.executors if one.state == "blank"]
        found += [one for one in self.executors if one.state == "starting" and not one.has_seat]
        return found

    def _seat(self, executor: Executor, workflow: str) -> None:
        now = self._loop.time()
        executor.has_seat, executor.workflow, executor.since = True, workflow, now
        if executor.state == "blank":
            executor.enter("starting", now)
            self._loop.call_soon(self._on_report, executor, ReadyReport(executor.pid))

    def _start_ahead(self) -> None:
        """Start one more executor ahead, unless there are enough or the last ones have died."""
        is_time = self._fork_server.is_up and self._loop.time() >= self._ahead_at
        if is_time and not self.is_closing and len(self._ahead()) < BLANKS:
            self._start("", has_seat=False)

    def _start_ahead_later(self) -> None:
        now = self._loop.time()
        self._ahead_at = now + self._ahead_budget.delay_s(now)

    def _start(self, workflow: str, *, has_seat: bool = True) -> None:
        try:
            self._ask_for_executor(workflow, has_seat)
        except InternalError as error:
            if self._log_limit.may_log():
                _log.warning("an executor cannot be started now: %s", error)
            if has_seat:
                self._loop.call_later(SPAWN_AGAIN_S, self._spawn)
            else:
                self._start_ahead_later()

    def _look(self) -> None:
        """Check all processes, and replace those that do not respond."""
        now = self._loop.time()
        self._looking = self._loop.call_later(LOOK_S, self._look)
        if late(self._looked_at, LOOK_S, now):  # this process stood still, not they
            self._looked_at = now
            return
        self._looked_at = now
        self._without_any = 0 if self._is_any_ready() else self._without_any + 1
        self._fork_server.check()
        for executor in list(self.executors):
            self._look_at(executor, now)
        self._start_ahead()

    def _look_at(self, executor: Executor, now: float) -> None:
        blame = overdue.in_state(executor, now)
        is_free = executor.pid and executor.progress().number == 0
        is_still = is_free and is_stopped(executor.pid)
        executor.stopped_looks = executor.stopped_looks + 1 if is_still else 0
        if executor.stopped_looks >= STOPPED_LOOKS:
            blame = blame or crashed("the executor was stopped by a signal")
        if blame is None:
            return
        is_hopeless = executor.state == "dying" or not executor.pid
        executor.kill(blame, executor.progress())
        if is_hopeless:
            self._bury(executor, blame)

    def _ask_for_executor(self, workflow: str, has_seat: bool) -> None:
        self._numbers += 1
        ours, page = self._fork_server.spawn(self._numbers)
        ours.setblocking(False)
        now = self._loop.time()
        executor = Executor(
            page, self._on_report, self._lost, now, workflow=workflow, state_since=now,
            has_seat=has_seat, since=now,
        )  # fmt: skip
        self._spawning[self._numbers] = executor
        self.executors.append(executor)
        connecting = asyncio.ensure_future(
            self._loop.create_connection(lambda: executor, sock=ours)
        )
        self._connecting.add(connecting)
        connecting.add_done_callback(self._connecting.discard)

    def _spawned(self, number: int, pid: int) -> None:
        executor = self._spawning.pop(number, None)
        if executor is not None:
            executor.pid = pid

    def _not_spawned(self, number: int, reason: str) -> None:
        executor = self._spawning.pop(number, None)
        if executor is not None:
            self._bury(executor, crashed(f"the executor could not be made: {reason}"))

    def _exited(self, pid: int, status: int) -> None:
        executor = next((item for item in self.executors if item.pid == pid), None)
        if executor is not None:
            self._bury(executor, exited(status))

    def _lost(self, executor: Executor) -> None:
        """The socket is closed: the exit status follows, unless the process lives on."""
        if executor.state != "dead":
            executor.enter("dying", self._loop.time())
            self._loop.call_later(EXIT_S, self._end, executor)

    def _end(self, executor: Executor) -> None:
        if executor.state != "dead":
            gone = crashed("the executor closed its connection to the node")
            executor.kill(gone, executor.progress())
            self._bury(executor, gone)

    def _fork_server_gone(self) -> None:
        if self.is_closing:
            return
        dead = list(self.executors)
        for executor in dead:
            executor.kill_group()  # as the fork server would have done
        shutil.rmtree(self._temp_dir, ignore_errors=True)
        for executor in dead:
            self._bury(executor, crashed("the fork server is gone"))
        self._spawning.clear()
        self._fork_server.start_later(self._spawn_all)

    def _bury(self, executor: Executor, crash: Failure) -> None:
        """Replace a dead executor."""
        if executor.state == "dead":
            return
        executor.enter("dead", self._loop.time())
        self.executors.remove(executor)
        self._spawning = {n: e for n, e in self._spawning.items() if e is not executor}
        blame = executor.blame or crash
        self._deaths = 1 if executor.was_ready else self._deaths + 1
        self._last_death = blame.message
        if not (executor.was_ready or executor.has_seat):
            self._start_ahead_later()
        self._on_dead(executor, blame)
        executor.close()
        self._loop.call_later(0 if executor.was_ready else SPAWN_AGAIN_S, self._spawn)


def late(before: float, every_s: float, now: float) -> bool:
    """Tell whether a periodic task is so late that this process must have stood still."""
    return now - before > 2 * every_s + 1.0
