"""The coordinator: owns one request, from its acceptance to its end.

It is the only writer of the request's log. What it does is decided by the pure state of
``actors/request``; here decisions become messages and reports become events.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from msgspec.structs import replace
from thespian.actors import ActorAddress, ActorExitRequest, WakeupMessage

from jobx import model
from jobx.actors.coordination.executor_reports import Outcomes, first_vertex
from jobx.actors.coordination.invocations import Invocation, Mapper, Reducer
from jobx.actors.coordination.journal import Journal
from jobx.actors.coordination.work_frames import FrameBuilder
from jobx.actors.executor_failures import KEEPER_GONE
from jobx.actors.messages import (
    Cancel,
    CommitRefused,
    Committed,
    Describe,
    Described,
    Discard,
    Drain,
    Ended,
    KeptLost,
    Lost,
    Opened,
    Progressed,
    Pull,
    Ran,
    Recover,
    Refused,
    Run,
    Submit,
    TakenBack,
)
from jobx.actors.ports import Services
from jobx.actors.request.decisions import (
    PARTITION_BYTES,
    Decision,
    Finish,
    Pace,
    PullMapper,
    RunMappers,
    RunReducer,
    Wait,
    Work,
    decide,
)
from jobx.actors.request.events import Accepted, Adopted, Cancelled, Failed
from jobx.actors.request.state import RequestState
from jobx.actors.request.tree import MAPPER, ROOT
from jobx.actors.runtime.actor import LoopActor
from jobx.actors.runtime.cell import ChildFailed
from jobx.errors import Conflict, InternalError
from jobx.model import Failure

#: Events that may be on their way to the disk before nothing new is started.
MAX_UNCOMMITTED: Final = 256
_TIME_LIMIT: Final = "time limit"


class _Started(NamedTuple):
    """Work that an invocation actor has."""

    work: Work
    actor: ActorAddress


class Coordinator(LoopActor):
    """Owns one request."""

    node: Services
    state: RequestState

    def __init__(self) -> None:
        super().__init__()
        self._pace = Pace()
        self._started: dict[int, _Started] = {}
        self._tickets = 0
        self._held_bytes = -1
        #: Questions that are answered once the request is durable.
        self._asked: list[Describe | Cancel] = []
        self._is_begun = False
        self._is_recovered = False
        self._is_opened = False
        self._is_stopping = False
        self._is_refused = False

    def describe(self) -> str:
        """Return what the actor tree shows."""
        return "Coordinator " + ("/".join(self._journal.key) if self._is_begun else "(new)")

    def receiveMessage(self, message: Any, sender: ActorAddress) -> None:  # noqa: N802 - Thespian's
        """Take the next message, then do what the state says."""
        receive = _RECEIVE.get(type(message))
        if receive is not None and not self._is_refused:
            receive(self, message, sender)
            self._advance()

    # Beginning

    def _submit(self, message: Submit, sender: ActorAddress) -> None:
        if self._is_begun:  # a caller that lost its connection asks again
            if self._is_opened:
                self.send(self._reply_to, Opened(self._journal.request))
            return
        request = message.request
        self._begin(request, message.plan, message.reply_to, sender)
        accepted = Accepted(
            at=request.accepted_at,
            job=request.job_name,
            step=message.step,
            plan=message.plan_digest,
            arguments=message.arguments,
            time_limit_s=message.time_limit_s,
            partition_bytes=min(PARTITION_BYTES, self.node.settings.executors.spill_bytes),
        )
        # A blocking caller hears of the request with its result, so both may share a commit.
        self._journal.append(accepted, message.writes, urgent=not request.is_blocking)
        self._limit(message.time_limit_s)

    def _recover(self, message: Recover, sender: ActorAddress) -> None:
        self._begin(message.request, message.plan, message.reply_to, sender)
        self._is_opened = self._is_recovered = True
        for event in message.events:
            self.state.apply(event)
        self._journal.committed = self.state.events - 1
        self._journal.append(
            Adopted(self._journal.now_at(), self.node.node_id, self.node.incarnation)
        )
        accepted = self.state.accepted
        if accepted is not None:
            spent_s = self._journal.now_at() - accepted.at
            self._limit(min(max(accepted.time_limit_s - spent_s, 0.0), accepted.time_limit_s))

    def _begin(
        self, request: model.Request, plan: model.Plan, reply_to: ActorAddress, parent: ActorAddress
    ) -> None:
        settings = self.node.settings
        self._reply_to = reply_to
        self._parent = parent
        self.state = RequestState(plan)
        self._journal = Journal(self.node, self.myAddress, request, self.state)
        self._outcomes = Outcomes(self._journal, self.state, self._pace, settings)
        self._frames = FrameBuilder(request, self.state, self.node)
        self._is_begun = True

    def _limit(self, seconds: float) -> None:
        self.wakeupAfter(seconds, _TIME_LIMIT)

    # Reports

    def _ran(self, message: Ran, _: ActorAddress) -> None:
        started = self._started.pop(message.ticket, None)
        if started is not None and self.state.finished is None:
            for segment in message.segments:
                self._outcomes.take(started.work, started.actor, segment)

    def _taken_back(self, message: TakenBack, _: ActorAddress) -> None:
        """Give back the end of a batch that its executor will not come to."""
        started = self._started.get(message.ticket)
        if started is None or self.state.finished is not None:
            return
        work = started.work
        if isinstance(work, RunMappers):
            stop = work.first + work.count
            shorter = replace(work, count=message.first - work.first)
            self._started[message.ticket] = _Started(shorter, started.actor)
            self._outcomes.give_back(work, message.first, stop)

    def _lost(self, message: Lost, _: ActorAddress) -> None:
        started = self._started.pop(message.ticket, None)
        if started is None or self.state.finished is not None:
            return
        work, culprit = started.work, message.culprit
        if isinstance(work, RunMappers):
            stop = work.first + work.count
            self._outcomes.give_back(work, work.first, stop if culprit is None else culprit)
            if culprit is not None:
                self._outcomes.give_back(work, culprit + 1, stop)
        elif isinstance(work, RunReducer) and culprit is None:
            self.state.ready.give_back_reduce((work.vertex, work.partition), work.gather)
        elif culprit is None:  # the mapper went with the executor that kept it
            self._outcomes.attempt_failed(work, first_vertex(work), KEEPER_GONE)
        if culprit is not None:
            self._outcomes.attempt_failed(work, culprit, message.failure, stage=message.stage)

    def _kept_lost(self, message: KeptLost, sender: ActorAddress) -> None:
        if self.state.finished is not None:
            return
        for vertex in message.vertices:
            if self._outcomes.keepers.get(vertex) == sender:
                del self._outcomes.keepers[vertex]
                attempt = self.state.attempt((vertex, MAPPER)).number
                self._outcomes.attempt_failed(PullMapper(vertex, attempt), vertex, message.failure)

    def _child_failed(self, message: ChildFailed, sender: ActorAddress) -> None:
        """Give back what an invocation actor had that died of a fault of ours."""
        child = message.childAddress
        self.node.executors.abandon(child)
        failure = Failure(kind="crash", type="ActorDied", message="see the node's log")
        for ticket, started in list(self._started.items()):
            if started.actor == child:
                self._lost(Lost(ticket, first_vertex(started.work), failure), sender)
        kept = [v for v, keeper in self._outcomes.keepers.items() if keeper == child]
        self._kept_lost(KeptLost(tuple(kept), failure), child)

    def _committed(self, message: Committed, _: ActorAddress) -> None:
        self._journal.became_durable(message.number)
        if self._is_recovered and self._journal.has_progressed:
            self._is_recovered = False
            self.send(self._parent, Progressed(self._journal.key))
        self._answer_asked(self._journal.snapshot)
        if self.state.finished is not None and not self._journal.uncommitted:
            self._leave(Ended(self._journal.request))
        elif not self._is_opened:
            self._is_opened = True
            self.send(self._reply_to, Opened(self._journal.request))

    def _commit_refused(self, message: CommitRefused, _: ActorAddress) -> None:
        """Stop at once: the request was never accepted, or cannot go on from here."""
        self._is_refused = True
        self._answer_asked(lambda: None)
        key, error = self._journal.key, message.error
        self.node.log.forget(key)
        is_elsewhere = isinstance(error, Conflict)
        may_exist = not is_elsewhere and (self._is_opened or isinstance(error, InternalError))
        self._leave(Refused(key, error, may_exist), is_told=not may_exist)

    def _leave(self, report: Ended | Refused, *, is_told: bool = True) -> None:
        self._is_stopping = True
        if is_told:
            self.send(self._reply_to, report)
        self.send(self._parent, report)
        self.leave()

    # Questions and orders

    def _cancel(self, message: Cancel, sender: ActorAddress) -> None:
        if self.state.is_running:
            cancelled = Cancelled(self._journal.now_at(), message.reason)
            self._journal.append(cancelled, urgent=True)
        self._describe(message, sender)

    def _describe(self, message: Describe | Cancel, _: ActorAddress) -> None:
        self._asked.append(message)
        if self._is_opened:
            self._answer_asked(self._journal.snapshot)

    def _answer_asked(self, snapshot: Callable[[], model.Request | None]) -> None:
        for message in self._asked:
            self.send(message.reply_to, Described(message.ticket, snapshot()))
        self._asked.clear()

    def _drain(self, _message: Drain, _: ActorAddress) -> None:
        self._is_stopping = True

    def _woken(self, message: WakeupMessage, _: ActorAddress) -> None:
        if message.payload != _TIME_LIMIT:
            self.state.ready.release(message.payload)
        elif self.state.is_running and self.state.accepted is not None:
            text = f"the request took longer than {self.state.accepted.time_limit_s:g} s"
            failure = Failure(kind="timeout", type="RequestTimeLimit", message=text)
            failed = Failed(self._journal.now_at(), "map", ROOT, ROOT, 1, failure)
            self._journal.append(failed, urgent=True)

    # Decisions

    def _advance(self) -> None:
        if not self._is_begun or self._is_stopping or self.state.finished is not None:
            return
        window = self.node.settings.requests.window
        slots = self.node.executors.slots
        for decision in decide(
            self.state, self._pace, room=self._room(2 * slots), slots=slots, window=window
        ):
            self._carry_out(decision)
        self._discard_unwanted()
        self._weigh()

    def _weigh(self) -> None:
        """Tell how much memory the request holds, when that has changed."""
        held_bytes = self.state.tree.held_bytes + self.state.tree.chunk_bytes
        if held_bytes != self._held_bytes:
            self._held_bytes = held_bytes
            self.node.budget.hold(self._journal.key, held_bytes)

    def _room(self, lanes: int) -> int:
        if self._journal.uncommitted > MAX_UNCOMMITTED:
            return 0
        return max(0, lanes - len(self._started))

    def _carry_out(self, decision: Decision) -> None:
        if isinstance(decision, RunMappers):
            self._start(Mapper, decision, self._frames.mappers(self._ticket(), decision))
        elif isinstance(decision, RunReducer):
            self._start(Reducer, decision, self._frames.reducer(self._ticket(), decision))
        elif isinstance(decision, PullMapper):
            actor = self._outcomes.keepers[decision.vertex]
            self._send(decision, actor, self._frames.pull(self._ticket(), decision.vertex))
        elif isinstance(decision, Wait):
            self.wakeupAfter(decision.delay_s, decision.target)
        else:
            self._finish(decision)

    def _start(self, kind: type[Invocation], work: Work, run: Run) -> None:
        self._send(work, self.createActor(kind), run)

    def _send(self, work: Work, actor: ActorAddress, message: Run | Pull) -> None:
        self._started[message.ticket] = _Started(work, actor)
        self.send(actor, message)

    def _ticket(self) -> int:
        self._tickets += 1
        return self._tickets

    def _finish(self, decision: Finish) -> None:
        self._journal.finish(decision)
        keepers, unwanted = self._outcomes.keepers, self._outcomes.unwanted
        actors = [started.actor for started in self._started.values()]
        actors += [*keepers.values(), *(keeper for keeper, _ in unwanted)]
        for actor in actors:  # with it goes what it keeps
            self.send(actor, ActorExitRequest())
        self._started.clear()
        keepers.clear()
        unwanted.clear()

    def _discard_unwanted(self) -> None:
        """Close kept mappers that nobody will ask for more."""
        unwanted, discarded = self._outcomes.unwanted, self.state.ready.discarded
        if not unwanted and not discarded:
            return
        keepers = self._outcomes.keepers
        unwanted += [(keepers.pop(v), v) for v in discarded if v in keepers]
        discarded.clear()
        for keeper, vertex in unwanted:
            self.send(keeper, Discard(vertex))
        unwanted.clear()


_RECEIVE: Final[dict[type, Callable[[Coordinator, Any, ActorAddress], None]]] = {
    Submit: Coordinator._submit,
    Recover: Coordinator._recover,
    Ran: Coordinator._ran,
    TakenBack: Coordinator._taken_back,
    Lost: Coordinator._lost,
    KeptLost: Coordinator._kept_lost,
    Committed: Coordinator._committed,
    CommitRefused: Coordinator._commit_refused,
    ChildFailed: Coordinator._child_failed,  # one that exits by itself leaves nothing behind
    Cancel: Coordinator._cancel,
    Describe: Coordinator._describe,
    Drain: Coordinator._drain,
    WakeupMessage: Coordinator._woken,
}
