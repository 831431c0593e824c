"""The coordinator: owns one request, from its acceptance to its end.

It is the only writer of the request's log. The pure state in ``actors/request`` makes the
decisions; here decisions become messages and reports become events.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, Final, Literal

from thespian.actors import ActorAddress, ActorExitRequest, WakeupMessage

from jobx import model
from jobx.actors.coordination import unmet
from jobx.actors.coordination.batch import Batch
from jobx.actors.coordination.executor_reports import ExecutorReports
from jobx.actors.coordination.journal import Journal
from jobx.actors.coordination.request_standing import RequestStanding
from jobx.actors.coordination.started import Started, StartedWork
from jobx.actors.coordination.unfinished_work import UnfinishedWork
from jobx.actors.coordination.work_frames import FrameBuilder
from jobx.actors.messages import (
    Cancel,
    ChildTold,
    CommitRefused,
    Committed,
    Describe,
    Described,
    Discard,
    Drain,
    EndChild,
    Ended,
    Explain,
    Explained,
    GoOn,
    Lost,
    MoreRoom,
    Opened,
    Progressed,
    Ran,
    Recover,
    Refused,
    Run,
    Submit,
    SuspendedLost,
    TakenBack,
)
from jobx.actors.ports import Services
from jobx.actors.request import capabilities
from jobx.actors.request.branches import ROOT
from jobx.actors.request.capabilities import HERE, Kind
from jobx.actors.request.decisions import (
    PARTITION_BYTES,
    Decision,
    Dispatch,
    Finish,
    Pace,
    PullMapper,
    RunMappers,
    RunReducer,
    Wait,
    decide,
)
from jobx.actors.request.events import LONG, Accepted, Cancelled, Failed
from jobx.actors.request.open_at_end import OPEN, open_then
from jobx.actors.request.spans import split
from jobx.actors.request.standing import MAX_UNCOMMITTED, Backoff, Backoffs
from jobx.actors.request.state import RequestState
from jobx.actors.request.time_spent import spent_s
from jobx.actors.runtime.actor import LoopActor
from jobx.actors.runtime.failure import ChildFailed, ChildLost
from jobx.errors import Conflict, InternalError
from jobx.model import Failure
from jobx.segments import spent_us

#: How long after foreign work began it is looked whether it waits, and how often.
LOOK_S: Final = 5.0
_TIME_LIMIT: Final = "time limit"
_LOOK: Final = "look"


class Coordinator(LoopActor):
    """Owns one request.

    Args:
        begin: A new request, or the log of an open one.
    """

    hears_exits = False  # a batch that exits by itself leaves nothing behind
    node: Services

    def __init__(self, begin: Submit | Recover) -> None:
        super().__init__()
        #: ``proving``: it was recovered and has made no progress yet. ``closed``: it starts
        #: nothing more, since the node is draining or the coordinator has left.
        self._phase: Literal["proving", "open", "closed"] = "open"
        self._reply_to = begin.reply_to
        foreign = capabilities.foreign(begin.plan, self.node.own)
        self.state = RequestState(begin.plan, foreign)
        #: Kinds of work, each with room of its own.
        self._kinds = foreign.kinds
        self._journal = Journal(self.node, self.myAddress, begin.request, self.state)
        self._pace = Pace()
        self._reports = ExecutorReports(self._journal, self.state, self._pace, self.node)
        self._frames = FrameBuilder(begin.request, self.state, self.node)
        self._started: StartedWork = {}
        self._tickets = 0
        self._held_bytes = -1
        #: Whether it looks later whether all work waits, and whether it has found that once.
        self._is_looking = self._is_pardoned = False
        #: Questions to answer once the request is durable.
        self._asked: list[Describe | Cancel] = []
        if isinstance(begin, Submit):
            self._accept(begin)
        else:
            self._recover(begin)
        self._advance()

    # Most requests need none of these.

    @cached_property
    def _backoffs(self) -> Backoffs:
        return Backoffs()

    @cached_property
    def _standing(self) -> RequestStanding:
        return RequestStanding(self._journal, self.state, self._started, self._backoffs, self.node)

    @cached_property
    def _unfinished(self) -> UnfinishedWork:
        return UnfinishedWork(self._journal, self.state, self._reports, self._started, self.node)

    def describe(self) -> str:
        """Return what the actor tree shows."""
        return "Coordinator " + "/".join(self._journal.key)

    @property
    def held_bytes(self) -> int:
        """What the actor tree shows of the budget of open requests."""
        return max(self._held_bytes, 0)

    def receiveMessage(self, message: Any, sender: ActorAddress) -> None:  # noqa: N802 - Thespian's
        """Take the next message, then carry out the decisions of the state."""
        receive = _RECEIVE.get(type(message))
        if receive is not None:
            receive(self, message, sender)
            self._advance()

    def _accept(self, begin: Submit) -> None:
        request = begin.request
        accepted = Accepted(
            at=request.accepted_at,
            job=request.job_name,
            step=begin.step,
            plan=begin.plan_digest,
            arguments=begin.arguments,
            time_limit_s=begin.time_limit_s,
            partition_bytes=min(PARTITION_BYTES, self.node.settings.executors.spill_bytes),
            node=self.node.node_id,
            may_wait=begin.may_wait,
        )
        # A waiting caller gets the request together with its result, so both may share a commit.
        self._journal.append(
            accepted,
            begin.writes,
            urgent=not request.is_blocking,
            first=self._syncing(begin.arguments.blob) if begin.syncs_arguments else None,
        )
        self.wakeupAfter(begin.time_limit_s, _TIME_LIMIT)

    def _syncing(self, blob: str | None) -> Callable[[], None] | None:
        """Return what makes the blob of the arguments durable; it is called in a thread."""
        if blob is None:
            return None
        return partial(self.node.blobs.make_durable, *self._journal.key, blob)

    def _recover(self, begin: Recover) -> None:
        self._phase = "proving"
        self._journal.replay(begin.events)
        self._journal.adopt(begin.mark)
        accepted = self.state.accepted
        if accepted is not None:
            now_at = self._journal.now_at()
            left_s = accepted.time_limit_s - spent_s(begin.events, self.node.node_id, now_at)
            self.wakeupAfter(max(left_s, 0.0), _TIME_LIMIT)

    def _submitted(self, _message: Submit, _: ActorAddress) -> None:
        """Answer a caller that lost its connection and asks again."""
        if self._journal.is_accepted:
            self.send(self._reply_to, Opened(self._journal.request))

    def _ran(self, message: Ran, _: ActorAddress) -> None:
        started = self._started.pop(message.ticket, None)
        if started is not None and self.state.finished is None:
            elsewhere = message.node_id if message.node_id != self.node.node_id else ""
            spent = list(map(spent_us, message.segments))
            spans = split(message.executor, message.span_us, spent)
            for segment, span in zip(message.segments, spans, strict=True):
                where = elsewhere, span, message.data
                self._reports.take(started.work, started.batch, segment, where)

    def _end_child(self, message: EndChild, _: ActorAddress) -> None:
        says = self._unfinished.end_child(message)
        self.send(message.child, ActorExitRequest())
        self.send(message.reply_to, ChildTold(message.ticket, says))

    def _committed(self, message: Committed, _: ActorAddress) -> None:
        was_accepted = self._journal.is_accepted
        self._journal.became_durable(message.number)
        if not was_accepted:
            request = self._journal.request
            self.node.metrics.accepted[request.workflow_name, request.job_name].value += 1
        if self._phase == "proving" and self._journal.has_progressed:
            self._phase = "open"
            self.send(self.parent, Progressed(self._journal.key))
        if self._asked:
            self._answer_asked(self._standing.snapshot)
        if self.state.finished is not None and not self._journal.uncommitted:
            if self._journal.committed > LONG:
                self.node.ended_long(self._journal.key)
            self._leave(Ended(self._journal.request))
        elif not was_accepted:
            self.send(self._reply_to, Opened(self._journal.request))

    def _commit_refused(self, message: CommitRefused, _: ActorAddress) -> None:
        """Stop at once: the request was never accepted, or cannot continue."""
        self._answer_asked(lambda: None)
        key, error = self._journal.key, message.error
        self.node.log.forget(key)
        is_elsewhere = isinstance(error, Conflict)
        is_unclear = self._journal.is_accepted or isinstance(error, InternalError)
        may_exist = is_unclear and not is_elsewhere
        self._leave(Refused(key, error, may_exist), is_told=not may_exist)

    def _leave(self, report: Ended | Refused, *, is_told: bool = True) -> None:
        self._phase = "closed"
        if is_told:
            self.send(self._reply_to, report)
        self.send(self.parent, report)
        self.leave(is_told=True)

    def _cancel(self, message: Cancel, sender: ActorAddress) -> None:
        if self.state.is_running:
            cancelled = Cancelled(self._journal.now_at(), message.reason)
            self._journal.append(cancelled, urgent=True)
        self._describe(message, sender)

    def _describe(self, message: Describe | Cancel, _: ActorAddress) -> None:
        self._asked.append(message)
        if self._journal.is_accepted:
            self._answer_asked(self._standing.snapshot)

    def _explain(self, message: Explain, _: ActorAddress) -> None:
        standing = self._standing.standing(self._phase)
        self.send(message.reply_to, Explained(message.ticket, standing, self._standing.snapshot()))

    def _answer_asked(self, snapshot: Callable[[], model.Request | None]) -> None:
        for message in self._asked:
            self.send(message.reply_to, Described(message.ticket, snapshot()))
        self._asked.clear()

    def _drain(self, _message: Drain, _: ActorAddress) -> None:
        self._phase = "closed"

    def _go_on(self, _message: MoreRoom | GoOn, _: ActorAddress) -> None:
        """Do nothing: the next decisions follow."""

    def _woken(self, message: WakeupMessage, _: ActorAddress) -> None:
        if message.payload == _LOOK:
            self._look()
        elif message.payload != _TIME_LIMIT:
            self._backoffs.end(message.payload)
            self.state.ready.release(message.payload)
        elif self.state.is_running and self.state.accepted is not None:
            text = f"the request took longer than {self.state.accepted.time_limit_s:g} s"
            failure = Failure(kind="timeout", type="RequestTimeLimit", message=text)
            notes = {ROOT: {OPEN: open_then(self._standing.groups(), self.node.now())}}
            failed = Failed(self._journal.now_at(), "map", ROOT, ROOT, 1, failure, notes)
            self._journal.append(failed, urgent=True)

    def _advance(self) -> None:
        if self._phase == "closed" or self.state.finished is not None:
            return
        slots = self.node.executors.slots
        for kind in self._kinds:
            is_asking = bool(self._started) and any(
                isinstance(one.work, PullMapper) for one in self._started.values()
            )
            for decision in decide(
                self.state,
                self._pace,
                room=self._room(2 * slots, kind),
                slots=slots,
                window=self.node.settings.requests.window,
                is_asking=is_asking,
                kind=kind,
            ):
                self._carry_out(decision)
        if self.state.ready.discarded:
            self._close_discarded()
        held_bytes = self.state.tree.held_bytes + self.state.tree.chunk_bytes
        if held_bytes != self._held_bytes:
            self._held_bytes = held_bytes
            self.node.budget.hold(self._journal.key, held_bytes)

    def _room(self, lanes: int, kind: Kind) -> int:
        if self._journal.uncommitted > MAX_UNCOMMITTED:
            return 0
        if len(self._kinds) == 1:
            return max(0, lanes - len(self._started))
        kinds = (one.requires for one in self._started.values())
        having = sum((one if one in self._kinds else HERE) == kind for one in kinds)
        return max(0, lanes - having)

    def _carry_out(self, decision: Decision) -> None:
        if isinstance(decision, RunMappers):
            self._start(decision, self._frames.mappers(self._ticket(), decision))
        elif isinstance(decision, RunReducer):
            self._start(decision, self._frames.reducer(self._ticket(), decision))
        elif isinstance(decision, PullMapper):
            pull = self._frames.pull(self._ticket(), decision)
            self._started[pull.ticket] = Started(decision, decision.keeper, self.node.now())
            self.send(decision.keeper, pull)
            self.send(self.myAddress, GoOn())  # behind the pull, so that no batch is before it
        elif isinstance(decision, Wait):
            self._wait(decision)
        else:
            self._finish(decision)

    def _wait(self, wait: Wait) -> None:
        until, chunk = self.node.now() + wait.delay_s, self.state.tree.chunk_of(wait.target[0])
        step = chunk.step if chunk is not None else ""
        self._backoffs.begin(wait.target, Backoff(until, wait.error, wait.kind, step))
        self.wakeupAfter(wait.delay_s, wait.target)

    def _start(self, work: Dispatch, run: Run) -> None:
        batch = self.create(Batch, run)
        self._started[run.ticket] = Started(work, batch, self.node.now(), run.requires)
        if not self.node.offers(run.requires):
            self._look_later()

    def _look_later(self) -> None:
        if not (self._is_looking or self._is_pardoned):
            self._is_looking = True
            self.wakeupAfter(LOOK_S, _LOOK)

    def _look(self) -> None:
        """Note, once, that all work waits for another node: then no death of this one counts."""
        self._is_looking = False
        key, required = self._journal.key, self._standing.required()
        if self._phase == "closed" or all(map(self.node.offers, required)):
            return
        if not self._journal.uncommitted and unmet.is_all(self.node, key.workflow, required):
            self._is_pardoned = True
            unmet.pardon(self.node, key)
            self.send(self.parent, Progressed(key))
        self._look_later()

    def _ticket(self) -> int:
        self._tickets += 1
        return self._tickets

    def _finish(self, decision: Finish) -> None:
        self._journal.finish(decision)
        ready = self.state.ready
        for started in self._started.values():  # its suspended mappers go with a batch
            self.send(started.batch, ActorExitRequest())
        for keeper in ready.suspended.values():
            self.send(keeper, ActorExitRequest())
        for keeper, _ in ready.discarded:
            self.send(keeper, ActorExitRequest())
        self._started.clear()
        ready.suspended.clear()
        ready.discarded.clear()

    def _close_discarded(self) -> None:
        """Close suspended mappers that will not be pulled again."""
        discarded = self.state.ready.discarded
        for keeper, vertex in discarded:
            self.send(keeper, Discard(vertex))
        discarded.clear()


_RECEIVE: Final[dict[type, Callable[[Coordinator, Any, ActorAddress], None]]] = {
    Submit: Coordinator._submitted,
    Ran: Coordinator._ran,
    TakenBack: lambda self, message, _: self._unfinished.taken_back(message),
    Lost: lambda self, message, _: self._unfinished.lost(message),
    SuspendedLost: lambda self, message, sender: self._unfinished.suspended_lost(message, sender),
    Committed: Coordinator._committed,
    CommitRefused: Coordinator._commit_refused,
    ChildFailed: lambda self, message, _: self._unfinished.child_failed(message),
    ChildLost: lambda self, message, _: self._unfinished.child_lost(message),
    EndChild: Coordinator._end_child,
    Cancel: Coordinator._cancel,
    Describe: Coordinator._describe,
    Explain: Coordinator._explain,
    Drain: Coordinator._drain,
    MoreRoom: Coordinator._go_on,
    GoOn: Coordinator._go_on,
    WakeupMessage: Coordinator._woken,
}
