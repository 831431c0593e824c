"""Wires a node together: the only file that names concrete adapters."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import uvloop
from thespian.actors import ActorSystem, ChildActorExited

from jobx import __version__, is_compiled
from jobx.actors import notification, recovery
from jobx.actors.budget import OpenBudget
from jobx.actors.clock import ServiceClock, boot_id
from jobx.actors.coordination.supervisor import Supervisor
from jobx.actors.egress.outside import Outside
from jobx.actors.executors.pool import ExecutorPool
from jobx.actors.gateway.entity_verbs import ENTITY_VERBS, EntityVerbs
from jobx.actors.gateway.request_verbs import VERBS, Verbs
from jobx.actors.gateway.server import Gateway
from jobx.actors.gateway.waiters import Answers
from jobx.actors.inspection import view_builders
from jobx.actors.janitor import Janitor
from jobx.actors.log_writer import LogWriter, has_progressed
from jobx.actors.messages import Adopt, Drain, Probe, Waiting
from jobx.actors.ports import Services
from jobx.actors.readiness import Readiness
from jobx.actors.runtime.scheduler import LoopScheduler
from jobx.actors.runtime.system import LoopSystemBase
from jobx.actors.threads import in_daemon
from jobx.config import Settings
from jobx.errors import InternalError, JobxError
from jobx.handlers.authoring.library import Library
from jobx.handlers.files import opening
from jobx.kv import data_folder
from jobx.kv.blobs import BlobFolder
from jobx.kv.folder_lock import FolderLock
from jobx.kv.requests import lives
from jobx.kv.requests.lives import LOCAL
from jobx.kv.sqlite.store import SqliteStore
from jobx.questions import GetReadiness, ListActors, Question
from jobx.system import processes
from jobx.system.disk import create_folder
from jobx.views import ActorTree, NodeView, ReadinessView, View

A = TypeVar("A", bound=View)

#: Threads for blocking reads of the store.
READERS: Final = 4
#: Handlers whose examples run at the same time, at most.
TRIALS: Final = 4
#: Actors that are described at once, which takes some 10 ms of the loop.
MAX_ACTORS: Final = 1000
#: How often a change of entities by a process that says nothing of it is looked for.
REFRESH_S: Final = 0.5
#: How often it is told that the loop turns.
BEAT_S: Final = 1.0
#: How often expired requests, and blob folders without a request, are looked for.
SWEEP_S: Final = 10.0
#: How often plans and code that nothing needs are looked for.
SWEEP_CODE_S: Final = 600.0
#: A store up to this size is checked at each start, a larger one behind it.
CHECKED_BYTES: Final = 64 << 20
#: When a larger one is, as it takes a while and the disk.
CHECK_AFTER_S: Final = 60.0
#: How often shared files that nobody finished are looked for.
CLEAN_S: Final = 3600.0

_log = logging.getLogger(__name__)


class Node:
    """A node: its actors, its executors, its store, its gateway.

    Args:
        settings: All settings.
        environ: The environment, for executors and their fork server.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._environ = environ
        self._lock = FolderLock(settings.data_dir, "node")
        self._fault: str | None = None
        self._damage: str | None = None
        self._is_hastened = False
        self._state = "starting"
        self._periodic: list[asyncio.Task[None]] = []
        #: Set when the node cannot go on.
        self.lost = asyncio.Event()

    async def start(self) -> None:
        """Take the data folder, start everything, take up what was open.

        Raises:
            InUse: Another node has the data folder.
            ConfigError: Shared files cannot be had as they are set.
            StoreRefused: The data folder or the store cannot be used.
            StoreFull: No room left.
            DeadlineExceeded: The executors do not start.
        """
        self._lock.acquire()
        try:
            await self._start()
        except BaseException:
            await self.stop(0.0)
            raise

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        settings, data_dir = self._settings, self._settings.data_dir
        opening.check(settings.files)
        self._born = time.monotonic()
        data_folder.check_usable(data_dir)
        self._store = SqliteStore(settings.store_path)
        self._blobs = BlobFolder(settings.blob_path)
        self._library = Library(self._store)
        self._background = ThreadPoolExecutor(1, thread_name_prefix="background")
        self._sweeping = ThreadPoolExecutor(1, thread_name_prefix="janitor")
        self._answers = Answers(self._yield_soon)
        await self._in_background(self._check_store)
        await self._in_background(self._begin_life)
        incarnation = self._life.incarnation
        self._budget = OpenBudget(settings.requests.max_open_bytes or processes.limit_bytes() // 8)
        self._janitor = Janitor(
            self._store,
            self._blobs,
            self._library,
            retention_s=settings.requests.retention_s,
            now_at=self._clock.now_at,
            is_open=self._budget.__contains__,
        )
        await self._in_background(self._library.refresh)
        self._outside = Outside(
            LOCAL, settings, self._store, self._blobs, self._library, now_at=self._clock.now_at
        )
        self._log = LogWriter(
            self._store, loop, self._deliver, self._yield_soon, self._tell_of_store
        )
        self._executors = ExecutorPool(
            settings,
            self._environ,
            node_id=LOCAL,
            incarnation=incarnation,
            temp_dir=_fresh_folder(data_dir / "tmp"),
            library=self._library,
            deliver=self._deliver,
            notify=self._outside.notify,
        )
        self._start_actors(loop, incarnation)
        await self._executors.start()
        await self._outside.start()
        await self._adopt()  # before anybody asks for what is open
        await self._in_background(self._library.refresh)  # commands had no gateway to tell it by
        self._gateway = Gateway(settings.gateway_path, LOCAL, self.call)
        await self._gateway.start()
        self._periodic = [
            asyncio.create_task(self._repeat(REFRESH_S, self._library.refresh, self._outside.look)),
            asyncio.create_task(self._repeat(SWEEP_S, self._sweep, run=self._in_janitor)),
            asyncio.create_task(
                self._repeat(SWEEP_CODE_S, self._janitor.sweep_code, run=self._in_janitor)
            ),
            asyncio.create_task(self._repeat(SWEEP_S, self._note_clock)),
            asyncio.create_task(self._check_later()),
            asyncio.create_task(self._repeat(CLEAN_S, self._clean_files, run=asyncio.to_thread)),
        ]
        self._state = "running"

    def _start_actors(self, loop: asyncio.AbstractEventLoop, incarnation: int) -> None:
        capabilities = dict.fromkeys(self._settings.node.capabilities, True)
        self._base = LoopSystemBase(
            LoopScheduler(loop),
            node_id=LOCAL,
            incarnation=incarnation,
            capabilities=capabilities,
            services=None,
            root_exited=self._root_exited,
        )
        gateway = self._base.endpoint(self._answers.receive)
        self._listener = self._base.endpoint(self._answers.probed)
        services = Services(
            node_id=LOCAL,
            incarnation=incarnation,
            settings=self._settings,
            log=self._log,
            executors=self._executors,
            blobs=self._blobs,
            now=time.monotonic,
            now_at=self._clock.now_at,
            gateway=gateway,
            notify=self._outside.notify,
            deliver=self._outside.deliver,
            budget=self._budget,
        )
        self._base.services = services
        self._system = ActorSystem(systemBase=self._base, transientUnique=True)
        self._supervisor = self._system.createActor(Supervisor)
        self._start_verbs(services)
        self._readiness = Readiness(
            [self._fault_of, self._stall_of, lambda: self._executors.trouble], self._probe
        )

    def _probe(self) -> asyncio.Future[bool]:
        ticket, future = self._answers.probe()
        self._deliver(self._supervisor, Probe(self._listener, ticket))
        return future

    def _fault_of(self) -> str | None:
        return self._fault

    def _stall_of(self) -> str | None:
        if self._damage is not None:
            return self._damage
        stalled = self._log.stalled
        return None if stalled is None else f"the log cannot be written: {stalled}"

    def _start_verbs(self, services: Services) -> None:
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="reader")
        self._verbs = Verbs(
            services,
            self._store,
            self._library,
            self._answers,
            self._outside.writers,
            threads=self._readers,
            stalled=lambda: self._log.stalled,
            deliver=self._deliver,
            supervisor=self._supervisor,
            redeliver=self._outside.redeliver,
        )
        # Examples of handlers may take long: they are in no way but their own.
        self._trials = ThreadPoolExecutor(TRIALS, thread_name_prefix="trials")
        self._entity_verbs = EntityVerbs(
            self._store,
            self._library,
            self._outside.writers,
            settings=self._settings,
            environ=self._environ,
            threads=self._readers,
            trials=self._trials,
        )

    def _deliver(self, target: Any, message: object) -> None:
        self._base.deliver(target, message)

    def _yield_soon(self) -> None:
        self._base.yield_soon()

    def _check_store(self) -> None:
        """Refuse a store that is not the folder's, or is damaged; in a thread."""
        data_folder.confirm_store(self._store, self._settings.data_dir)
        if self._store.size_bytes() <= CHECKED_BYTES:
            self._store.check()

    async def _check_later(self) -> None:
        """Look for damage in a store that is too large for that at a start."""
        await asyncio.sleep(CHECK_AFTER_S)
        try:
            if self._store.size_bytes() > CHECKED_BYTES:
                await in_daemon("store-check", self._store.check)
        except JobxError as error:
            self._damage = str(error)
            self._tell_of_store(error)

    def _tell_of_store(self, fault: JobxError | None) -> None:
        """Tell once that nothing can be written, and once that it can be again."""
        if fault is None:
            _log.warning("the store can be written again")
            self._outside.notify(notification.store_back(LOCAL))
        else:
            _log.error("nothing can be written, and nothing is accepted until then: %s", fault)
            self._outside.notify(notification.store_stalled(LOCAL, fault))

    def _begin_life(self) -> None:
        """Read what the last life left and note this one; in a thread."""
        last = lives.last(self._store, LOCAL)
        self._clock = ServiceClock(last, boot_id())
        incarnation = max(last.incarnation + 1, time.time_ns())
        self._last_life = last.incarnation
        self._life = self._clock.note(lives.Life(incarnation=incarnation))
        lives.begin(self._store, LOCAL, self._life)

    def _note_clock(self) -> None:
        life = self._clock.note(self._life)
        if life is not self._life:
            lives.begin(self._store, LOCAL, life)
            self._life = life

    async def _adopt(self) -> None:
        """Have the requests taken up that were open when the node stopped."""
        waiting = await self._in_background(self._charge)
        if waiting:
            _log.info("open requests that are taken up: %d", len(waiting))
            self._deliver(self._supervisor, Adopt(tuple(waiting)))

    def _charge(self) -> list[Waiting]:
        """Return what is open, charged with the death of the last life; in a thread."""
        opened = lives.opened(self._store, LOCAL)
        limit, was_lost = self._settings.requests.node_deaths, self._outside.was_lost
        waiting = recovery.charge(
            opened,
            self._last_life,
            was_lost=was_lost,
            limit=limit,
            progressed=lambda one: has_progressed(self._store, one),
        )
        lives.mark(self._store, recovery.charges(opened, waiting))
        return waiting

    def _root_exited(self, notice: ChildActorExited) -> None:
        """End the node: without its supervisor no request would ever begin or end."""
        self.fail(f"the supervisor died: {getattr(notice, 'reason', 'it exited')}")

    def fail(self, reason: str) -> None:
        """Say that the node cannot go on; who runs it ends it."""
        if self._fault is None:
            self._fault = reason
            _log.critical("the node cannot go on: %s", reason)
            self.lost.set()

    async def stop(self, drain_s: float) -> None:
        """Take nothing new, let running work end within ``drain_s``, stop everything.

        What has not ended goes on when the next node starts on the data folder.
        """
        if self._state == "stopped":
            return
        had_started = self._state == "running" and self._fault is None
        self._state = "draining"
        for periodic in self._periodic:
            periodic.cancel()
        if hasattr(self, "_janitor"):
            self._janitor.stop()
        if hasattr(self, "_supervisor"):
            self._deliver(self._supervisor, Drain())
            await self._drain(drain_s)
            if had_started:
                self._outside.ended_well()
        await self._release()
        self._state = "stopped"

    def hasten(self) -> None:
        """End the drain at once, if the node is draining; what is at work goes on later."""
        self._is_hastened = True

    async def _drain(self, drain_s: float) -> None:
        deadline = time.monotonic() + drain_s
        self._executors.drain()
        while self._executors.is_busy and time.monotonic() < deadline and not self._is_hastened:
            await asyncio.sleep(0.02)
        if self._is_hastened:
            deadline = time.monotonic()
        await self._log.drain(max(1.0, deadline - time.monotonic()))
        await self._outside.close(max(1.0, deadline - time.monotonic()))

    async def _release(self) -> None:
        """Stop what was started, in the reverse order."""
        if hasattr(self, "_gateway"):
            await self._gateway.stop()
        if hasattr(self, "_executors"):
            await self._executors.close()
        if hasattr(self, "_readers"):
            self._readers.shutdown(wait=True, cancel_futures=True)
            self._trials.shutdown(wait=False, cancel_futures=True)
        if hasattr(self, "_system"):
            self._system.shutdown()
        if hasattr(self, "_log"):
            self._log.close()
        if hasattr(self, "_background"):
            self._background.shutdown(wait=True)
            self._sweeping.shutdown(wait=True, cancel_futures=True)
        if hasattr(self, "_store"):
            self._store.close()
        self._lock.release()

    async def call(self, question: Question[A]) -> A:
        """Answer one question, as the gateway does.

        Raises:
            JobxError: What the verb raises.
        """
        return cast("A", await self._answer(question))

    async def _answer(self, question: Question[Any]) -> View:
        kind = type(question)
        if kind in VERBS:
            return await VERBS[kind](self._verbs, question)
        if kind in ENTITY_VERBS:
            return await ENTITY_VERBS[kind](self._entity_verbs, question)
        if isinstance(question, GetReadiness):
            return ReadinessView(state=self._state, trouble=await self._readiness.trouble())
        if isinstance(question, ListActors):
            records = self._base.tree(min(question.limit or MAX_ACTORS, MAX_ACTORS))
            return ActorTree(actors=view_builders.actor_trees(records))
        return self.view()

    def view(self) -> NodeView:
        """Return the node as people see it."""
        return NodeView(
            node_id=LOCAL,
            version=__version__,
            is_compiled=is_compiled(),
            pid=os.getpid(),
            state=self._state,
            uptime_s=time.monotonic() - self._born,
            data_dir=str(self._settings.data_dir),
            capabilities=list(self._settings.node.capabilities),
            open_requests=self._base.count_children(self._supervisor),
            queued_batches=self._executors.queued,
            dead_letters=self._base.counters().dead_letters,
            rss_bytes=processes.rss_bytes(),
            executors=self._executors.views(),
        )

    async def _in_background(self, call: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._background, call)

    async def _in_janitor(self, call: Callable[[], object]) -> object:
        return await asyncio.get_running_loop().run_in_executor(self._sweeping, call)

    def _sweep(self) -> None:
        self._janitor.sweep()
        self._janitor.sweep_folders()

    def _clean_files(self) -> int:
        return self._janitor.sweep_files(self._settings.files)

    async def _repeat(
        self,
        every_s: float,
        call: Callable[[], object],
        after: Callable[[], object] = lambda: None,
        *,
        run: Callable[[Callable[[], object]], Awaitable[object]] | None = None,
    ) -> None:
        run = run or self._in_background
        while True:
            await asyncio.sleep(every_s)
            try:
                await run(call)
                after()
            except JobxError as error:
                _log.warning("what is done every %g s was not: %s", every_s, error)
            except Exception:  # noqa: BLE001 - a fault in one round must not end all further ones
                _log.exception("what is done every %g s failed", every_s)


def _fresh_folder(path: Path) -> Path:
    shutil.rmtree(path, ignore_errors=True)
    create_folder(path)
    return path


def main(
    settings: Settings, environ: Mapping[str, str], beat: Callable[[], None] | None = None
) -> None:
    """Run a node in the foreground until SIGTERM or SIGINT.

    Args:
        settings: All settings.
        environ: The environment, for executors and their fork server.
        beat: Called every second as long as the node's loop turns.

    Raises:
        JobxError: It cannot start; see ``Node.start``.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(settings, environ, beat or (lambda: None)))


async def _run(settings: Settings, environ: Mapping[str, str], beat: Callable[[], None]) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        loop.add_signal_handler(number, lambda: None)  # the log follows its file by itself
    node = Node(settings, environ)
    loop.set_exception_handler(lambda _, context: _take_fault(node, context))
    beating = loop.create_task(_beat(beat))
    await node.start()
    waits = [loop.create_task(event.wait()) for event in (stopped, node.lost)]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for waiting in waits:
        waiting.cancel()
    if node.lost.is_set():
        await node.stop(0.0)
        raise InternalError("the node cannot go on; see its log")
    for number in (signal.SIGTERM, signal.SIGINT):  # a second one: do not wait for work
        loop.add_signal_handler(number, node.hasten)
    await node.stop(settings.node.drain_s)
    beating.cancel()


async def _beat(beat: Callable[[], None]) -> None:
    while True:
        beat()
        await asyncio.sleep(BEAT_S)


def _take_fault(node: Node, context: dict[str, Any]) -> None:
    """End the node when a callback of its loop failed: what that was to do is never done."""
    error, text = context.get("exception"), context.get("message", "")
    _log.error("%s", text, exc_info=error)
    if text.startswith("Exception in callback") and error is not None:
        node.fail(f"{text}: {error!r}")
