"""Work that comes back unfinished: recalled, or lost with its executor, batch or node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace
from thespian.actors import ActorAddress

from jobx.actors.coordination.executor_reports import ExecutorReports, first_vertex
from jobx.actors.coordination.journal import Journal
from jobx.actors.coordination.started import StartedWork
from jobx.actors.messages import EndChild, Lost, SuspendedLost, TakenBack
from jobx.actors.ports import Services
from jobx.actors.request.branches import MAPPER
from jobx.actors.request.decisions import Dispatch, PullMapper, RunMappers
from jobx.actors.request.state import RequestState
from jobx.actors.runtime.failure import NODE_LOST, ChildFailed, ChildLost
from jobx.model import Failure

#: When so many nodes were lost with work, its first invocation is blamed, as by a crash.
MAX_NODES_LOST: Final = 3


class UnfinishedWork:
    """Gives unfinished work of one request back, or fails the invocation that is to blame.

    Args:
        journal: The log of the request.
        state: Its state.
        reports: Makes events of what became of work.
        started: The work of its batches; what is lost leaves it.
        node: The adapters of the node.
    """

    def __init__(
        self,
        journal: Journal,
        state: RequestState,
        reports: ExecutorReports,
        started: StartedWork,
        node: Services,
    ) -> None:
        self._key = journal.key
        self._state = state
        self._reports = reports
        self._started = started
        self._executors = node.executors
        self._nodes_lost: dict[int, set[tuple[object, ...]]] = {}

    def taken_back(self, message: TakenBack) -> None:
        """Give back the part of a batch that its executor will not start."""
        started = self._started.get(message.ticket)
        if started is None or self._state.finished is not None:
            return
        work = started.work
        if isinstance(work, RunMappers):
            stop = work.first + work.count
            shorter = replace(work, count=message.first - work.first)
            self._started[message.ticket] = replace(started, work=shorter)
            self._reports.give_back(work, message.first, stop)

    def lost(self, message: Lost) -> None:
        """Take note of work that was lost with its executor."""
        started = self._started.pop(message.ticket, None)
        if started is not None and self._state.finished is None:
            self._reports.lose(started.work, message)

    def suspended_lost(self, message: SuspendedLost, batch: ActorAddress) -> None:
        """Fail the attempts of suspended mappers that a batch has lost."""
        if self._state.finished is not None:
            return
        asked = {
            started.work.vertex: ticket
            for ticket, started in self._started.items()
            if isinstance(started.work, PullMapper) and started.batch == batch
        }
        suspended = self._state.ready.suspended
        for vertex in message.vertices:
            # The batch may have left before it was asked, and the mapper may run again meanwhile.
            if vertex in asked:
                work = self._started.pop(asked[vertex]).work
            elif suspended.get(vertex) == batch:
                del suspended[vertex]
                work = PullMapper(vertex, self._state.attempt((vertex, MAPPER)).number)
            else:
                continue
            self._reports.attempt_failed(work, vertex, message.failure)

    def end_child(self, message: EndChild) -> str:
        """Give back the work of a batch that is to end; unless it is to start again, one fails.

        Returns:
            What becomes of it, in words.
        """
        child, reason = message.child, message.reason
        if self._state.finished is not None:
            return "its request has ended, and so does it"
        if message.is_again:
            failure = Failure(kind="lost", type="ActorRestarted", message=reason)
            self._lose_batch(child, failure, lambda _: None)
            return "its work starts again in another batch"
        text = f"the batch that had this attempt was {reason}"
        failure = Failure(kind="crash", type="ActorStopped", message=text)
        self._lose_batch(child, failure, self._culprit(child))
        return "the attempt that runs there, or is next, has failed; its other work starts again"

    def child_failed(self, message: ChildFailed) -> None:
        """Give back the work of a batch actor that died of an internal fault."""
        failure = Failure(kind="crash", type="ActorDied", message="see the node's log")
        self._lose_batch(message.childAddress, failure, first_vertex)

    def child_lost(self, message: ChildLost) -> None:
        """Give back the work of a batch on a lost node; what many nodes are lost with is blamed."""
        failure = Failure(kind="lost", type=message.error_type, message=message.reason)
        self._lose_batch(message.childAddress, failure, lambda work: self._lost_with(message, work))

    def _culprit(self, batch: ActorAddress) -> Callable[[Dispatch], int]:
        """Return what names the invocation that a batch is at, by its work."""
        places = self._executors.places({batch}).values()
        running = [place.vertex for place in places if place.cause == "running"]

        def culprit(work: Dispatch) -> int:
            first = first_vertex(work)
            last = first + work.count if isinstance(work, RunMappers) else first
            return next((vertex for vertex in running if first <= vertex < last), first)

        return culprit

    def _lost_with(self, message: ChildLost, work: Dispatch) -> int | None:
        node_id, registration, actor = message.childAddress.addressDetails
        vertex = first_vertex(work)
        # A node is lost once. One that cannot read its mail counts each time, or it never ends.
        lost = (node_id, registration, "" if message.error_type == NODE_LOST else actor)
        nodes = self._nodes_lost.setdefault(vertex, set())
        nodes.add(lost)
        return vertex if len(nodes) >= MAX_NODES_LOST else None

    def _lose_batch(
        self, batch: ActorAddress, failure: Failure, culprit: Callable[[Dispatch], int | None]
    ) -> None:
        self._executors.abandon(self._key, batch)
        crash = replace(failure, kind="crash")  # of what is blamed
        for ticket, started in list(self._started.items()):
            if started.batch == batch:
                self.lost(Lost(ticket, culprit(started.work), crash))
        suspended = self._state.ready.suspended
        kept = [vertex for vertex, keeper in suspended.items() if keeper == batch]
        self.suspended_lost(SuspendedLost(tuple(kept), failure), batch)
