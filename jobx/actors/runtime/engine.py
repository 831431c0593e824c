"""The engine of the actor system: mail, birth and death, on the loop's thread only."""

from __future__ import annotations

import inspect
import itertools
import logging
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from thespian.actors import (
    Actor,
    ActorAddress,
    ActorExitRequest,
    ActorSystemFailure,
    ChildActorExited,
    InvalidActorSpecification,
    PoisonMessage,
    WakeupMessage,
)
from thespian.system.messages.status import Thespian_StatusReq

from jobx.actors.runtime.address import Address
from jobx.actors.runtime.cell import ActorRecord, Cell, ChildFailed, Endpoint, Receive
from jobx.actors.runtime.deadletters import DeadLetters
from jobx.actors.runtime.placement import Placement
from jobx.actors.runtime.scheduler import Scheduler
from jobx.actors.runtime.wakeups import Wakeups

#: What an ``__init__`` may take.
_INIT_ARGUMENTS: Final = ("capabilities", "requirements")
#: What a full mailbox still takes: no more than there are children and timers, and waited for.
_VITAL: Final = (ActorExitRequest, ChildActorExited, WakeupMessage)
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """What keeps an actor system within bounds.

    Attributes:
        slice_messages: Messages after which the loop gets a turn.
        slice_s: Seconds after which the loop gets a turn.
        mailbox: Unread messages of one actor above which more go to dead letters.
        call_s: How long ``ask``, ``listen`` and ``createActor`` of other threads wait at most.
        stop_s: How long actors may take to exit at ``shutdown``.
    """

    slice_messages: int = 256
    slice_s: float = 0.004
    mailbox: int = 100_000
    call_s: float = 60.0
    stop_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Counters:
    """What a system did since it was made."""

    created: int
    exited: int
    failed: int
    delivered: int
    dead_letters: int


class _Kind(NamedTuple):
    """What is to be known of a class of actors.

    Attributes:
        wanted: What its ``__init__`` asks for by name, as Thespian hands it out.
        is_placed: It says itself where it can be.
        hears_exits: It is told when a child exits that did not fail.
    """

    wanted: tuple[str, ...]
    is_placed: bool
    hears_exits: bool


class Engine:
    """Runs actors. See ``LoopSystemBase`` for the arguments."""

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
        self.limits = limits
        self.dead_letters = DeadLetters(self.deliver, scheduler.now)
        self.wakeups = Wakeups(scheduler)
        self._node = node
        self._placement = placement
        self._local_ids = itertools.count(1)
        self._system_address = Address(*node, 0)
        self._cells: dict[object, Cell] = {}
        self._names: dict[str, Cell] = {}
        self._kinds: dict[type[Actor], _Kind] = {}
        # A cell stands here exactly while its mailbox holds mail, or did when it was stopped.
        self._run_queue: deque[Cell] = deque()
        self._is_awake = False
        self._is_running = False
        self._is_yielding = False
        self._is_closed = False
        self._root_exited = root_exited
        self._created = self._exited = self._failed = self._delivered = 0

    # Mail.

    def deliver(
        self, target: ActorAddress, message: Any, sender: ActorAddress | None = None
    ) -> None:
        """Put a message into the mailbox of ``target``, or into dead letters.

        Args:
            target: An actor or an endpoint.
            message: Passed on as it is; must not change any more.
            sender: Who gets the answer; None is the system itself, which reads nothing.
        """
        if sender is None:
            sender = self._system_address
        cell = self._cells.get(target.addressDetails)
        if cell is None or (mailbox := cell.mailbox) is None:
            self.dead_letters.take(target, message, sender)
            return
        if not mailbox:
            self._run_queue.append(cell)
            if not self._is_awake:
                self._is_awake = True
                self.scheduler.call_soon(self._run)
        elif len(mailbox) >= self.limits.mailbox and not isinstance(message, _VITAL):
            self.dead_letters.take(target, message, sender, logging.WARNING)
            return
        mailbox.append((message, sender))

    def yield_soon(self) -> None:
        """Give the loop a turn after the message at hand: something there is waited for."""
        self._is_yielding = self._is_running

    def _run(self) -> None:
        try:
            self._run_slice()
        finally:
            self._is_awake = bool(self._run_queue)
            if self._is_awake:
                self.scheduler.call_soon(self._run)

    def _run_slice(self) -> None:
        queue, now = self._run_queue, self.scheduler.now
        stop_at = now() + self.limits.slice_s
        self._is_running, self._is_yielding = True, False
        try:
            for _ in range(self.limits.slice_messages):
                if not queue or self._is_yielding:
                    return
                self._run_next(queue)
                if now() >= stop_at:
                    return
        finally:
            self._is_running = False

    def _run_next(self, queue: deque[Cell]) -> None:
        cell = queue.popleft()
        if not cell.mailbox:
            return
        message, sender = cell.mailbox.popleft()
        if cell.mailbox:
            queue.append(cell)
        self._delivered += 1
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
                self._stop(cell, ChildActorExited(cell.address))
            elif isinstance(message, ActorExitRequest) and not cell.is_endpoint:
                self._stop(cell, ChildActorExited(cell.address), message.isRecursive)

    # Birth.

    def create(
        self,
        parent: Cell | None,
        actor_class: type[Actor],
        requirements: Mapping[str, object] | None = None,
        global_name: str | None = None,
        arguments: tuple[Any, ...] = (),
    ) -> ActorAddress:
        """Create an actor; it exists, and its ``__init__`` ran, when the call returns.

        An ``__init__`` may do all that an actor may do: send, create children, ask its services. An
        exception in that of a child gives a ChildFailed to the parent, and the address is that of
        a dead actor. In that of an actor without a parent it is raised.

        Args:
            parent: Who creates it; None: the system owns it.
            actor_class: What it is.
            requirements: Capabilities that its node must offer.
            global_name: An actor of that name which lives is returned instead.
            arguments: What its ``__init__`` is given.

        Raises:
            NoCompatibleSystemForActor: No node offers what is required.
            InvalidActorSpecification: The class is not an Actor. Names are not looked up.
            ActorSystemFailure: The parent is dead, or the system stops and no actor calls.
        """
        if (parent is None and self._is_closed) or (parent is not None and parent.mailbox is None):
            raise ActorSystemFailure("who is about to stop creates nothing new")
        if global_name and (named := self._names.get(global_name)):
            return named.address
        kind = self._kinds.get(actor_class) or self._look_at(actor_class)
        if requirements or kind.is_placed:
            elsewhere = self._placement(actor_class, requirements or {}, self.capabilities)
            if elsewhere is not None:
                return elsewhere
        address = self.new_address()
        if self._is_closed and parent is not None:
            # An exception would kill the parent in the middle of what it does to end well.
            self.deliver(parent.address, ChildActorExited(address))
            return address
        actor = Actor.__new__(actor_class)
        cell = Cell(self, address, actor, parent, self.scheduler.now())
        cell.hears_exits = kind.hears_exits
        actor._myRef = cell
        actor.node = self.services
        self._register(cell, global_name)
        self._init(cell, arguments, self._asked_for(kind, requirements) if kind.wanted else {})
        return address

    def _init(self, cell: Cell, arguments: tuple[Any, ...], asked_for: dict[str, object]) -> None:
        try:
            cell.actor.__init__(*arguments, **asked_for)
        except Exception as error:
            if cell.parent is None:
                cell.is_root = False  # who creates it hears the exception
                self._stop(cell, ChildActorExited(cell.address))
                raise
            self._failed += 1
            self._stop(cell, _failure(cell.address, type(cell.actor).__name__, error))

    def _look_at(self, actor_class: type[Actor]) -> _Kind:
        if not isinstance(actor_class, type) or not issubclass(actor_class, Actor):
            raise InvalidActorSpecification(repr(actor_class), "it must be a subclass of Actor")
        parameters = inspect.signature(actor_class).parameters
        kind = self._kinds[actor_class] = _Kind(
            tuple(name for name in _INIT_ARGUMENTS if name in parameters),
            hasattr(actor_class, "actorSystemCapabilityCheck"),
            getattr(actor_class, "hears_exits", True),
        )
        return kind

    def _asked_for(
        self, kind: _Kind, requirements: Mapping[str, object] | None
    ) -> dict[str, object]:
        given = {"capabilities": dict(self.capabilities), "requirements": requirements}
        return {name: given[name] for name in kind.wanted}

    def _register(self, cell: Cell, global_name: str | None) -> None:
        self._created += 1
        self._cells[cell.address.addressDetails] = cell
        if cell.parent is not None:
            if cell.parent.children is None:
                cell.parent.children = {}
            cell.parent.children[cell] = None
        if global_name:
            cell.globalName = global_name
            self._names[global_name] = cell

    # Failure and death.

    def _fail(self, cell: Cell, message: Any, sender: ActorAddress, error: BaseException) -> None:
        self._failed += 1
        failure = _failure(cell.address, type(cell.actor).__name__, error)
        if not cell.is_endpoint:
            self._stop(cell, failure)
        sender_cell = self._cells.get(sender.addressDetails)
        is_alive = sender_cell is not None and sender_cell.mailbox is not None
        if is_alive and not isinstance(message, PoisonMessage):
            self.deliver(sender, PoisonMessage(message, failure.details), cell.address)

    def _stop(self, cell: Cell, notice: ChildActorExited, is_recursive: bool = True) -> None:
        """Take no more mail, let the children go first, then leave."""
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
        self.wakeups.cancel(cell)
        self.dead_letters.handle(cell.address, False)
        if cell.globalName is not None:
            self._names.pop(cell.globalName, None)
        for message, sender in unread or ():
            self.dead_letters.take(cell.address, message, sender)

    def _leave(self, cell: Cell) -> None:
        """Forget a cell that has no children any more, and each ancestor that waited for it."""
        while True:
            del self._cells[cell.address.addressDetails]
            cell.actor = None
            self._exited += 1
            parent = cell.parent
            if parent is None or parent.children is None:
                self._tell_root(cell)
                return
            del parent.children[cell]
            if parent.mailbox is not None:
                if parent.hears_exits or isinstance(cell.notice, ChildFailed):
                    self.deliver(parent.address, cell.notice)
                return
            if parent.children:
                return
            cell = parent

    def _tell_root(self, cell: Cell) -> None:
        """Tell of an actor that the system owned, unless the system itself is stopping."""
        if cell.notice is not None and cell.is_root and not self._is_closed:
            self._root_exited(cell.notice)

    # The system.

    def new_address(self) -> Address:
        """Return an address that was never used; from any thread."""
        return Address(*self._node, next(self._local_ids))

    def open(self, address: Address, callback: Receive) -> None:
        """Have mail for ``address`` go to ``callback``."""
        cell = Cell(self, address, Endpoint(callback), None, self.scheduler.now())
        self._cells[address.addressDetails] = cell

    def drop(self, address: ActorAddress) -> None:
        """Forget an endpoint, or an actor that cannot be waited for; it is not run again."""
        cell = self._cells.pop(address.addressDetails, None)
        if cell is not None:
            self._close_mailbox(cell)

    def update_capability(self, name: str, value: object) -> None:
        """Set what is offered here, or remove it with None; actors that exist stay."""
        if value is None:
            self.capabilities.pop(name, None)
        else:
            self.capabilities[name] = value

    def tree(self, limit: int | None = None) -> list[ActorRecord]:
        """Describe live actors, in the order of their creation: parents before their children.

        Args:
            limit: At most so many, and no more work than for them.
        """
        now = self.scheduler.now()
        living = (cell for cell in self._cells.values() if not cell.is_endpoint)
        return [cell.record(now) for cell in itertools.islice(living, limit)]

    def count_children(self, address: ActorAddress) -> int:
        """Return how many live children an actor has; 0 when it is gone."""
        cell = self._cells.get(address.addressDetails)
        return len(cell.children or ()) if cell is not None else 0

    def counters(self) -> Counters:
        """Return what happened so far."""
        return Counters(
            created=self._created,
            exited=self._exited,
            failed=self._failed,
            delivered=self._delivered,
            dead_letters=self.dead_letters.count,
        )

    def _actors(self) -> list[Cell]:
        return [cell for cell in self._cells.values() if not cell.is_endpoint]

    def stop(self) -> None:
        """Have all actors exit, children first, within ``stop_s``; then drop what is left.

        Must not be called by what the engine runs.
        """
        self._is_closed = True
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


def _failure(address: Address, name: str, error: BaseException) -> ChildFailed:
    """Log an exception that stopped an actor, and tell it as text, so that no frame is kept."""
    kind = type(error).__name__
    try:
        told = traceback.TracebackException.from_exception(error)
        reason = "".join(told.format_exception_only()).strip()
        details = "".join(told.format())
    except BaseException:  # noqa: BLE001 - whatever it raises, the death must be told
        reason = f"{kind}, which cannot be shown"
        details = "".join([*traceback.format_tb(error.__traceback__), reason])
    _LOG.error("%s, a %s, failed: %s", address, name, details)
    return ChildFailed(address, kind, reason, details)
