"""The supervisor: the root of a node's actors; starts coordinators and starts them anew."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from thespian.actors import ActorAddress, ChildActorExited, WakeupMessage

from jobx import model
from jobx.actors import notices
from jobx.actors.coordinator import Coordinator
from jobx.actors.messages import (
    Adopt,
    Cancel,
    Describe,
    Described,
    Drain,
    Ended,
    LogRead,
    Opened,
    Recover,
    Refused,
    RequestKey,
    Submit,
)
from jobx.actors.runtime.actor import LoopActor
from jobx.actors.runtime.supervision import RestartBudget, RestartPolicy
from jobx.actors.services import Services
from jobx.errors import (
    Conflict,
    Draining,
    InternalError,
    JobxError,
    NotFound,
    Overloaded,
    TooLarge,
)

#: A coordinator that dies of a fault is rebuilt from its log so often; then its request fails.
COORDINATOR_POLICY: Final = RestartPolicy(mode="restart", max_restarts=3, window_s=60.0)
#: How long a log that could not be read waits for the next try.
READ_AGAIN_S: Final = 2.0

_NO_PLAN: Final = model.Plan(steps={})

_log = logging.getLogger(__name__)


class Supervisor(LoopActor):
    """Starts a coordinator for each request and watches it."""

    node: Services

    def __init__(self) -> None:
        super().__init__()
        self._open: dict[RequestKey, ActorAddress] = {}
        self._keys: dict[object, RequestKey] = {}
        self._budgets: dict[RequestKey, RestartBudget] = {}
        #: Why requests must end that are taken up: what they came to cannot be written.
        self._unwritable: dict[RequestKey, model.Failure] = {}
        #: Requests that are taken up as soon as their log is read.
        self._reading: set[RequestKey] = set()
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
        if key in self._open:
            self.send(self._open[key], message)
        elif key in self._reading:
            pass  # it was asked for before: all who wait hear what its log says
        elif self._is_draining:
            self.send(message.reply_to, Refused(key, Draining("the node is stopping", 5.0)))
        elif len(self._open) >= self.node.settings.requests.max_open:
            reason = f"{len(self._open)} requests are open"
            self.send(message.reply_to, Refused(key, Overloaded(reason, 1.0)))
        else:
            self.send(self._start(key), message)

    def _start(self, key: RequestKey) -> ActorAddress:
        address = self.createActor(Coordinator)
        self._open[key] = address
        self._keys[address.addressDetails] = key
        return address

    def _adopt(self, message: Adopt, _: ActorAddress) -> None:
        for key in message.keys:
            self._read(key)

    def _read(self, key: RequestKey) -> None:
        self._reading.add(key)
        if not self._is_draining:  # else the next node takes it up
            self.node.log.read(key, self.myAddress)

    def _woken(self, message: WakeupMessage, _: ActorAddress) -> None:
        self._read(message.payload)

    def _log_read(self, message: LogRead, _: ActorAddress) -> None:
        key = message.key
        if message.error is not None:
            _log.error("the log of request %s cannot be read: %s", "/".join(key), message.error)
        if isinstance(message.error, NotFound):  # it was refused when its coordinator had died
            self._forget(key)
            error = InternalError("the coordinator failed; see the node's log")
            self.send(self.node.gateway, Refused(key, error))
        elif message.request is None:
            self.wakeupAfter(READ_AGAIN_S, key)
        elif message.request.is_done:
            self._forget(key)
            self.send(self.node.gateway, Ended(message.request))
            self._tell(message.request)
        else:
            self.send(self.node.gateway, Opened(message.request))
            if not self._is_draining:
                self._take_up(message, message.request)

    def _take_up(self, message: LogRead, request: model.Request) -> None:
        self._reading.discard(message.key)
        recover = Recover(
            request,
            message.plan or _NO_PLAN,
            message.events,
            message.next_number,
            self.node.gateway,
            _damaged(message.error) if message.error else self._spent(message.key),
        )
        self.send(self._start(message.key), recover)

    def _spent(self, key: RequestKey) -> model.Failure | None:
        """Return why a request must fail instead of going on, or None: it goes on."""
        if key in self._unwritable:
            return self._unwritable[key]
        budget = self._budgets.get(key)
        if budget is None or not budget.is_spent:
            return None
        self.node.notify(notices.coordinator_given_up(*key))
        text = "its coordinator failed too often; see the node's log"
        return model.Failure(kind="internal", type="CoordinatorFailed", message=text)

    def _ended(self, message: Ended, sender: ActorAddress) -> None:
        request = message.request
        key = RequestKey(request.workflow_name, request.request_id)
        self._close(key, sender)
        self._tell(request)

    def _tell(self, request: model.Request) -> None:
        """Let what a request ended with go where it is to go."""
        if request.state == "failed":
            self.node.notify(notices.request_failed(request))
        elif request.destination is not None and request.result is not None:
            self.node.deliver(RequestKey(request.workflow_name, request.request_id))

    def _refused(self, message: Refused, sender: ActorAddress) -> None:
        key, error = message.key, message.error
        if isinstance(error, Conflict):
            _log.info("request %s is coordinated by somebody else", "/".join(key))
        is_again = key in self._unwritable
        self._close(key, sender)
        if message.may_exist:
            _log.error("request %s cannot go on: %s", "/".join(key), error)
            self._unwritable[key] = _limit(error)
            self._reading.add(key)
            self.wakeupAfter(READ_AGAIN_S if is_again else 0.0, key)

    def _close(self, key: RequestKey, address: ActorAddress) -> None:
        self._open.pop(key, None)
        self._keys.pop(address.addressDetails, None)
        self._forget(key)

    def _forget(self, key: RequestKey) -> None:
        self._reading.discard(key)
        self._budgets.pop(key, None)
        self._unwritable.pop(key, None)

    def _child_exited(self, message: ChildActorExited, _: ActorAddress) -> None:
        """Start a coordinator anew that died before its request had ended."""
        key = self._keys.pop(message.childAddress.addressDetails, None)
        if key is None:
            return
        del self._open[key]
        if not self._is_draining:
            self._note_death(key, message)
        self._read(key)

    def _note_death(self, key: RequestKey, message: ChildActorExited) -> None:
        details = getattr(message, "details", "it exited")
        _log.error("the coordinator of request %s died: %s", "/".join(key), details)
        self.node.notify(notices.coordinator_died(*key, details))
        budget = self._budgets.setdefault(key, RestartBudget(COORDINATOR_POLICY))
        budget.failed(self.node.now())

    def _describe(self, message: Describe | Cancel, _: ActorAddress) -> None:
        address = self._open.get(message.key)
        if address is None:
            self.send(message.reply_to, Described(message.ticket, None))
        else:
            self.send(address, message)

    def _drain(self, message: Drain, _: ActorAddress) -> None:
        self._is_draining = True
        for address in self._open.values():
            self.send(address, message)


def _limit(error: JobxError) -> model.Failure:
    kind = "limit" if isinstance(error, TooLarge) else "internal"
    return model.Failure(kind=kind, type="EventRefused", message=str(error))


def _damaged(error: JobxError) -> model.Failure:
    return model.Failure(kind="internal", type="LogDamaged", message=str(error))


_RECEIVE: Final[dict[type, Callable[[Supervisor, Any, ActorAddress], None]]] = {
    Submit: Supervisor._submit,
    Adopt: Supervisor._adopt,
    LogRead: Supervisor._log_read,
    Ended: Supervisor._ended,
    Refused: Supervisor._refused,
    Describe: Supervisor._describe,
    Cancel: Supervisor._describe,
    Drain: Supervisor._drain,
    WakeupMessage: Supervisor._woken,
}
