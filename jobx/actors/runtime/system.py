"""JobX's own Thespian system base: actors in this process, on one loop.

    base = LoopSystemBase(LoopScheduler(loop), node_id="n1", incarnation=7, ...)
    system = ActorSystem(systemBase=base, transientUnique=True)

An actor may rely on this:

- One thread runs it, one message at a time, in the order in which each sender sent.
- A message is passed by reference, not copied, and is run at most once.
- An exception in ``receiveMessage`` stops the actor. The sender gets a PoisonMessage, the
  parent a ChildFailed, which is a ChildActorExited.
- A stopping actor takes its children with it and is gone after them; only then its parent gets
  a message. Once it starts to stop, its mail goes to dead letters.
- Its address never means another actor.

Methods are for the loop's thread only, unless they say otherwise.
"""

# ruff: noqa: N802, N815 - the names of methods are Thespian's

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from thespian.actors import Actor, ActorAddress, ChildActorExited

from jobx.actors.runtime.address import Address
from jobx.actors.runtime.cell import Receive, refuse
from jobx.actors.runtime.engine import Engine
from jobx.actors.runtime.external import External, call_and_wait
from jobx.actors.runtime.limits import EngineLimits
from jobx.actors.runtime.placement import Nowhere, Placement
from jobx.actors.runtime.scheduler import Scheduler


class LoopSystemBase(Engine):
    """The engine with interfaces for Thespian, for adapters and for other threads.

    Args:
        scheduler: The loop and its time.
        node_id: First part of every address made here.
        incarnation: Second part; must grow with every start of the node.
        capabilities: Capabilities for the check of ``targetActorRequirements``.
        services: Becomes the attribute ``node`` of every actor, before its first message.
        placement: The other nodes; None: there are none, until the attribute is set.
        limits: The limits; see ``EngineLimits`` for the defaults.
        root_exited: Called when an actor without a parent is gone, unless the system stops.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        *,
        node_id: str,
        incarnation: int,
        capabilities: Mapping[str, object],
        services: object,
        placement: Placement | None = None,
        limits: EngineLimits | None = None,
        root_exited: Callable[[ChildActorExited], object] = lambda _: None,
    ) -> None:
        super().__init__(
            scheduler,
            node=(node_id, incarnation),
            capabilities=capabilities,
            services=services,
            placement=placement or Nowhere(),
            limits=limits or EngineLimits(),
            root_exited=root_exited,
        )
        self._external = self.external_clone()

    def endpoint(self, callback: Receive) -> Address:
        """Open an address that delivers its mail to ``callback``, on the loop; from any thread.

        An exception of the callback is logged and gives the sender a PoisonMessage; the
        endpoint stays open.
        """
        address = self.new_address()
        self.on_loop(lambda: self.open(address, callback))
        return address

    def close_endpoint(self, address: ActorAddress) -> None:
        """Close an endpoint, from any thread; its unread mail goes to dead letters."""
        self.on_loop(lambda: self.drop(address))

    def on_loop(self, call: Callable[[], None]) -> None:
        """Run ``call`` at once on the loop's thread, or soon if the caller is on another."""
        if self.scheduler.is_current():
            call()
        else:
            self.scheduler.call_from_thread(call)

    def newPrimaryActor(
        self,
        actor_class: type[Actor],
        requirements: Mapping[str, object] | None = None,
        global_name: str | None = None,
        source_hash: str | None = None,
    ) -> ActorAddress:
        """Create an actor that the system itself owns; see ``create``.

        Raises:
            DeadlineExceeded: Another thread called, and the loop was too busy to answer it.
        """
        if source_hash is not None:
            refuse()

        def create() -> ActorAddress:
            return self.create(None, actor_class, requirements, global_name)

        if self.scheduler.is_current():
            return create()
        return call_and_wait(self.scheduler, create, self.limits.call_s)

    def tell(self, target: ActorAddress, message: Any) -> None:
        """Send a message; see ``External.tell``."""
        self._external.tell(target, message)

    def ask(
        self, target: ActorAddress, message: Any, timeout: float | timedelta | None = None
    ) -> Any:
        """Send a message and wait for one; see ``External.ask``."""
        return self._external.ask(target, message, timeout)

    def listen(self, timeout: float | timedelta | None = None) -> Any:
        """Wait for a message; see ``External.listen``."""
        return self._external.listen(timeout)

    def external_clone(self) -> External:
        """Open a conversation with its own inbox."""
        return External(self, self.limits.mailbox, self.limits.call_s)

    def updateCapability(self, name: str, value: object = None) -> None:
        """Set a capability of the node, or remove it with None; existing actors stay."""
        self.on_loop(lambda: self.update_capability(name, value))

    loadActorSource = unloadActorSource = staticmethod(refuse)

    def shutdown(self) -> None:
        """Stop the system; see ``stop``.

        It returns when the system has stopped. If an actor or an endpoint calls, it returns at
        once, and the system stops after the current message.
        """
        if not self.scheduler.is_current():
            call_and_wait(self.scheduler, self.stop, self.limits.stop_s + self.limits.call_s)
        elif self._is_running:
            self.scheduler.call_soon(self.stop)
        else:
            self.stop()
