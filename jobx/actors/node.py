"""A node: its parts, and the order in which they start and stop.

The only file that names concrete adapters.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any, Final, TypeVar, cast

from thespian.actors import ActorSystem, ChildActorExited

from jobx.actors.budget import OpenBudget
from jobx.actors.cluster import calls, identity, membership
from jobx.actors.cluster.adopter import Adopter
from jobx.actors.cluster.adoption import Adopted, Adoption
from jobx.actors.cluster.calls import Calls
from jobx.actors.cluster.membership import Membership
from jobx.actors.cluster.registration import Registration
from jobx.actors.coordination.batches import Batch
from jobx.actors.coordination.supervisor import Supervisor
from jobx.actors.egress.deliverer import Deliverer
from jobx.actors.egress.http_client import Outbound, tls_context
from jobx.actors.egress.notifications.changes import HandlerChanges
from jobx.actors.egress.notifications.notifier import Clocks, Notifier
from jobx.actors.egress.writers.base import WriterSite
from jobx.actors.egress.writers.registry import Writers
from jobx.actors.executors.pool import ExecutorPool
from jobx.actors.gateway.elsewhere import Elsewhere
from jobx.actors.gateway.ends import Ends
from jobx.actors.gateway.entity_verbs import EntityVerbs
from jobx.actors.gateway.finding import Finder
from jobx.actors.gateway.inspections import Inspections
from jobx.actors.gateway.node_verbs import NodeVerbs
from jobx.actors.gateway.request_verbs import Verbs
from jobx.actors.gateway.server import Gateway
from jobx.actors.gateway.submitting import Submissions
from jobx.actors.gateway.waiters import Answers
from jobx.actors.janitor import Janitor
from jobx.actors.lifetime import Lifetime
from jobx.actors.log_writer import LogWriter
from jobx.actors.messages import Adopt, AdoptStrays, Drain, MoreRoom, Probe
from jobx.actors.periodic import Periodic
from jobx.actors.place_health import PlaceHealth
from jobx.actors.ports import Services
from jobx.actors.readiness import Readiness
from jobx.actors.runtime.scheduler import LoopScheduler
from jobx.actors.runtime.system import LoopSystemBase
from jobx.actors.shared_sweep import SharedSweep
from jobx.actors.store_health import StoreHealth, check_at_start
from jobx.actors.strays import Strays
from jobx.actors.threads import in_daemon
from jobx.config import Settings
from jobx.errors import InUse, InvalidInput, JobxError
from jobx.handlers.authoring.code_cache import CodeCache
from jobx.handlers.authoring.library import Library
from jobx.handlers.blobs import opening as blobs_opening
from jobx.handlers.blobs.joining import join
from jobx.handlers.blobs.shared import SharedBlobs
from jobx.handlers.files import opening
from jobx.kv import data_folder, keys
from jobx.kv.blobs import BlobFolder
from jobx.kv.entities.entities import Entities
from jobx.kv.folder_lock import FolderLock
from jobx.kv.leases import Lease
from jobx.kv.opening import (
    LEASE_S,
    followed,
    is_here,
    lease_of,
    leases_of,
    name_of,
    open_store,
    patience_s,
    sweep_lease,
)
from jobx.questions import Question
from jobx.system import processes
from jobx.views import View

#: Threads for blocking reads of the store.
READERS: Final = 4
#: Threads for reads of whole logs, which would delay other reads.
INSPECTORS: Final = 2
#: Most handlers whose examples run at the same time.
TRIALS: Final = 4
#: How often the store is checked for entity changes that were not announced.
REFRESH_S: Final = 0.5
#: How often the files of the data folder are checked.
PLACE_S: Final = 2.0
#: How often the shared place of blobs is asked whether it is there.
BLOBS_S: Final = 5.0
#: How often expired requests and orphaned blob folders are removed.
SWEEP_S: Final = 10.0
#: How often a store on other machines is checked for open requests that nobody coordinates.
STRAYS_S: Final = 15.0
#: How often unused plans and code are removed.
SWEEP_CODE_S: Final = 600.0
#: How often unfinished shared files are removed.
CLEAN_S: Final = 3600.0
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
        self._parts = AsyncExitStack()
        #: When its stop waits no longer for work, monotonic; ``hasten`` moves it.
        self._stop_at = 0.0
        self._lease: Lease | None = None
        self._registration: Registration | None = None
        self._membership: Membership | None = None
        self._adoption: Adoption | None = None

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
        self._start_verbs()
        await self._start_executors()
        await self._take_up()  # before anybody asks for open requests
        await self._start_gateway()
        self._parts.push_async_callback(self._drain)
        self._start_periodic()
        await self._join()
        self._state = "running"

    async def _start_store(self) -> None:
        settings, data_dir = self._settings, self._settings.data_dir
        lock = FolderLock(data_dir, "node")
        lock.acquire()
        self._parts.callback(lock.release)
        # Their reads end when the store is closed, and only then others may have the folder.
        self._inspectors = self._threads(INSPECTORS, "inspector", cancel_futures=True)
        membership.check(settings)
        opening.check(settings.files)
        blobs_opening.check(settings.blobs)
        data_folder.check_usable(data_dir)
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
        self._background = self._threads(1, "background")
        self._sweeping = self._threads(1, "janitor", cancel_futures=True)
        name = name_of(settings)
        await self._in_background(lambda: check_at_start(self._store, data_dir, name))
        await in_daemon("blobs", lambda: join(settings, self._store, self._shared, self._id))
        offered = settings.capabilities
        self._life = await self._in_background(
            lambda: Lifetime(self._id, self._store, data_dir, offered)
        )
        await self._in_background(self._library.refresh)

    async def _hold_store(self) -> None:
        """Acquire the lease of this node in a shared store, and hold it until the end."""
        lease = lease_of(self._store, self._settings, self._id)
        if lease is not None:
            await in_daemon("lease", lease.acquire)
            self._parts.push_async_callback(in_daemon, "lease", lease.release)
            self._lease = lease
            keeping = Periodic()
            self._parts.callback(keeping.stop)
            loop = asyncio.get_running_loop()
            keeping.every(LEASE_S / 3, None, partial(self._renew, loop))

    def _renew(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            if self._registration is not None:
                self._registration.renew()
            elif self._lease is not None and not self._lease.renew():
                _log.warning("the lease of the store was lost, and is held again")
        except InUse as error:
            loop.call_soon_threadsafe(self.fail, f"another node has its id: {error}")

    def _start_membership(self) -> None:
        """Prepare the work with other nodes, if there is a bridge."""
        settings = self._settings
        if not settings.bridge.nsqd:
            return
        from jobx.actors.bridge.nsq.opening import open_transport  # noqa: PLC0415 - a node alone needs no pynsq

        transport = open_transport(settings)
        self._parts.callback(transport.close)
        self._parts.push_async_callback(transport.finish)
        self._membership = Membership(
            settings,
            self._life.incarnation,
            self._base,
            transport,
            self._executors,
            kinds={"batch": Batch},
            more_room=lambda workflow: self._base.deliver(self._supervisor, MoreRoom(workflow)),
            answer=self._answer_node,
        )
        self._parts.callback(self._membership.close)

    async def _join(self) -> None:
        """Become a member of the cluster, last of all: the executors are ready.

        Its queues may still be opening: peers ask again until one of their letters is answered.
        """
        if self._membership is not None and self._lease is not None:
            self._membership.serve(self._library.workflows)
            self._registration = self._membership.registration(self._lease)
            await in_daemon("lease", self._registration.renew)
            adopter = self._start_adoption(self._membership, self._registration)
            self._membership.follow(leases_of(self._store), keys.node(""), adopter.saw)
            asked = self._store, self._id, self._membership, self.call, self.asked_to_drain.set
            looking = Periodic()
            self._parts.callback(looking.stop)
            looking.every(calls.LOOK_S, None, Calls(*asked).look)

    def _start_adoption(self, membership: Membership, registration: Registration) -> Adopter:
        """Adopt a share of what lost nodes leave, until the node drains."""
        has_settled = partial(registration.has_settled, LEASE_S)
        self._adoption = membership.adoption(self._store, has_settled)
        thread = self._threads(1, "adoption", wait=False, cancel_futures=True)
        adopter = Adopter(self._adoption, thread, self._adopt)
        self._parts.callback(adopter.stop)
        return adopter

    def _adopt(self, found: Adopted) -> None:
        self._base.deliver(self._supervisor, Adopt(found.requests))
        for key in found.deliveries:
            self._deliverer.begin(key)

    def _is_lost(self, node_id: str) -> bool:
        return self._adoption is None or self._adoption.is_lost(node_id)

    def _start_egress(self) -> None:
        settings, now_at = self._settings, self._life.clock.now_at
        outbound, notify, results = settings.outbound, settings.notify, settings.results
        if outbound.ca_file:
            tls_context(outbound)
        clocks = Clocks(time.monotonic, time.time)
        self._notifier = Notifier(self._id, settings, Outbound(outbound, [notify.http_url]), clocks)
        self._changes = HandlerChanges(self._library, self._notifier.notify)
        self._writers = Writers(
            WriterSite(settings, Outbound(outbound, [results.http_url]), now_at)
        )
        self._deliverer = Deliverer(
            self._id,
            self._store,
            self._blobs,
            self._writers,
            results,
            notify=self._notifier.notify,
            now_at=now_at,
        )
        self._parts.push_async_callback(self._close_egress)

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
        self._health = StoreHealth(self._id, self._store, self._notifier.notify)
        self._place_health = PlaceHealth(self._id, self._notifier.notify)
        self._log = LogWriter(
            self._store,
            loop,
            self._base.deliver,
            self._base.yield_soon,
            self._health.tell,
            patience_s=patience_s(self._settings),
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
            notify=self._notifier.notify,
        )
        self._answers = Answers(self._base.yield_soon)
        self._listener = self._base.endpoint(self._answers.probed)
        self._services = self._base.services = Services(
            node_id=self._id,
            incarnation=incarnation,
            settings=settings,
            log=self._log,
            executors=self._executors,
            blobs=self._blobs,
            now=time.monotonic,
            now_at=self._life.clock.now_at,
            gateway=self._base.endpoint(self._answers.receive),
            notify=self._notifier.notify,
            deliver=self._deliverer.begin,
            budget=OpenBudget(settings.requests.max_open_bytes or processes.limit_bytes() // 8),
            others=self._others,
            is_lost=self._is_lost,
        )
        system = ActorSystem(systemBase=self._base, transientUnique=True)
        self._parts.callback(system.shutdown)
        self._supervisor = system.createActor(Supervisor)

    def _start_verbs(self) -> None:
        readers = self._threads(READERS, "reader", cancel_futures=True)
        # Examples of handlers may take long: in their own threads they delay nothing else.
        trials = self._threads(TRIALS, "trials", wait=False, cancel_futures=True)
        finder = Finder(
            *(self._services, self._store, self._answers, readers),
            *(self._base.deliver, self._supervisor),
            Elsewhere(self._id, self._membership.asking.ask if self._membership else None),
            self._ends(readers),
        )
        submissions = Submissions(finder, self._library, self._writers, lambda: self._log.stalled)
        redeliver = self._deliverer.redeliver
        verbs = Verbs(finder, submissions, Inspections(self._inspectors), redeliver)
        limits = self._settings, self._environ
        entity_verbs = EntityVerbs(
            Entities(self._store), self._library, self._writers, *limits, readers, trials
        )
        checks = [
            lambda: self._fault,
            self._store_trouble,
            lambda: self._place_health.trouble,
            lambda: self._executors.trouble,
            lambda: self._membership.trouble if self._membership is not None else None,
        ]
        readiness = Readiness(checks, self._probe)
        parts = self._supervisor, self._executors, self._services.left
        node_verbs = NodeVerbs(
            self._id, self._settings, self._base, *parts, readiness, lambda: self._state
        )
        self._verbs = verbs.table() | entity_verbs.table() | node_verbs.table()
        self._verbs_for_nodes = verbs.table_for_nodes()

    def _ends(self, threads: Executor) -> Ends | None:
        """Return what follows ends on other nodes, if there may be some."""
        if is_here(self._settings):
            return None
        ends = Ends(self._store, followed(self._store).changes, threads, self._answers.end)
        self._parts.callback(ends.close)
        return ends

    async def _start_executors(self) -> None:
        self._parts.push_async_callback(self._executors.close)
        await self._executors.start()

    async def _take_up(self) -> None:
        """Recover deliveries and requests that were open when the node stopped."""
        back = self._life.runs()
        self._parts.push_async_callback(self._end_life)
        if back is not None:
            self._notifier.notify(back)
        await self._deliverer.resume()
        limit = self._settings.requests.node_deaths
        waiting = await self._in_background(lambda: self._life.take_up(limit))
        if waiting:
            _log.info("continuing open requests: %d", len(waiting))
            self._base.deliver(self._supervisor, Adopt(tuple(waiting)))

    async def _end_life(self) -> None:
        if self._fault is None:
            self._life.ended_well()
            if self._registration is not None:
                with suppress(JobxError):  # who adopts then takes the stop for a death
                    await self._in_background(self._life.tell_others)

    async def _start_gateway(self) -> None:
        await self._in_background(self._library.refresh)  # for changes nobody could announce
        gateway = Gateway(self._settings.gateway_path, self._id, self.call)
        self._parts.push_async_callback(gateway.stop)
        await gateway.start()

    def _start_periodic(self) -> None:
        janitor = Janitor(
            self._store,
            self._blobs,
            self._library,
            retention_s=self._settings.requests.retention_s,
            now_at=self._life.clock.now_at,
            is_open=self._services.budget.__contains__,
            lease=sweep_lease(self._store, self._settings),
        )
        periodic, files = Periodic(), self._settings.files
        self._parts.callback(periodic.stop)
        self._parts.callback(janitor.stop)
        periodic.every(REFRESH_S, self._background, self._library.refresh, after=self._look)
        periodic.every(SWEEP_S, self._background, self._life.note_clock)
        place = data_folder.Place(self._settings.data_dir)
        periodic.every(PLACE_S, self._background, place.look, after=lambda: self._confirm(place))
        periodic.every(SWEEP_S, self._sweeping, janitor.sweep, janitor.sweep_folders)
        periodic.every(SWEEP_CODE_S, self._sweeping, janitor.sweep_code)
        periodic.every(CLEAN_S, None, lambda: janitor.sweep_files(files))
        if not is_here(self._settings):
            strays = Strays(self._store, self._id, self._services.budget.__contains__)
            after = partial(self._adopt_strays, strays)
            periodic.every(STRAYS_S, self._background, strays.look, after=after)
        shared = blobs_opening.shared_blobs(self._settings.blobs)
        if shared is not None:
            self._sweep_shared(shared, janitor, periodic)
        periodic.once(self._health.check_later())

    def _adopt_strays(self, strays: Strays) -> None:
        if strays.found:
            self._base.deliver(self._supervisor, AdoptStrays(strays.found))

    def _sweep_shared(self, shared: SharedBlobs, janitor: Janitor, periodic: Periodic) -> None:
        """Watch and sweep the shared place, and copies here, over connections of their own.

        These are closed at once when the node stops, and the others only when its work has ended.
        """
        is_open, health = self._services.budget.__contains__, self._place_health
        blobs = BlobFolder(self._settings.blob_path, shared)
        sharing = SharedSweep(
            *(self._store, shared, blobs, is_open, janitor.is_chosen),
            is_there=lambda: health.is_there,
        )
        threads = self._threads(1, "shared-blobs", cancel_futures=True)
        looking = self._threads(1, "shared-place", cancel_futures=True)
        self._parts.callback(shared.close)
        self._parts.callback(sharing.stop)
        periodic.every(BLOBS_S, looking, partial(health.look, shared), after=health.tell)
        unused_s = self._settings.blobs.cache_s
        periodic.every(SWEEP_S, threads, partial(sharing.unload, unused_s), sharing.sweep)
        now_at, age_s = self._life.clock.now_at, self._settings.files.temp_age_s
        periodic.every(CLEAN_S, threads, lambda: sharing.clean(now_at() - age_s))

    def _look(self) -> None:
        """Take note of what changed in workflows."""
        self._changes.look()
        if self._membership is not None:
            self._membership.serve(self._library.workflows)

    def _confirm(self, place: data_folder.Place) -> None:
        """End the node if its files were removed: everything that it writes would be lost."""
        if place.gone is not None:
            self.fail(f"{place.gone} was removed or replaced while it was in use")

    async def _drain(self) -> None:
        self._base.deliver(self._supervisor, Drain())
        self._executors.drain()
        while self._executors.is_busy and time.monotonic() < self._stop_at:
            await asyncio.sleep(0.02)
        await self._log.drain(self._patience())

    async def _close_egress(self) -> None:
        is_over = self._patience()
        await self._deliverer.close(is_over)
        await self._notifier.close(is_over)

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
        return cast("A", await self._verbs[type(question)](question))

    async def _answer_node(self, question: Question[Any]) -> View:
        """Answer a question of another node."""
        verb = self._verbs_for_nodes.get(type(question))
        if verb is None:
            raise InvalidInput("verb", question.verb, "is none for other nodes")
        return await verb(question)

    def _probe(self) -> asyncio.Future[bool]:
        ticket, future = self._answers.probe()
        self._base.deliver(self._supervisor, Probe(self._listener, ticket))
        return future

    def _others(self, workflow: str, gone_s: float) -> Collection[frozenset[str]] | None:
        return self._membership.others(workflow, gone_s) if self._membership is not None else ()

    def _store_trouble(self) -> str | None:
        stalled = self._log.stalled
        written = None if stalled is None else f"the log cannot be written: {stalled}"
        return self._health.trouble or written

    def _threads(
        self, count: int, name: str, *, wait: bool = True, cancel_futures: bool = False
    ) -> ThreadPoolExecutor:
        """Start threads that end with the node."""
        threads = ThreadPoolExecutor(count, thread_name_prefix=name)
        self._parts.callback(threads.shutdown, wait, cancel_futures=cancel_futures)
        return threads

    async def _in_background(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._background, call)
