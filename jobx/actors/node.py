"""A node: its parts, and the order in which they start and stop.

It and ``answering.py`` alone know all rooms.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

from thespian.actors import ActorSystem, ChildActorExited

from jobx import model
from jobx.actors import notification
from jobx.actors.answering import Answering, Rooms
from jobx.actors.budget import OpenBudget
from jobx.actors.cluster import identity, requirements
from jobx.actors.cluster.adoption import Inherited
from jobx.actors.cluster.joining import Joined, open_membership
from jobx.actors.cluster.membership import Membership
from jobx.actors.coordination.batch import Batch
from jobx.actors.coordination.supervisor import Supervisor
from jobx.actors.egress.notifications.changes import HandlerChanges
from jobx.actors.egress.opening import Egress
from jobx.actors.egress.otlp import Collector
from jobx.actors.executors.pool import ExecutorPool
from jobx.actors.gateway.server import Gateway
from jobx.actors.gateway.traced import Traced
from jobx.actors.gateway.waiters import Waiters
from jobx.actors.held_lease import HeldLease
from jobx.actors.lifetime import Lifetime
from jobx.actors.log_writer import LogWriter
from jobx.actors.messages import Adopt, AdoptStrays, Drain, MoreRoom, Probe, RequestKey
from jobx.actors.metrics import Metrics
from jobx.actors.parts import Parts
from jobx.actors.place_health import PlaceHealth
from jobx.actors.ports import Services
from jobx.actors.readiness import Readiness
from jobx.actors.runtime.scheduler import LoopScheduler
from jobx.actors.runtime.system import LoopSystemBase
from jobx.actors.stalls import Stalls
from jobx.actors.store_health import StoreHealth, check_at_start
from jobx.actors.strays import Strays
from jobx.actors.threads import in_daemon
from jobx.actors.upkeep import Upkeep
from jobx.actors.usual_times import UsualTimes
from jobx.config import Settings
from jobx.errors import JobxError
from jobx.handlers.authoring.code_cache import CodeCache
from jobx.handlers.authoring.library import Library
from jobx.handlers.blobs import opening as blobs_opening
from jobx.handlers.blobs.joining import join
from jobx.handlers.files import opening
from jobx.kv import data_folder
from jobx.kv.blobs import BlobFolder
from jobx.kv.folder_lock import FolderLock
from jobx.kv.opening import lease_of, name_of, open_store, patience_s
from jobx.questions import Question
from jobx.system import processes
from jobx.views import View

#: Work that is under way when a node stops gets at least this long.
LEAST_S: Final = 1.0

A = TypeVar("A", bound=View)
T = TypeVar("T")

_log = logging.getLogger(__name__)


class Node:
    """A node: its store, its actors, its executors, its gateway.

    Args:
        settings: All settings.
        environ: The environment, for executors and their fork server.

    Attributes:
        lost: Set when the node cannot continue.
        asked_to_drain: Set when somebody asks in the store that the node drains and ends.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self.lost = asyncio.Event()
        self.asked_to_drain = asyncio.Event()
        self._settings = settings
        self._id = settings.node.id
        self._environ = environ
        self._state = "starting"
        self._fault: str | None = None
        #: The started parts, each with its stop.
        self._parts = Parts()
        #: When its stop waits no longer for work, monotonic; ``hasten`` moves it.
        self._stop_at = 0.0
        #: None: its store is of this node alone.
        self._held: HeldLease | None = None
        self._membership: Membership | None = None
        self._joined: Joined | None = None
        self._metrics = Metrics()

    async def start(self) -> None:
        """Take the data folder, start all parts, recover open requests.

        Raises:
            InUse: Another node has the data folder, or the store.
            ConfigError: The settings of the store, shared files, a channel or a writer are wrong.
            StoreRefused: The data folder or the store cannot be used.
            StoreUnavailable: The store does not answer.
            StoreFull: No room left.
            DeadlineExceeded: The executors do not start.
        """
        try:
            await self._start()
        except BaseException:
            await self.stop(0.0)
            raise

    async def stop(self, drain_s: float) -> None:
        """Accept nothing new, let running work end within ``drain_s``, stop all parts.

        Requests that have not ended continue when the next node starts on the data folder.
        """
        if self._state == "stopped":
            return
        self._state = "draining"
        self._stop_at = time.monotonic() + drain_s
        try:
            await self._parts.aclose()
        finally:
            self._state = "stopped"

    def hasten(self) -> None:
        """End the drain at once, if the node is draining; open requests continue later."""
        self._stop_at = time.monotonic()

    def fail(self, reason: str) -> None:
        """Report that the node cannot continue; its runner ends it."""
        if self._fault is None:
            self._fault = reason
            _log.critical("the node cannot go on: %s", reason)
            self.lost.set()

    async def _start(self) -> None:
        """Start all parts in order; they stop in the reverse order."""
        await self._start_store()
        self._start_egress()
        self._start_log()
        self._start_actors()
        self._start_membership()
        self._start_answering()
        await self._start_executors()
        await self._take_up()  # before anybody asks for open requests
        await self._start_gateway()
        self._parts.push_async_callback(self._drain)
        self._start_upkeep()
        await self._join()
        self._state = "running"

    async def _start_store(self) -> None:
        settings, data_dir = self._settings, self._settings.data_dir
        data_folder.check_usable(data_dir)  # before there is a file that its user may not open
        lock = FolderLock(data_dir, "node")
        lock.acquire()
        self._parts.callback(lock.release)
        requirements.check(settings)
        opening.check(settings.files)
        blobs_opening.check(settings.blobs)
        self._shared = blobs_opening.shared_blobs(settings.blobs)
        self._store = await in_daemon("store", lambda: open_store(settings, self._shared))
        self._parts.callback(self._store.close)
        if self._shared is not None:
            self._parts.callback(self._shared.close)
        await self._hold_store()
        if settings.bridge.nsqd:
            await in_daemon("cluster", lambda: identity.confirm(self._store, settings.cluster))
        self._blobs = BlobFolder(settings.blob_path, self._shared)
        self._library = Library(self._store)
        self._background = self._parts.threads(1, "background")
        self._sweeping = self._parts.threads(1, "janitor", cancel_futures=True)
        name = name_of(settings)
        await self._in_background(lambda: check_at_start(self._store, data_dir, name))
        await in_daemon("blobs", lambda: join(settings, self._store, self._shared, self._id))
        offered = settings.capabilities
        self._life = await self._in_background(
            lambda: Lifetime(self._id, self._store, data_dir, offered)
        )
        if self._held is not None:
            self._held.lost = self._life.note_again
        await self._in_background(self._library.refresh)

    async def _hold_store(self) -> None:
        """Acquire the lease of this node in a shared store, and hold it until the end."""
        lease = lease_of(self._store, self._settings, self._id)
        if lease is not None:
            self._held = HeldLease(lease, self.fail)
            await self._held.hold(self._parts)

    def _start_membership(self) -> None:
        """Prepare the work with other nodes, if there is a bridge."""
        if self._settings.bridge.nsqd:
            self._membership = open_membership(
                *(self._parts, self._settings, self._life.incarnation, self._base),
                self._executors,
                kinds={"batch": Batch},
                more_room=lambda workflow: self._base.deliver(self._supervisor, MoreRoom(workflow)),
                answer=self._answer_node,
                probe=self._ask_supervisor,
            )

    async def _join(self) -> None:
        """Become a member of the cluster, last of all: the executors are ready."""
        if self._membership is not None and self._held is not None:
            self._membership.serve(self._library.workflows)
            self._joined = Joined(self._parts, self._store, self._membership, self._held.lease)
            self._held.renewal = partial(self._joined.renew, asyncio.get_running_loop())
            await self._joined.begin(self._id, self._adopt, self.call, self.asked_to_drain.set)

    def _adopt(self, found: Inherited) -> None:
        self._base.deliver(self._supervisor, Adopt(found.requests))
        for key in found.deliveries:
            self._egress.deliverer.begin(key)
        for node_id in found.died:
            self._notify(notification.node_lost(node_id))

    def _is_lost(self, node_id: str) -> bool:
        return self._joined is None or self._joined.is_lost(node_id)

    def _start_egress(self) -> None:
        now_at = self._life.clock.now_at
        self._egress = Egress(self._settings, self._store, self._blobs, now_at, self._metrics)
        self._notify = self._egress.notifier.notify
        self._changes = HandlerChanges(self._library, self._notify)
        self._parts.push_async_callback(lambda: self._egress.close(self._patience()))

    def _start_log(self) -> None:
        loop = asyncio.get_running_loop()
        self._base = LoopSystemBase(
            LoopScheduler(loop),
            node_id=self._id,
            incarnation=self._life.incarnation,
            capabilities=dict.fromkeys(self._settings.capabilities, True),
            services=None,
            root_exited=self._root_exited,
        )
        self._stalls = Stalls()
        self._parts.callback(self._stalls.stop)
        self._health = StoreHealth(self._id, self._store, self._notify)
        self._place_health = PlaceHealth(self._id, self._notify)
        self._log = LogWriter(
            self._store,
            loop,
            self._base.deliver,
            self._base.yield_soon,
            self._health.tell,
            patience_s=patience_s(self._settings),
            counted=self._metrics.committed,
        )
        self._parts.callback(self._log.close)

    def _start_actors(self) -> None:
        settings, incarnation = self._settings, self._life.incarnation
        self._executors = ExecutorPool(
            settings,
            self._environ,
            node_id=self._id,
            incarnation=incarnation,
            temp_dir=settings.data_dir / "tmp",
            library=CodeCache(self._store),
            deliver=self._base.deliver,
            notify=self._notify,
            metrics=self._metrics,
        )
        self._waiters = Waiters(self._base.yield_soon)
        self._listener = self._base.endpoint(self._waiters.probed)
        self._services = self._base.services = Services(
            node_id=self._id,
            incarnation=incarnation,
            settings=settings,
            log=self._log,
            executors=self._executors,
            blobs=self._blobs,
            now=time.monotonic,
            now_at=self._life.clock.now_at,
            gateway=self._base.endpoint(self._waiters.receive),
            notify=self._notify,
            deliver=self._egress.deliverer.begin,
            budget=OpenBudget(settings.requests.max_open_bytes or processes.limit_bytes() // 8),
            others=self._others,
            is_lost=self._is_lost,
            metrics=self._metrics,
            ended_long=self._ended_long,
            trace=self._traced(),
        )
        system = ActorSystem(systemBase=self._base, transientUnique=True)
        self._parts.callback(system.shutdown)
        self._supervisor = system.createActor(Supervisor)

    def _traced(self) -> Callable[[model.Request], None]:
        """Return what sends the spans of an ended request, if there is a collector."""
        endpoint = self._settings.otel.endpoint
        if not endpoint:
            return lambda _: None
        counts = self._metrics.traces
        traced = Traced(
            Collector(endpoint, self._id), self.call, lambda outcome: counts[outcome,].add()
        )
        self._parts.callback(traced.close)
        return traced.ended

    def _start_answering(self) -> None:
        self._answering = Answering(
            Rooms(
                *(self._parts, self._settings, self._environ, self._store, self._library),
                *(self._egress, self._base, self._services, self._executors, self._supervisor),
                *(self._waiters, self._log, self._stalls, self._readiness()),
                state=lambda: self._state,
                membership=self._membership,
            )
        )

    async def _answer_node(self, question: Question[Any]) -> View:
        return await self._answering.answer_node(question)

    def _ended_long(self, key: RequestKey) -> None:
        self._answering.prepare(key)

    def _readiness(self) -> Readiness:
        checks = [
            lambda: self._fault,
            self._store_trouble,
            lambda: self._place_health.trouble,
            lambda: self._executors.trouble,
            lambda: self._membership.trouble if self._membership is not None else None,
        ]
        return Readiness(checks, self._probe)

    async def _start_executors(self) -> None:
        self._parts.push_async_callback(self._executors.close)
        await self._executors.start()
        self._usual_times = UsualTimes(self._settings.data_dir, self._executors)
        self._usual_times.recall(await self._in_background(self._usual_times.read))
        self._parts.callback(self._usual_times.close)

    async def _take_up(self) -> None:
        """Recover deliveries and requests that were open when the node stopped."""
        back = self._life.runs()
        self._parts.push_async_callback(self._end_life)
        if back is not None:
            self._notify(back)
        await self._egress.deliverer.resume()
        limit = self._settings.requests.node_deaths
        waiting = await self._in_background(lambda: self._life.take_up(limit))
        if waiting:
            _log.info("continuing open requests: %d", len(waiting))
            self._base.deliver(self._supervisor, Adopt(tuple(waiting)))

    async def _end_life(self) -> None:
        if self._fault is None:
            self._life.ended_well()
            if self._joined is not None:
                with suppress(JobxError):  # who adopts then takes the stop for a death
                    await self._in_background(self._life.tell_others)

    async def _start_gateway(self) -> None:
        await self._in_background(self._library.refresh)  # for changes nobody could announce
        gateway = Gateway(self._settings.gateway_path, self._id, self._answering.answer)
        self._parts.push_async_callback(gateway.stop)
        await gateway.start()

    def _start_upkeep(self) -> None:
        is_open = self._services.budget.__contains__
        upkeep = Upkeep(
            *(self._parts, self._settings, self._store, self._blobs, self._library, self._life),
            *(self._place_health, is_open, self._usual_times, self._background, self._sweeping),
        )
        periodic = upkeep.start(refreshed=self._look, stray=self._adopt_strays, fail=self.fail)
        periodic.once(self._health.check_later())

    def _adopt_strays(self, strays: Strays) -> None:
        self._services.left.forget_all_but(strays.opened)
        if strays.found:
            self._base.deliver(self._supervisor, AdoptStrays(strays.found))
        for key in strays.undelivered:  # a slow store may have written a marker late
            self._egress.deliverer.begin(key)

    def _look(self) -> None:
        """Take note of what changed in workflows."""
        self._changes.look()
        if self._membership is not None:
            self._membership.serve(self._library.workflows)

    async def _drain(self) -> None:
        self._base.deliver(self._supervisor, Drain())
        self._executors.drain()
        while self._executors.is_busy and time.monotonic() < self._stop_at:
            await asyncio.sleep(0.02)
        await self._log.drain(self._patience())

    def _patience(self) -> Callable[[], bool]:
        """Return what tells when a part that stops now has had its time."""
        least_at = time.monotonic() + LEAST_S
        return lambda: time.monotonic() >= max(least_at, self._stop_at)

    def _root_exited(self, notice: ChildActorExited) -> None:
        """End the node: without its supervisor no request would ever start or end."""
        self.fail(f"the supervisor died: {getattr(notice, 'reason', 'it exited')}")

    async def call(self, question: Question[A]) -> A:
        """Answer one question, as the gateway does.

        Raises:
            JobxError: The error of the verb.
        """
        return await self._answering.call(question)

    def _ask_supervisor(self, answered: Callable[[], None]) -> None:
        self._probe().add_done_callback(lambda _: answered())

    def _probe(self) -> asyncio.Future[bool]:
        ticket, future = self._waiters.probe()
        self._base.deliver(self._supervisor, Probe(self._listener, ticket))
        return future

    def _others(self, workflow: str, gone_s: float) -> Collection[frozenset[str]] | None:
        return self._membership.others(workflow, gone_s) if self._membership is not None else ()

    def _store_trouble(self) -> str | None:
        stalled = self._log.faults.stalled
        written = None if stalled is None else f"the log cannot be written: {stalled}"
        return self._health.trouble or written

    async def _in_background(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._background, call)
