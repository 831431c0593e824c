"""A node without actors, executors and disk, and a gateway that serves it.

It answers with the verbs of a node, over a store in memory. What it lacks is behind them: instead
of its actors a ``Desk`` ends each request at once, as ``texts`` says of its job.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any, TypeVar

from jobx import model, questions, values
from jobx.actors.coordination.endings import ended
from jobx.actors.egress.writers.registry import Writers
from jobx.actors.gateway.console_verbs import ConsoleVerbs
from jobx.actors.gateway.elsewhere import AskPeer, Elsewhere
from jobx.actors.gateway.entity_verbs import EntityVerbs
from jobx.actors.gateway.finding import Finder
from jobx.actors.gateway.request_verbs import Verbs
from jobx.actors.gateway.server import Gateway
from jobx.actors.gateway.submitting import Submissions
from jobx.actors.gateway.waiters import Waiters
from jobx.actors.gateway.watches import Watches
from jobx.actors.inspection import actor_views, metric_views
from jobx.actors.inspection.node_facts import NodeFacts
from jobx.actors.messages import (
    Cancel,
    Describe,
    Described,
    Ended,
    Explain,
    Explained,
    Opened,
    Refused,
    RequestKey,
    Submit,
)
from jobx.actors.metrics import Metrics
from jobx.actors.ports import Services
from jobx.actors.readers.folds import Folds
from jobx.actors.readers.read_limits import Readers
from jobx.actors.readers.table import table
from jobx.actors.request.events import Accepted, Cancelled, Done, Event, Failed, Finished, to_record
from jobx.actors.request.standing import Standing
from jobx.actors.runtime.actor import LoopActor
from jobx.actors.runtime.mail_trace import MailTraces
from jobx.actors.runtime.system import LoopSystemBase
from jobx.config import Settings
from jobx.config_sections import ExecutorSettings
from jobx.errors import Conflict, JobxError
from jobx.handlers.authoring import source
from jobx.handlers.authoring.library import Library
from jobx.kv.blobs import BlobFolder
from jobx.kv.entities.entities import Entities
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import deliveries, event_log, request_entity
from jobx.kv.store import Write
from jobx.model import Failure
from jobx.payload import Payload
from jobx.questions import (
    Attended,
    CountHttp,
    GetActorTree,
    GetMetrics,
    GetNode,
    GetReadiness,
    ListNotifications,
    Question,
)
from jobx.views import (
    ActorTree,
    CountedView,
    MetricsView,
    NodeView,
    NotificationPage,
    Outcome,
    ReadinessView,
    View,
)
from tests.support import texts
from tests.support.results import site
from tests.support.thread_reader import ThreadReader
from tests.support.virtual_time import VirtualScheduler

A = TypeVar("A", bound=View)
T = TypeVar("T")
Pairs = list[tuple[Any, Any]]

_ID = "fake"
VIEW = NodeView(
    node_id=_ID,
    version="1",
    pid=1,
    state="running",
    uptime_s=1.0,
    data_dir="/nowhere",
    capabilities=["general"],
    open_requests=0,
    queued_batches=0,
    dead_letters=0,
    rss_bytes=1,
    executors=[],
)


class Desk:
    """Takes what is for the actors of a node, and ends each request at once.

    Args:
        store: Where requests are.
        waiters: Hears what becomes of them.
        blobs: Where results go, None: they stay inline.
    """

    def __init__(self, store: MemoryStore, waiters: Waiters, blobs: BlobFolder | None) -> None:
        self._store = store
        self._waiters = waiters
        self._blobs = blobs
        self._open: dict[RequestKey, Submit] = {}
        self.failure = Failure(kind="author", type="ValueError", message="no such word")
        self.session: dict[str, Any] | None = None

    def deliver(self, _: object, message: object) -> None:
        """Take a message for the supervisor."""
        if isinstance(message, Submit):
            self._start(message)
        elif isinstance(message, Cancel):
            self._cancel(message)
        elif isinstance(message, Describe):
            order = self._open.get(message.key)
            self._tell(Described(message.ticket, order and order.request))
        elif isinstance(message, Explain):
            order = self._open.get(message.key)
            standing = Standing([], 1, "open", 0) if order else None
            self._tell(Explained(message.ticket, standing, order and order.request))

    def release(self, pairs: Pairs) -> None:
        """Finish every request that is running; in the node's event loop."""
        for key in list(self._open):
            self.succeed(key, pairs)

    def pairs_of(self, job: str, arguments: dict[str, Any]) -> Pairs | None:
        """Return the result of a job, or None: it goes on."""
        if job == "count":
            return sorted(Counter(arguments["text"].split()).items())
        if job == "pairs":
            return [(n, arguments.get("value", n)) for n in range(arguments["count"])]
        return None

    def _start(self, order: Submit) -> None:
        request = order.request
        key = RequestKey(request.workflow_name, request.request_id)
        accepted = Accepted(
            request.accepted_at,
            request.job_name,
            order.step,
            order.plan_digest,
            order.arguments,
            order.time_limit_s,
        )
        try:
            self._commit(key, 0, [accepted], order.writes)
        except Conflict as error:
            self._tell(Refused(key, error))
            return
        self._open[key] = order
        self._tell(Opened(request))
        job, arguments = request.job_name, dict(values.unpack(order.arguments.inline or b"\x90"))
        pairs = self.pairs_of(job, arguments)
        if job == "fail":
            lost = Failed(time.time(), "map", 0, 0, 1, self.failure)
            self._finish(key, lost, Finished(time.time(), "failed", self.failure))
        elif pairs is not None:
            self.succeed(key, pairs)

    def succeed(self, key: RequestKey, pairs: Pairs) -> None:
        """End a request with a result."""
        run = b"".join(values.pack([name, [value]]) for name, value in pairs)
        payload = Payload(len(pairs), len(run), inline=run)
        if self._blobs is not None:
            (self._blobs.create(*key) / "run").write_bytes(run)
            payload = Payload(len(pairs), len(run), blob="run", checksum=zlib.crc32(run))
        notes: dict[str, Any] = {"output": "é, printed\n"}
        if self.session is not None:
            notes["session"] = self.session
        durations = array.array("I", [1, 1, 1]).tobytes()
        done = Done(
            time.time(),
            "map",
            0,
            0,
            1,
            "reduced",
            durations=durations,
            notes={0: notes},
        )
        self._finish(key, done, Finished(time.time(), "succeeded", None, (payload,)))

    def _cancel(self, message: Cancel) -> None:
        if message.key in self._open:
            failure = Failure(kind="cancelled", type="Cancelled", message=message.reason)
            finished = Finished(time.time(), "cancelled", failure)
            self._finish(message.key, Cancelled(time.time(), message.reason), finished)
        else:
            self._tell(Described(message.ticket, None))

    def _finish(self, key: RequestKey, last: Event, finished: Finished) -> None:
        order = self._open.pop(key)
        request = ended(order.request, finished)
        writes = request_entity.finish_writes(request, _ID, order.plan_digest, 3)
        writes += deliveries.begin_writes(request, _ID)
        self._commit(key, 1, [last, finished], writes)
        self._tell(Ended(request))

    def _commit(
        self, key: RequestKey, first: int, events: list[Event], writes: Sequence[Write]
    ) -> None:
        logged = (
            event_log.event_write(*key, first + n, to_record(event))
            for n, event in enumerate(events)
        )
        self._store.commit([*writes, *logged])

    def _tell(self, message: object) -> None:
        self._waiters.receive(message, None)


class Supervisor(LoopActor):
    """The only actor of a fake node."""


class FakeNode:
    """Answers every question of the gateway; what it was asked is in ``calls``.

    Args:
        folder: Where results go, None: they stay inline.
        ask: Asks other nodes; None: there are none.
    """

    def __init__(self, folder: Path | None = None, ask: AskPeer | None = None) -> None:
        self.calls: list[Question[Any]] = []
        self.metrics = Metrics()
        self.error: JobxError | Exception | None = None
        self.state = "running"
        self.trouble: str | None = None
        self.notice: str | None = None
        self.told = NotificationPage(node_id=_ID, told=0, channels=[], notifications=[])
        self.store = MemoryStore()
        texts.write(self.store)
        library, waiters = Library(self.store), Waiters()
        library.refresh()
        inline = ExecutorSettings(inline_bytes=1 << 30)
        settings, threads = Settings(executors=inline), _Inline()
        writers = Writers(site(settings))
        blobs = BlobFolder(folder or Path("/dev/null/blobs"))
        self.desk = self._desk(waiters, blobs if folder else None)
        nothing: Any = None
        services = Services(
            node_id=_ID,
            incarnation=1,
            settings=settings,
            log=nothing,
            executors=nothing,
            blobs=blobs,
            now=time.monotonic,
            now_at=time.time,
            gateway=nothing,
        )
        self.left = services.left
        finder = Finder(
            *(services, self.store, waiters, threads),
            *(self.desk.deliver, nothing, Elsewhere(_ID, ask)),
        )
        submissions = Submissions(finder, library, writers, lambda: None)
        logs = Readers(ThreadReader(self.store, table(Folds()), threads))
        verbs = Verbs(finder, submissions, logs, self._redeliver, NodeFacts)
        entity_verbs = _UntriedVerbs(
            Entities(self.store), library, writers, settings, {}, threads, threads
        )
        self.base = LoopSystemBase(
            VirtualScheduler(), node_id=_ID, incarnation=1, capabilities={}, services=services
        )
        self.base.newPrimaryActor(Supervisor)
        console = ConsoleVerbs(
            *(services, self.base, MailTraces(self.base), waiters, finder.elsewhere),
            *({"Batch", "Coordinator"}, {"Coordinator"}, list),
        )
        self._verbs = verbs.table() | entity_verbs.table() | console.table()
        self._verbs |= Watches("another", verbs.progress, {}).table()

    async def call(self, question: Question[A], timeout_s: float = 1.0) -> A:
        """Answer as over the gateway: through the codec of the wire."""
        _, asked = questions.decode_call(questions.encode_call(1, question)[4:])
        try:
            sent = questions.encode_answer(1, await self.answer(asked))
        except JobxError as error:
            sent = questions.encode_error(1, error)
        _, reply = questions.decode_reply(sent[4:])
        if isinstance(reply, JobxError):
            raise reply
        return questions.decode_answer(question, reply)

    async def attend(self, question: Attended) -> Outcome:
        """Answer a question that waits."""
        return await self.call(question)

    async def answer(self, question: Question[Any]) -> View:
        """Return the answer to a question, as ``NodePort.call`` does."""
        self.calls.append(question)
        if self.error is not None:
            raise self.error
        kind = type(question)
        if kind in self._verbs:
            return await self._verbs[kind](question)
        if isinstance(question, GetReadiness):
            return ReadinessView(state=self.state, trouble=self.trouble, notice=self.notice)
        if isinstance(question, GetActorTree):
            return ActorTree(actors=actor_views.actor_trees(self.base.tree()))
        if isinstance(question, CountHttp):
            self.metrics.add_http(question.worker, question.number, question.counted)
            return CountedView(number=question.number)
        if isinstance(question, GetMetrics):
            return MetricsView(families=list(metric_views.counted(self.metrics)))
        if isinstance(question, ListNotifications):
            return self.told
        assert isinstance(question, GetNode)
        return VIEW

    def last(self, verb: str) -> Any:
        """Return the last question of a verb."""
        return next(asked for asked in reversed(self.calls) if asked.verb == verb)

    def count(self, verb: str) -> int:
        """Return how often a verb was called."""
        return sum(asked.verb == verb for asked in self.calls)

    def release(self, pairs: Pairs) -> None:
        """Finish every request that is running; in the node's event loop."""
        self.desk.release(pairs)

    def _desk(self, waiters: Waiters, blobs: BlobFolder | None) -> Desk:
        return Desk(self.store, waiters, blobs)

    async def _redeliver(self, key: RequestKey) -> None:
        deliveries.renew(self.store, _ID, *key)


class _UntriedVerbs(EntityVerbs):
    """Runs no examples of handlers, which takes processes."""

    def _check(self, handler: model.Handler) -> None:
        source.check(handler)


class _Inline(Executor):
    """Runs what is for a thread at once."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        done: Future[T] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - it is the caller's
            done.set_exception(error)
        return done


class FakeGateway(Gateway):
    """Serves a fake node at a Unix socket; in one event loop."""

    def __init__(self, node: FakeNode, path: Path) -> None:
        super().__init__(path, _ID, node.answer)

    async def kill(self) -> None:
        """Vanish, as a killed process does: no answer, no farewell."""
        for connection in list(self._connections):
            transport = connection._transport
            assert transport is not None
            transport.abort()
        await self.stop()


@contextlib.contextmanager
def gateway_thread(node: FakeNode, path: Path) -> Iterator[asyncio.AbstractEventLoop]:
    """Serve ``node`` in a thread; gives the loop that it runs in."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    gateway = FakeGateway(node, path)
    asyncio.run_coroutine_threadsafe(gateway.start(), loop).result(60)
    try:
        yield loop
    finally:
        asyncio.run_coroutine_threadsafe(gateway.kill(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        loop.close()
