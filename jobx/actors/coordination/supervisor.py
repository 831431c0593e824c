"""The supervisor: the root of a node's actors; starts and restarts coordinators."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from thespian.actors import ActorAddress, ActorExitRequest, ChildActorExited, WakeupMessage

from jobx import model
from jobx.actors import notification
from jobx.actors.coordination.admission import refusal
from jobx.actors.coordination.coordinator import Coordinator
from jobx.actors.coordination.endings import tell
from jobx.actors.coordination.given_up import GivenUp
from jobx.actors.coordination.taken_up import GiveBack, GoOn, HasEnded, LeaveOpen, ReadAgain
from jobx.actors.coordination.waiting_requests import WaitingRequests
from jobx.actors.messages import (
    Adopt,
    AdoptStrays,
    Cancel,
    ChildTold,
    Describe,
    Described,
    Drain,
    EndChild,
    Ended,
    Explain,
    Explained,
    GiveUp,
    LogRead,
    MoreRoom,
    Opened,
    Probe,
    Probed,
    Progressed,
    Recover,
    Refused,
    RequestKey,
    Submit,
)
from jobx.actors.ports import Services
from jobx.actors.runtime.actor import LoopActor
from jobx.actors.runtime.failure import ChildFailed
from jobx.errors import Conflict, Draining, FormUnknown, JobxError, NotFound
from jobx.kv.requests.lives import Mark, OpenRequest

#: Pause before a log that could not be read is tried again.
READ_AGAIN_S: Final = 2.0
#: How often waiting requests are checked for room to recover them.
LOOK_S: Final = 0.5

_NO_PLAN: Final = model.Plan(steps={})
_LOOK: Final = "look"

_log = logging.getLogger(__name__)


class Supervisor(LoopActor):
    """Starts a coordinator for each request and watches it."""

    node: Services

    def __init__(self) -> None:
        super().__init__()
        self._open: dict[RequestKey, ActorAddress] = {}
        self._keys: dict[object, RequestKey] = {}
        node, limit = self.node, self.node.settings.requests.node_deaths
        self._waiting = WaitingRequests(node.node_id, node.incarnation, node.is_lost, limit=limit)
        #: Coordinators that are to start again because somebody asks for it, and why.
        self._again: dict[object, str] = {}
        self._is_looking = False
        self._is_draining = False

    def describe(self) -> str:
        """Return what the actor tree shows."""
        return f"Supervisor ({len(self._open)} open)"

    def receiveMessage(self, message: Any, sender: ActorAddress) -> None:  # noqa: N802 - Thespian's
        """Take the next message."""
        receive = _RECEIVE.get(type(message))
        if receive is None and isinstance(message, ChildActorExited):
            receive = Supervisor._child_exited
        if receive is not None:
            receive(self, message, sender)

    def _submit(self, message: Submit, _: ActorAddress) -> None:
        request = message.request
        key = RequestKey(request.workflow_name, request.request_id)
        waiting, opened = self._waiting, len(self._open)
        if key in self._open:
            self.send(self._open[key], message)
        elif key in waiting.reading:
            waiting.recovery.hurry(key)  # everyone who waits gets the state from its log
        elif (
            error := refusal(
                *(self.node, key, message, opened, len(waiting.recovery)),
                is_draining=self._is_draining,
            )
        ) is not None:
            self.send(message.reply_to, Refused(key, error))
        else:
            self._start(key, Coordinator, message)

    def _start(
        self, key: RequestKey, kind: type[Coordinator | GivenUp], begin: Submit | Recover | GiveUp
    ) -> None:
        address = self._open[key] = self.create(kind, begin)
        self._keys[address.addressDetails] = key

    def _coordinator(self, key: RequestKey) -> ActorAddress | None:
        """Return the coordinator of a request; None if there is none that reads its mail."""
        address = self._open.get(key)
        is_leaving = address is not None and address.addressDetails in self._again
        return None if is_leaving else address

    def _describe(self, message: Describe | Cancel, _: ActorAddress) -> None:
        address = self._coordinator(message.key)
        if address is None:
            self._waiting.recovery.hurry(message.key)
            self.send(message.reply_to, Described(message.ticket, None))
        else:
            self.send(address, message)

    def _explain(self, message: Explain, _: ActorAddress) -> None:
        address = self._coordinator(message.key)
        if address is None:
            why = self._waiting.why(message.key, has_room=self._has_room)
            self.send(message.reply_to, Explained(message.ticket, None, why=why))
        else:
            self.send(address, message)

    def _probe(self, message: Probe, _: ActorAddress) -> None:
        self.send(message.reply_to, Probed(message.ticket))

    def _end_child(self, message: EndChild, _: ActorAddress) -> None:
        key = self._keys.get(message.child.addressDetails)
        says: str | JobxError
        if key is None or self._coordinator(key) is None:
            says = NotFound("actor", str(message.child))
        elif not message.is_again:
            self.send(message.child, Cancel(key, message.reason, self.node.gateway, 0))
            says = f"request {'/'.join(key)} is being cancelled"
        elif self._is_draining:
            says = Draining("the node is stopping: the next one continues the request", 5.0)
        else:
            self._again[message.child.addressDetails] = message.reason
            self.send(message.child, ActorExitRequest())
            says = f"request {'/'.join(key)} is continued from its log"
        self.send(message.reply_to, ChildTold(message.ticket, says))

    def _drain(self, message: Drain, _: ActorAddress) -> None:
        self._is_draining = True
        for address in self._open.values():
            self.send(address, message)

    def _more_room(self, message: MoreRoom, _: ActorAddress) -> None:
        for key, address in self._open.items():
            if key.workflow == message.workflow:
                self.send(address, message)

    def _adopt(self, message: Adopt, _: ActorAddress) -> None:
        self._waiting.add(one for one in message.requests if not self._has(one.key))
        self._take_up()

    def _has(self, key: RequestKey) -> bool:
        return key in self._open or key in self._waiting.reading

    def _adopt_strays(self, message: AdoptStrays, _: ActorAddress) -> None:
        if self.node.left.is_over:  # each of those would be read again at every look
            return
        for key in message.keys:
            is_left = self.node.left.reason(key) is not None
            if not self._has(key) and not is_left:
                _log.warning("request %s is open, and nobody coordinates it", key)
                self._read(key)

    def _take_up(self) -> None:
        """Recover requests as far as there is room, and check again while some wait."""
        if self._is_draining:
            return  # the next node recovers it
        taken = self._waiting.take(self.node.now(), has_room=self._has_room)
        if taken.marks:
            self.node.log.mark(taken.marks)
        for key in taken.keys:
            self._read(key)
        recovery = self._waiting.recovery
        if not self._is_looking and (len(recovery) or recovery.is_watching):
            self._is_looking = True
            self.wakeupAfter(LOOK_S, _LOOK)

    @property
    def _has_room(self) -> bool:
        is_full = len(self._open) >= self.node.settings.requests.max_open
        return self.node.budget.has_room and not is_full

    def _progressed(self, message: Progressed, _: ActorAddress) -> None:
        self._waiting.progressed(message.key)
        self._take_up()

    def _read(self, key: RequestKey) -> None:
        self._waiting.reading.add(key)
        if not self._is_draining:  # else the next node takes it up
            goes_on = self._waiting.failure(key) is None
            self.node.log.read(key, self.myAddress, has_events=goes_on)

    def _woken(self, message: WakeupMessage, _: ActorAddress) -> None:
        if message.payload is _LOOK:
            self._is_looking = False
            self._take_up()
        else:
            self._read(message.payload)

    def _log_read(self, message: LogRead, _: ActorAddress) -> None:
        key, gateway = message.key, self.node.gateway
        match self._waiting.taken_up.fate(message):
            case GiveBack(error, says):
                level = logging.WARNING if isinstance(error, Conflict) else logging.ERROR
                _log.log(level, "request %s is not continued here: %s", key, says)
                self._forget(key)
                self.send(gateway, Refused(key, error))
            case LeaveOpen(reason, request):
                self._leave_open(key, reason, request)
            case ReadAgain(error):
                _log.error("the log of request %s cannot be read: %s", key, error)
                self.wakeupAfter(READ_AGAIN_S, key)
            case HasEnded(request):
                self._forget(key)
                self.send(gateway, Ended(request))
                tell(self.node, request)
            case GoOn(request):
                self.send(gateway, Opened(request))
                if not self._is_draining:
                    self._go_on(message, request)
        self._waiting.recovery.read(key)
        self._take_up()

    def _leave_open(
        self, key: RequestKey, reason: FormUnknown, request: model.Request | None
    ) -> None:
        """Leave a request to a newer JobX, which wrote it; no death counts for it here."""
        _log.error("the log of request %s cannot be read: %s", key, reason)
        self._forget(key)
        self.node.left.add(key, reason)
        self.node.log.mark([OpenRequest(self.node.node_id, *key, Mark())])
        if request is not None:
            self.send(self.node.gateway, Opened(request))

    def _go_on(self, message: LogRead, request: model.Request) -> None:
        """Start the coordinator or the closer of a request."""
        key, gateway = message.key, self.node.gateway
        request, mark = self._waiting.begun(key, request)
        failure = self._failure(message)
        if failure is None:
            recover = Recover(request, message.plan or _NO_PLAN, message.events, gateway, mark)
            self._start(key, Coordinator, recover)
            if (restarted := self._waiting.restarts.restarted(key)) is not None:
                self.note_restart(self._open[key], restarted)
        else:
            give_up = GiveUp(request, message.next_number, failure, gateway)
            self._start(key, GivenUp, give_up)

    def _failure(self, message: LogRead) -> model.Failure | None:
        """Return why a request must end; None if it continues."""
        if message.error is not None:
            _log.error("the log of request %s is damaged: %s", message.key, message.error)
            return _damaged(message.error)
        failure = self._waiting.failure(message.key)
        if failure is not None:
            _log.error("request %s is given up: %s", message.key, failure.message)
            self.node.notify(notification.coordinator_given_up(*message.key, failure))
        return failure

    def _ended(self, message: Ended, sender: ActorAddress) -> None:
        request = message.request
        key = RequestKey(request.workflow_name, request.request_id)
        self._close(key, sender)
        tell(self.node, request)

    def _refused(self, message: Refused, sender: ActorAddress) -> None:
        key, error = message.key, message.error
        if isinstance(error, Conflict):
            _log.info("request %s is coordinated by another node: %s", key, error)
        is_again = key in self._waiting.endings
        self._close(key, sender)
        if message.may_exist:
            _log.error("request %s cannot go on: %s", key, error)
            self._waiting.end(key, error)
            self.wakeupAfter(READ_AGAIN_S if is_again else 0.0, key)

    def _close(self, key: RequestKey, address: ActorAddress) -> None:
        self._open.pop(key, None)
        self._keys.pop(address.addressDetails, None)
        self._again.pop(address.addressDetails, None)
        self._waiting.forget(key)
        self.node.budget.release(key)

    def _forget(self, key: RequestKey) -> None:
        self._waiting.forget(key)
        self.node.budget.release(key)

    def _child_exited(self, message: ChildActorExited, _: ActorAddress) -> None:
        """Restart a coordinator that died before its request had ended."""
        key = self._keys.pop(message.childAddress.addressDetails, None)
        if key is None:
            return
        del self._open[key]
        self.node.budget.release(key)
        self._waiting.reading.add(key)
        if self._is_draining:
            return  # the next node recovers it
        asked = self._again.pop(message.childAddress.addressDetails, None)
        if asked is not None and not isinstance(message, ChildFailed):
            self._waiting.restarts.asked(key, asked)
            self._read(key)
            return
        details = getattr(message, "details", "it exited")
        _log.error("the coordinator of request %s died: %s", key, details)
        reason = getattr(message, "reason", "an exit without a reason")
        delay_s = self._waiting.restarts.died(key, self.node.now(), reason)
        if delay_s is None:
            text = "request %s cannot be ended; it is left until the node is started again"
            _log.critical(text, key)
            self._waiting.recovery.acquit(key)
        else:
            self.node.notify(notification.coordinator_died(*key, details))
            self.wakeupAfter(delay_s, key)


def _damaged(error: JobxError) -> model.Failure:
    return model.Failure(kind="internal", type="LogDamaged", message=str(error))


_RECEIVE: Final[dict[type, Callable[[Supervisor, Any, ActorAddress], None]]] = {
    Submit: Supervisor._submit,
    Adopt: Supervisor._adopt,
    AdoptStrays: Supervisor._adopt_strays,
    LogRead: Supervisor._log_read,
    Ended: Supervisor._ended,
    Progressed: Supervisor._progressed,
    Refused: Supervisor._refused,
    Describe: Supervisor._describe,
    Explain: Supervisor._explain,
    Cancel: Supervisor._describe,
    Probe: Supervisor._probe,
    EndChild: Supervisor._end_child,
    Drain: Supervisor._drain,
    MoreRoom: Supervisor._more_room,
    WakeupMessage: Supervisor._woken,
}
