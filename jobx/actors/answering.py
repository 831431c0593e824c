"""What answers the questions to a node: its verbs, and what they look at."""

from __future__ import annotations

import functools
import operator
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from msgspec import Raw
from thespian.actors import ActorAddress

from jobx import questions
from jobx.actors.cluster.membership import Membership
from jobx.actors.coordination.batch import Batch
from jobx.actors.coordination.coordinator import Coordinator
from jobx.actors.coordination.given_up import GivenUp
from jobx.actors.coordination.supervisor import Supervisor
from jobx.actors.egress.opening import Egress
from jobx.actors.executors.pool import ExecutorPool
from jobx.actors.gateway.console_verbs import ConsoleVerbs
from jobx.actors.gateway.elsewhere import Elsewhere
from jobx.actors.gateway.ends_elsewhere import Ends
from jobx.actors.gateway.entity_verbs import EntityVerbs
from jobx.actors.gateway.finding import Finder
from jobx.actors.gateway.metric_verbs import MetricVerbs
from jobx.actors.gateway.node_verbs import NodeVerbs
from jobx.actors.gateway.request_verbs import Verbs
from jobx.actors.gateway.server import Table
from jobx.actors.gateway.submitting import Submissions
from jobx.actors.gateway.waiters import Waiters
from jobx.actors.gateway.watches import Watches
from jobx.actors.inspection.node_facts import NodeFacts, PeerFacts
from jobx.actors.log_writer import LogWriter
from jobx.actors.messages import RequestKey
from jobx.actors.parts import Parts
from jobx.actors.ports import Services
from jobx.actors.readers.process import ProcessReader
from jobx.actors.readers.read_limits import Readers
from jobx.actors.readiness import Readiness
from jobx.actors.runtime.mail_trace import MailTraces
from jobx.actors.runtime.system import LoopSystemBase
from jobx.actors.stalls import Stalls
from jobx.config import Settings
from jobx.errors import InternalError, InvalidInput
from jobx.handlers.authoring.library import Library
from jobx.kv.entities.entities import Entities
from jobx.kv.opening import followed, is_here
from jobx.kv.store import Store
from jobx.questions import Question
from jobx.views import View

#: Threads for blocking reads of the store.
READERS: Final = 4
#: Most handlers whose examples run at the same time.
TRIALS: Final = 4

A = TypeVar("A", bound=View)


@dataclass(frozen=True, slots=True)
class Rooms:
    """The started parts of a node that questions are about.

    Attributes:
        parts: Keeps the stops of what is started for answers.
        environ: The environment of the node.
        waiters: The callers that wait for answers of actors.
        readiness: Whether the node works.
        state: Returns whether it starts, runs or drains.
        membership: Its part in the cluster, if it has one.
    """

    parts: Parts
    settings: Settings
    environ: Mapping[str, str]
    store: Store
    library: Library
    egress: Egress
    base: LoopSystemBase
    services: Services
    executors: ExecutorPool
    supervisor: ActorAddress
    waiters: Waiters
    log: LogWriter
    stalls: Stalls
    readiness: Readiness
    state: Callable[[], str]
    membership: Membership | None


class Answering:
    """Answers the questions to a node; starts what it needs for that.

    Args:
        rooms: What the questions are about.
    """

    def __init__(self, rooms: Rooms) -> None:
        self._of = rooms
        threads = rooms.parts.threads(READERS, "reader", cancel_futures=True)
        entities = self._entities(threads)
        finder = self._finder(threads)
        self._logs = Readers(ProcessReader(rooms.settings, rooms.environ))
        rooms.parts.push_async_callback(self._logs.close)
        requests = self._requests(finder)
        console = self._console(finder.elsewhere)
        watches = Watches(rooms.services.node_id, requests.progress, rooms.log.watched)
        rooms.parts.callback(watches.close)
        tables = [requests.table(), entities.table(), self._of_node(console), watches.table()]
        self._verbs: Table = functools.reduce(operator.or_, tables)
        self._verbs_for_nodes = requests.table_for_nodes() | console.table_for_nodes()

    async def call(self, question: Question[A]) -> A:
        """Answer one question, as the gateway does.

        Raises:
            JobxError: The error of the verb.
        """
        return questions.as_view(question, await self.answer(question))

    def answer(self, question: Question[Any]) -> Awaitable[View | Raw]:
        """Answer one question, with the view as a reader has packed it."""
        return self._verbs[type(question)](question)

    async def answer_node(self, question: Question[Any]) -> View:
        """Answer a question of another node."""
        verb = self._verbs_for_nodes.get(type(question))
        if verb is None:
            raise InvalidInput("verb", question.verb, "is none for other nodes")
        answer: View = questions.as_view(question, await verb(question))
        return answer

    def prepare(self, key: RequestKey) -> None:
        """Have the views of a long request made, which would take long when they are asked for."""
        self._logs.prepare(*key)

    def _entities(self, threads: Executor) -> EntityVerbs:
        of = self._of
        # Examples of handlers may take long: in their own threads they delay nothing else.
        trials = of.parts.threads(TRIALS, "trials", wait=False, cancel_futures=True)
        limits = of.settings, of.environ
        return EntityVerbs(
            Entities(of.store), of.library, of.egress.writers, *limits, threads, trials
        )

    def _finder(self, threads: Executor) -> Finder:
        of = self._of
        asking = of.membership.asking.ask if of.membership is not None else None
        return Finder(
            *(of.services, of.store, of.waiters, threads, of.base.deliver, of.supervisor),
            Elsewhere(of.services.node_id, asking),
            self._ends(threads),
        )

    def _ends(self, threads: Executor) -> Ends | None:
        """Return what follows ends on other nodes, if there may be some."""
        of = self._of
        if is_here(of.settings):
            return None
        ends = Ends(of.store, followed(of.store).changes, threads, of.waiters.end)
        of.parts.callback(ends.close)
        return ends

    def _requests(self, finder: Finder) -> Verbs:
        of = self._of
        writers, log = of.egress.writers, of.log
        submissions = Submissions(finder, of.library, writers, lambda: log.faults.stalled)
        return Verbs(finder, submissions, self._logs, of.egress.deliverer.redeliver, self._facts)

    def _console(self, elsewhere: Elsewhere) -> ConsoleVerbs:
        of = self._of
        kinds = {kind.__name__ for kind in (Supervisor, Coordinator, GivenUp, Batch)}
        ends = {kind.__name__ for kind in (Coordinator, Batch)}
        traces = MailTraces(of.base)
        return ConsoleVerbs(
            *(of.services, of.base, traces, of.waiters, elsewhere, kinds, ends), of.stalls.places
        )

    def _of_node(self, console: ConsoleVerbs) -> Table:
        """Return what answers questions about the node: its state, its actors, its counts."""
        of, services = self._of, self._of.services
        verbs = NodeVerbs(
            *(services.node_id, of.settings, of.base, of.supervisor, of.executors, services.left),
            *(of.readiness, of.state),
            members=of.membership.members if of.membership is not None else list,
            notifications=of.egress.notifier.page,
        )
        metrics = MetricVerbs(
            *(verbs, console, services, of.membership),
            open_deliveries=lambda: of.egress.deliverer.open,
            is_stalled=lambda: of.log.faults.stalled is not None,
        )
        return verbs.table() | console.table() | metrics.table()

    def _facts(self) -> NodeFacts:
        """Return what explains requests besides what their coordinators say."""
        of = self._of
        return NodeFacts(
            now=time.monotonic(),
            now_at=of.services.now_at(),
            troubles=tuple(of.readiness.troubles()),
            outstanding=of.log.outstanding,
            starts=of.executors.starts,
            abandoned=of.executors.abandoned,
            peer=self._peer if of.membership is not None else None,
        )

    def _peer(self, node_id: str, workflow: str) -> PeerFacts:
        """Return how another node is that has work of this one."""
        of = self._of
        if of.membership is None:
            raise InternalError("a node alone has no peers")
        peer = of.membership.peer(node_id, workflow)
        given_up_at = peer.heard_at + of.settings.bridge.deaf_s
        return PeerFacts(
            peer.is_member, peer.heard_at, peer.undelivered, peer.is_reached, given_up_at
        )
