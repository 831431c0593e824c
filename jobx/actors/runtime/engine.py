"""The engine of the actor system: mail, birth and death, on the loop's thread only."""

from __future__ import annotations

import itertools
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
    PoisonMessage,
    WakeupMessage,
)
from thespian.system.messages.status import Thespian_StatusReq

from jobx.actors.runtime.accounts import REASON_CHARS, SLOW_S, Accounts, Restarted
from jobx.actors.runtime.address import Address
from jobx.actors.runtime.cell import ActorRecord, Cell, Endpoint, Receive
from jobx.actors.runtime.deadletters import FULL, UNREAD, DeadLetters
from jobx.actors.runtime.failure import ChildFailed, failure_of
from jobx.actors.runtime.kinds import ActorKind, kind_of
from jobx.actors.runtime.limits import Counters, EngineLimits
from jobx.actors.runtime.placement import Creation, Placement
from jobx.actors.runtime.scheduler import Scheduler
from jobx.actors.runtime.wakeups import Wakeups

#: Messages that a full mailbox still accepts: there are as many as children and timers.
_VITAL: Final = (ActorExitRequest, ChildActorExited, WakeupMessage)
_LOG: Final = logging.getLogger(__name__)


class Engine:
    """Runs actors. See ``LoopSystemBase`` for the arguments.

    Attributes:
        accounts: What the actors of each class have done.
        step: Handles the next message of a queue; a trace puts itself in front of it.
        stamp_s: The time after the last message, or when the engine was woken.
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
        self.scheduler = scheduler
        self.capabilities = dict(capabilities)
        self.services = services
        self.placement = placement
        self.limits = limits
        self.dead_letters = DeadLetters(self.deliver, scheduler.now)
        self.wakeups = Wakeups(scheduler)
        self.accounts = Accounts(scheduler.now)
        self.step = self.run_next
        self.stamp_s = scheduler.now()
        self._node = node
        self._local_ids = itertools.count(1)
        self._numbers = itertools.count(1)
        self._system_address = Address(*node, 0)
        self._cells: dict[object, Cell] = {}
        self._names: dict[str, Cell] = {}
        self._kinds: dict[type[Actor], ActorKind] = {}
        # A cell is in here exactly while its mailbox has mail, or had mail when it was stopped.
        self._run_queue: deque[Cell] = deque()
        self._is_awake = False
        self._is_running = False
        self._is_yielding = False
        self._is_closed = False
        self._root_exited = root_exited
        self._created = self._exited = self._failed = 0

    def deliver(
        self, target: ActorAddress, message: Any, sender: ActorAddress | None = None
    ) -> None:
        """Put a message into the mailbox of ``target``, or into dead letters.

        Args:
            target: An actor or an endpoint.
            message: Passed by reference; it must not change any more.
            sender: Receiver of the answer; None is the system itself, which reads nothing.
        """
        if sender is None:
            sender = self._system_address
        cell = self._cells.get(target.addressDetails)
        if cell is None or (mailbox := cell.mailbox) is None:
            self._send_away(target, message, sender)
            return
        if not mailbox:
            self._run_queue.append(cell)
            if not self._is_awake:
                self._is_awake = True
                self.stamp_s = self.scheduler.now()
                self.scheduler.call_soon(self._run)
        elif len(mailbox) >= self.limits.mailbox and not isinstance(message, _VITAL):
            self.dead_letters.take(target, message, sender, FULL)
            return
        mailbox.append((message, sender, self.stamp_s))

    def _send_away(self, target: ActorAddress, message: Any, sender: ActorAddress) -> None:
        is_ours = target.addressDetails[0] == self._node[0]
        if is_ours or not self.placement.send(target, message, sender):
            self.dead_letters.take(target, message, sender)

    def yield_soon(self) -> None:
        """Give the loop a turn after the current message, because somebody waits for it."""
        self._is_yielding = self._is_running

    def _run(self) -> None:
        try:
            self._run_slice()
        finally:
            self._is_awake = bool(self._run_queue)
            if self._is_awake:
                self.scheduler.call_soon(self._run)

    def _run_slice(self) -> None:
        queue = self._run_queue
        self.stamp_s = self.scheduler.now()
        stop_at = self.stamp_s + self.limits.slice_s
        self._is_running, self._is_yielding = True, False
        try:
            for _ in range(self.limits.slice_messages):
                if not queue or self._is_yielding:
                    return
                self.step(queue)
                if self.stamp_s >= stop_at:
                    return
        finally:
            self._is_running = False

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
        kind = self._kind(actor_class)
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
        self._register(cell, global_name)
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
        self._register(cell, None)
        self._init(cell, arguments, {})

    def _new_cell(
        self, address: Address, parent: Cell | None, actor_class: type[Actor], kind: ActorKind
    ) -> Cell:
        actor = Actor.__new__(actor_class)
        account = self.accounts.of(actor_class)
        born_s = self.scheduler.now()
        cell = Cell(self, address, actor, parent, born_s=born_s, account=account)
        cell.hears_exits = kind.hears_exits
        actor._myRef = cell
        actor.node = self.services
        return cell

    def _kind(self, actor_class: type[Actor]) -> ActorKind:
        kind = self._kinds.get(actor_class)
        if kind is None:
            kind = self._kinds[actor_class] = kind_of(actor_class)
        return kind

    def _keep(self, address: ActorAddress, parent: Cell | None, actor_class: type[Actor]) -> None:
        """Keep a child that is on another node under its parent, until it exits there."""
        self._register(Cell.of_another_node(self, address, parent, actor_class), None)

    def exited_elsewhere(self, notice: ChildActorExited) -> None:
        """Tell the parent of an actor of another node that it is gone."""
        cell = self._cells.get(notice.childAddress.addressDetails)
        if cell is not None and cell.is_remote:
            cell.notice = notice
            self._leave(cell)

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

    def _register(self, cell: Cell, global_name: str | None) -> None:
        self._created += 1
        self._enter(cell)
        if cell.parent is not None:
            if cell.parent.children is None:
                cell.parent.children = {}
            cell.parent.children[cell] = None
        if global_name:
            cell.globalName = global_name
            self._names[global_name] = cell

    def _fail(self, cell: Cell, message: Any, sender: ActorAddress, error: BaseException) -> None:
        failure = self._failure(cell, error)
        if not cell.is_endpoint:
            self._stop(cell, failure)
        sender_cell = self._cells.get(sender.addressDetails)
        is_alive = sender_cell is not None and sender_cell.mailbox is not None
        if is_alive and not isinstance(message, PoisonMessage):
            self.deliver(sender, PoisonMessage(message, failure.details), cell.address)

    def _failure(self, cell: Cell, error: BaseException) -> ChildFailed:
        self._failed += 1
        failure = failure_of(cell.address, cell.account.class_name, error)
        cell.account.failed += 1
        cell.account.failure = failure.reason[:REASON_CHARS]
        return failure

    def _stop(self, cell: Cell, notice: ChildActorExited | None, is_recursive: bool = True) -> None:
        """Accept no more mail, wait for the exit of the children, then leave."""
        cell.notice = notice
        self._close_mailbox(cell)
        for child in list(cell.children or ()):
            if is_recursive:
                self.deliver(child.address, ActorExitRequest())
            else:
                child.parent = None
        if not is_recursive:
            cell.children = None
        if not cell.children:
            self._leave(cell)

    def _close_mailbox(self, cell: Cell) -> None:
        unread, cell.mailbox = cell.mailbox, None
        if cell.wakeups:
            self.wakeups.cancel(cell)
        self.dead_letters.handle(cell.address, False)
        if cell.globalName is not None:
            self._names.pop(cell.globalName, None)
        for message, sender, _ in unread or ():
            self.dead_letters.take(cell.address, message, sender, UNREAD)

    def _leave(self, cell: Cell) -> None:
        """Forget a cell without children, and each ancestor that waited for it."""
        while True:
            del self._cells[cell.address.addressDetails]
            cell.account.live -= 1
            cell.actor = None
            self._exited += 1
            parent = cell.parent
            if parent is None or parent.children is None:
                self._tell_root(cell)
                return
            del parent.children[cell]
            if parent.mailbox is not None or parent.is_remote:
                if self._is_heard(cell, parent):
                    self.deliver(parent.address, cell.notice)
                return
            if parent.children:
                return
            cell = parent

    @staticmethod
    def _is_heard(cell: Cell, parent: Cell) -> bool:
        """Whether the parent gets a message about the exit of a cell."""
        if cell.notice is None:
            return False
        return parent.is_remote or parent.hears_exits or isinstance(cell.notice, ChildFailed)

    def _tell_root(self, cell: Cell) -> None:
        """Report the exit of an actor of the system, unless the system itself is stopping."""
        if cell.notice is not None and cell.is_root and not self._is_closed:
            self._root_exited(cell.notice)

    def new_address(self) -> Address:
        """Return an address that was never used; from any thread."""
        return Address(*self._node, next(self._local_ids))

    def open(self, address: Address, callback: Receive) -> None:
        """Deliver mail for ``address`` to ``callback``."""
        account = self.accounts.of(Endpoint)
        born_s = self.scheduler.now()
        endpoint = Endpoint(callback)
        self._enter(Cell(self, address, endpoint, None, born_s=born_s, account=account))

    def _enter(self, cell: Cell) -> None:
        self._cells[cell.address.addressDetails] = cell
        cell.number = next(self._numbers)
        cell.account.live += 1
        cell.account.created += 1

    def drop(self, address: ActorAddress) -> None:
        """Forget an endpoint, or an actor that did not exit in time; it does not run again."""
        cell = self._cells.pop(address.addressDetails, None)
        if cell is not None:
            cell.account.live -= 1
            self._close_mailbox(cell)

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

    def tree(self, limit: int | None = None) -> list[ActorRecord]:
        """Describe live actors, in the order of their creation: parents before their children.

        Args:
            limit: Largest number of actors; the work does not grow beyond it.
        """
        now = self.scheduler.now()
        living = (cell for cell in self._cells.values() if not cell.is_endpoint)
        return [cell.record(now) for cell in itertools.islice(living, limit)]

    def find(self, details: object) -> Cell | None:
        """Return the cell of an address, by its details; None if it is gone."""
        return self._cells.get(details)

    def cells(self) -> list[Cell]:
        """Return all cells, endpoints among them, in the order of their creation."""
        return list(self._cells.values())

    def queued(self) -> list[Cell]:
        """Return the cells that have mail, and some that had."""
        return list(self._run_queue)

    def count_children(self, address: ActorAddress) -> int:
        """Return the number of live children of an actor; 0 if it is gone."""
        cell = self._cells.get(address.addressDetails)
        return len(cell.children or ()) if cell is not None else 0

    def counters(self) -> Counters:
        """Return the counts so far."""
        return Counters(
            created=self._created,
            exited=self._exited,
            failed=self._failed,
            delivered=sum(account.handled for account in self.accounts.all()),
            dead_letters=self.dead_letters.count,
        )

    def _actors(self) -> list[Cell]:
        return [cell for cell in self._cells.values() if not cell.is_endpoint]

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
