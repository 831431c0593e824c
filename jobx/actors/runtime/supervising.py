"""An actor that starts its named children again when they fail."""

# ruff: noqa: N802 - receiveMsg_... are Thespian's names

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from thespian.actors import Actor, ActorAddress, ActorExitRequest, ActorTypeDispatcher

from jobx.actors.runtime.cell import ChildFailed
from jobx.actors.runtime.supervision import Escalate, Restart, RestartBudget, RestartPolicy
from jobx.errors import AlreadyExists, InternalError


@dataclass(slots=True, eq=False)
class _Child:
    name: str
    actor_class: type[Actor]
    budget: RestartBudget
    on_start: Callable[[ActorAddress], None]
    address: ActorAddress | None = None


class SupervisorActor(ActorTypeDispatcher):
    """Base of actors with children that are worth a new start.

    A subclass that has its own ``receiveMsg_ChildActorExited`` or ``receiveMsg_WakeupMessage``
    returns ``self.SUPER`` from it for what is not its own.
    """

    def __init__(self) -> None:
        super().__init__()
        self._children: dict[str, _Child] = {}

    def start_child(
        self,
        actor_class: type[Actor],
        policy: RestartPolicy,
        name: str,
        on_start: Callable[[ActorAddress], None],
    ) -> None:
        """Create a child and keep it alive as ``policy`` says.

        Args:
            actor_class: Class of the child.
            policy: What is done about its failures.
            name: Under which it is known here.
            on_start: Called with the address of each actor that is the child, the first
                included; sends it what it needs to begin.

        Raises:
            AlreadyExists: There is a child of that name.
        """
        if name in self._children:
            raise AlreadyExists("child", name)
        child = _Child(name, actor_class, RestartBudget(policy), on_start)
        self._children[name] = child
        self._start(child)

    def child(self, name: str) -> ActorAddress | None:
        """Return the address of a child, or None when none is running under that name."""
        child = self._children.get(name)
        return child.address if child else None

    def stop_child(self, name: str) -> None:
        """Ask a child to exit, and start it no more; does nothing when there is none."""
        child = self._children.pop(name, None)
        if child is not None and child.address is not None:
            self.send(child.address, ActorExitRequest())

    def child_given_up(self, name: str, failure: ChildFailed) -> None:
        """Learn that a child failed for the last time. For subclasses; does nothing here."""

    def receiveMsg_ChildActorExited(self, message: Any, _: ActorAddress) -> object:
        """Decide about a child that is gone; leave those of other origin alone."""
        for child in self._children.values():
            if child.address == message.childAddress:
                child.address = None
                self._gone(child, message)
                return None
        return self.SUPER

    def receiveMsg_WakeupMessage(self, message: Any, _: ActorAddress) -> object:
        """Start a child whose delay is over, unless it was stopped meanwhile."""
        child = message.payload
        if not isinstance(child, _Child):
            return self.SUPER
        if self._children.get(child.name) is child:
            self._start(child)
        return None

    def _start(self, child: _Child) -> None:
        child.address = self.createActor(child.actor_class)
        child.on_start(child.address)

    def _gone(self, child: _Child, message: Any) -> None:
        if not isinstance(message, ChildFailed):
            del self._children[child.name]
            return
        decision = child.budget.failed(self._myRef.now())
        if isinstance(decision, Restart):
            self.wakeupAfter(decision.delay_s, child)
            return
        del self._children[child.name]
        if isinstance(decision, Escalate):
            raise InternalError(f"child {child.name} failed too often: {message.reason}")
        self.child_given_up(child.name, message)
