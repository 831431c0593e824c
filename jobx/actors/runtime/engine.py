"""The engine of the actor system: runs actors from birth to death, on the loop's thread only."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from thespian.actors import (
    Actor,
    ActorAddress,
    ActorExitRequest,
    ActorSystemFailure,
    ChildActorExited,
)
from thespian.system.messages.status import Thespian_StatusReq

from jobx.actors.runtime.accounts import SLOW_S, Accounts, Restarted
from jobx.actors.runtime.address import Address
from jobx.actors.runtime.cell import Cell, Endpoint, Receive
from jobx.actors.runtime.exits import Exits
from jobx.actors.runtime.kinds import ActorKind, kind_of
from jobx.actors.runtime.limits import Counters, EngineLimits
from jobx.actors.runtime.placement import Creation, Placement
from jobx.actors.runtime.scheduler import Scheduler

_LOG: Final = logging.getLogger(__name__)


class Engine(Exits):
    """Runs actors. See ``LoopSystemBase`` for the arguments.

    Attributes:
        accounts: What the actors of each class have done.
        step: Handles the next message of a queue; a trace puts itself in front of it.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        *,
        node: tuple[str, int],
        capabilities: Mapping[str, object],
        services: object,
        placement: Placement,
        limits: EngineLimits,
        root_exited: Callable[[ChildActorExited], object],
    ) -> None:
        super().__init__(
            scheduler, node=node, placement=placement, limits=limits, root_exited=root_exited
        )
        self.capabilities = dict(capabilities)
        self.services = services
        self.accounts = Accounts(scheduler.now)
        self.step = self.run_next
        self._kinds: dict[type[Actor], ActorKind] = {}

    def run_next(self, queue: deque[Cell]) -> None:
        """Handle the next message of a queue of cells with mail, and count it."""
        cell = queue.popleft()
        if not cell.mailbox:
            return
        message, sender, _ = cell.mailbox.popleft()
        if cell.mailbox:
            queue.append(cell)
        if message.__class__ is Thespian_StatusReq and not cell.is_endpoint:
            self.deliver(sender, cell.status(self._system_address), cell.address)
            return
        try:
            cell.actor.receiveMessage(message, sender)
        except BaseException as error:
            self._fail(cell, message, sender, error)
            if not isinstance(error, Exception):
                raise
        else:
            if cell.is_leaving:
                self._stop(cell, None if cell.is_told else ChildActorExited(cell.address))
            elif isinstance(message, ActorExitRequest) and not cell.is_endpoint:
                self._stop(cell, ChildActorExited(cell.address), message.isRecursive)
        # The end of this message is the beginning of the next: one look at the clock for each.
        began_s, now = self.stamp_s, self.scheduler.now()
        self.stamp_s, took_s = now, now - began_s
        cell.handled += 1
        cell.time_s += took_s
        account = cell.account
        account.handled += 1
        account.time_s += took_s
        if took_s > SLOW_S:
            self.accounts.was_slow(account, message, took_s, now)

    def create(
        self,
        parent: Cell | None,
        actor_class: type[Actor],
        requirements: Mapping[str, object] | None = None,
        global_name: str | None = None,
        arguments: tuple[Any, ...] = (),
    ) -> ActorAddress:
        """Create an actor; it exists, and its ``__init__`` ran, when the call returns.

        An ``__init__`` may do everything that an actor may do: send, create children, use its
        services. If it raises, the parent gets a ChildFailed and the address is that of a dead
        actor. For an actor without a parent the exception is raised.

        Args:
            parent: Its creator; None: the system owns it.
            actor_class: Its class.
            requirements: Capabilities that its node must offer.
            global_name: A live actor of that name is returned instead.
            arguments: Arguments of its ``__init__``.

        Raises:
            NoCompatibleSystemForActor: No node offers the required capability.
            InvalidActorSpecification: The class is not an Actor. Names are not looked up.
            ActorSystemFailure: The parent is dead, or the system stops and no actor calls.
        """
        if (parent is None and self._is_closed) or (parent is not None and parent.mailbox is None):
            raise ActorSystemFailure("a stopping actor cannot create actors")
        if global_name and (named := self._names.get(global_name)):
            return named.address
        kind = self._kinds.get(actor_class) or self._kind(actor_class)
        if (requirements or kind.is_placed) and not self._is_closed:
            creator = parent and parent.address
            found = self.placement.place(
                Creation(actor_class, arguments, creator, requirements or {}, self.capabilities)
            )
            if found is not None:
                self._keep(found, parent, actor_class)
                return found
        address = self.new_address()
        if self._is_closed and parent is not None:
            # An exception would kill the parent while it stops.
            self.deliver(parent.address, ChildActorExited(address))
            return address
        cell = self._new_cell(address, parent, actor_class, kind)
        self._enter(cell)
        if global_name:
            cell.globalName = global_name
            self._names[global_name] = cell
        asked_for = kind.asked_for(self.capabilities, requirements) if kind.wanted else {}
        self._init(cell, arguments, asked_for)
        return address

    def host(
        self,
        address: ActorAddress,
        parent: ActorAddress,
        actor_class: type[Actor],
        arguments: tuple[Any, ...],
    ) -> None:
        """Create an actor for a parent of another node, which hears how it ends."""
        stand_in = Cell.of_another_node(self, parent, None, Actor)
        kind = self._kind(actor_class)
        cell = self._new_cell(cast("Address", address), stand_in, actor_class, kind)
        self._enter(cell)
        self._init(cell, arguments, {})

    def _new_cell(
        self, address: Address, parent: Cell | None, actor_class: type[Actor], kind: ActorKind
    ) -> Cell:
        actor = Actor.__new__(actor_class)
        account = self.accounts[actor_class]
        born_s = self.scheduler.now()
        cell = Cell(self, address, actor, parent, born_s=born_s, account=account)
        cell.hears_exits = kind.hears_exits
        actor._myRef = cell
        actor.node = self.services
        return cell

    def _kind(self, actor_class: type[Actor]) -> ActorKind:
        kind = self._kinds[actor_class] = kind_of(actor_class)
        return kind

    def _keep(self, address: ActorAddress, parent: Cell | None, actor_class: type[Actor]) -> None:
        """Keep a child that is on another node under its parent, until it exits there."""
        self._enter(Cell.of_another_node(self, address, parent, actor_class))

    def _init(self, cell: Cell, arguments: tuple[Any, ...], asked_for: dict[str, object]) -> None:
        try:
            cell.actor.__init__(*arguments, **asked_for)
        except Exception as error:
            if cell.parent is None:
                cell.is_root = False  # the creator gets the exception
                self._stop(cell, ChildActorExited(cell.address))
                raise
            self._stop(cell, self._failure(cell, error))
        else:
            if cell.is_leaving:
                self._stop(cell, ChildActorExited(cell.address))

    def open(self, address: Address, callback: Receive) -> None:
        """Deliver mail for ``address`` to ``callback``."""
        account = self.accounts[Endpoint]
        born_s = self.scheduler.now()
        endpoint = Endpoint(callback)
        self._enter(Cell(self, address, endpoint, None, born_s=born_s, account=account))

    def note_restart(self, address: ActorAddress, restarted: Restarted) -> None:
        """Take note that an actor is one that was started again; nothing if it is gone."""
        cell = self._cells.get(address.addressDetails)
        if cell is not None:
            cell.restarted = restarted
            cell.account.restarts += 1
            cell.account.restart_reason = restarted.reason

    def update_capability(self, name: str, value: object) -> None:
        """Set a capability, or remove it with None; existing actors stay."""
        if value is None:
            self.capabilities.pop(name, None)
        else:
            self.capabilities[name] = value

    def counters(self) -> Counters:
        """Return the counts so far."""
        accounts = self.accounts.all()
        endpoints = self.accounts[Endpoint].created
        return Counters(
            created=sum(account.created for account in accounts) - endpoints,
            exited=self._exited,
            failed=self._failed,
            delivered=sum(account.handled for account in accounts),
            dead_letters=self.dead_letters.count,
        )

    def stop(self) -> None:
        """Make all actors exit, children first, within ``stop_s``; then drop the rest.

        Actors and endpoints must not call this.
        """
        self._is_closed = True
        for cell in [cell for cell in self._actors() if cell.is_remote]:
            self.deliver(cell.address, ActorExitRequest())
            self.exited_elsewhere(ChildActorExited(cell.address))  # nobody waits for other nodes
        for cell in self._actors():
            if cell.parent is None:
                self.deliver(cell.address, ActorExitRequest())
        stop_at = self.scheduler.now() + self.limits.stop_s
        while self._run_queue and self.scheduler.now() < stop_at:
            self._run_slice()
        if left := self._actors():
            _LOG.warning("%d actors did not exit in %g s", len(left), self.limits.stop_s)
        for cell in list(self._cells.values()):
            self.drop(cell.address)
