"""The runtime's side of one actor: its mailbox, its family, and what Thespian calls ``_myRef``."""

# ruff: noqa: N802, N815 - the names of methods are Thespian's

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeAlias, TypeVar, cast

from thespian.actors import Actor, ActorAddress, ActorSystemFailure, ChildActorExited
from thespian.system.messages.status import Thespian_ActorStatus

from jobx.actors.runtime.accounts import Account, Restarted
from jobx.actors.runtime.address import Address

if TYPE_CHECKING:
    from jobx.actors.runtime.engine import Engine
    from jobx.actors.runtime.wakeups import Wakeup

T = TypeVar("T")
#: Receives a message and its sender.
Receive: TypeAlias = Callable[[Any, ActorAddress], None]
#: A message, its sender, and about when it was sent (monotonic seconds).
Mail: TypeAlias = tuple[Any, ActorAddress, float]

#: Characters that are shown of what an actor calls itself.
NAME_CHARS: Final = 200


def refuse(*_: object) -> NoReturn:
    """Refuse features of Thespian that this base lacks, such as loading code.

    Raises:
        ActorSystemFailure: Always.
    """
    raise ActorSystemFailure("this actor system runs only the node's own code, on this node")


@dataclass(frozen=True, slots=True)
class ActorRecord:
    """The state of one live actor.

    Attributes:
        state: ``remote``: on another node; ``stopping``; ``queued``: it has mail; ``busy``: it says
            so; ``idle``.
        parent: None for an actor that the system itself owns.
        children: Number of its live children.
        handled: Messages that it has handled, in ``time_s`` altogether.
        oldest_s: How long its oldest unread message waits.
        restarted: If it is one that was started again.
        held_bytes: What it says that it holds.
    """

    address: str
    name: str
    state: str
    mailbox: int
    age_s: float
    parent: str | None
    children: int
    class_name: str = ""
    handled: int = 0
    time_s: float = 0.0
    oldest_s: float | None = None
    restarted: Restarted | None = None
    held_bytes: int | None = None


class Endpoint:
    """Takes an actor's place at an outside address: it calls a callback and never exits."""

    __slots__ = ("receiveMessage",)

    def __init__(self, callback: Receive) -> None:
        self.receiveMessage = callback


class Cell:
    """One address that receives mail. The system base creates and owns it, on the loop only.

    Attributes:
        actor: The actor, or an endpoint; None once it is gone.
        hears_exits: It gets a message when a child exits without a failure.
        is_leaving: It exits after the current message, or after its ``__init__``.
        is_remote: It stands for an actor of another node: a child of an actor here, or the parent.
        is_root: The system owns it, and no actor did.
        is_told: Its parent knows already why it leaves.
        account: Where what it does is counted for its class.
        number: Grows with each cell.
        handled: Messages that it has handled, in ``time_s`` altogether.
        restarted: Set if it is an actor that was started again.
        mailbox: Unread mail; None once it starts to stop.
        children: Live children in the order of their creation, as keys.
        notice: The message to the parent when all children are gone.
    """

    __slots__ = (
        "account",
        "actor",
        "address",
        "base",
        "born_s",
        "children",
        "globalName",
        "handled",
        "hears_exits",
        "is_leaving",
        "is_remote",
        "is_root",
        "is_told",
        "mailbox",
        "notice",
        "number",
        "parent",
        "restarted",
        "time_s",
        "wakeups",
    )

    def __init__(
        self,
        base: Engine,
        address: Address,
        actor: Any,
        parent: Cell | None,
        *,
        born_s: float,
        account: Account,
    ) -> None:
        self.base = base
        self.account = account
        self.number = self.handled = 0
        self.time_s = 0.0
        self.restarted: Restarted | None = None
        self.address = address
        self.actor = actor
        self.parent = parent
        self.born_s = born_s
        self.mailbox: deque[Mail] | None = deque()
        self.globalName: str | None = None
        self.hears_exits = True
        self.is_leaving = False
        self.is_remote = False
        self.is_told = False
        self.is_root = parent is None
        # Most actors are short-lived leaves, so these are created on demand.
        self.children: dict[Cell, None] | None = None
        self.wakeups: set[Wakeup] | None = None
        self.notice: ChildActorExited | None = None

    @classmethod
    def of_another_node(
        cls, base: Engine, address: ActorAddress, parent: Cell | None, actor_class: type[Actor]
    ) -> Cell:
        """Return the cell that stands for an actor of another node; it has no mailbox."""
        account, now = base.accounts[actor_class], base.scheduler.now()
        cell = cls(base, cast("Address", address), actor_class, parent, born_s=now, account=account)
        cell.is_remote, cell.mailbox, cell.children = True, None, {}
        return cell

    @property
    def is_endpoint(self) -> bool:
        """Whether this is a callback and not an actor."""
        return self.actor.__class__ is Endpoint

    @property
    def state(self) -> str:
        """What it does; see ``ActorRecord``."""
        if self.is_remote:
            return "remote"
        if self.mailbox is None:
            return "stopping"
        if self.mailbox:
            return "queued"
        return "busy" if self._told("is_busy", bool) else "idle"

    @property
    def name(self) -> str:
        """What the actor calls itself with its ``describe``, or its class."""
        try:
            name: str = self.actor.describe()
            name = name[:NAME_CHARS]
            return name if name.isascii() else name.encode(errors="replace").decode()
        except Exception:  # noqa: BLE001 - it has none, or must not spoil the list of all
            return self.account.class_name

    @property
    def held_bytes(self) -> int | None:
        """What the actor says that it holds; None if it says nothing."""
        return self._told("held_bytes", int)

    def _told(self, name: str, kind: type[T]) -> T | None:
        """Return what an actor says of itself, if it is of a type; one must not spoil all."""
        try:
            told = getattr(self.actor, name, None)
        except Exception:  # noqa: BLE001 - see there
            return None
        return told if isinstance(told, kind) else None

    def oldest_s(self, now: float) -> float | None:
        """Return how long its oldest unread message waits; None if there is none."""
        return max(0.0, now - self.mailbox[0][2]) if self.mailbox else None

    def record(self, now: float) -> ActorRecord:
        """Describe the actor, with its ``describe``, ``is_busy``, ``held_bytes`` if it has them."""
        return ActorRecord(
            address=str(self.address),
            name=self.name,
            state=self.state,
            mailbox=len(self.mailbox or ()),
            age_s=now - self.born_s,
            parent=str(self.parent.address) if self.parent else None,
            children=len(self.children or ()),
            class_name=self.account.class_name,
            handled=self.handled,
            time_s=self.time_s,
            oldest_s=self.oldest_s(now),
            restarted=self.restarted,
            held_bytes=self.held_bytes,
        )

    def status(self, admin: ActorAddress) -> Thespian_ActorStatus:
        """Describe the actor to the sender of a Thespian_StatusReq."""
        status = Thespian_ActorStatus(self.address, type(self.actor).__name__, admin)
        for child in self.children or ():
            status.addChild(child.address)
        for message, sender, _ in self.mailbox or ():
            status.addPendingMessage(sender, self.address, type(message).__name__)
        return status

    # The interface that thespian.actors.Actor expects of its _myRef.

    def actor_send(self, target: ActorAddress, message: Any) -> None:
        """Send from this actor."""
        self.base.deliver(target, message, self.address)

    def createActor(
        self,
        actor_class: type[Actor],
        requirements: Mapping[str, object] | None = None,
        global_name: str | None = None,
        source_hash: str | None = None,
    ) -> ActorAddress:
        """Create a child; see ``Engine.create``."""
        if source_hash is not None:
            refuse()
        return self.base.create(self, actor_class, requirements, global_name)

    def now(self) -> float:
        """Return monotonic seconds, virtual ones in a simulation."""
        return self.base.scheduler.now()

    def wakeupAfter(self, period: float | timedelta, payload: object = None) -> None:
        """Deliver a WakeupMessage after ``period``, unless the actor is gone by then."""
        self.base.wakeups.add(self, period, payload)

    def handleDeadLetters(self, address: ActorAddress, enable: bool) -> None:
        """Start or stop receiving dead letters."""
        self.base.dead_letters.handle(address, enable)

    def updateCapability(self, name: str, value: object = None) -> None:
        """Set a capability of the node, or remove it with None."""
        self.base.update_capability(name, value)

    def actorSystemShutdown(self) -> None:
        """Stop the whole system, after the current message."""
        self.base.scheduler.call_soon(self.base.stop)

    def notifyOnSystemRegistrationChanges(self, address: ActorAddress, enable: bool) -> None:
        """Do nothing, because Thespian does not manage membership here."""

    loadActorSource = unloadActorSource = registerSourceAuthority = staticmethod(refuse)
    notifyOnSourceAvailability = preRegisterRemoteSystem = deRegisterRemoteSystem = staticmethod(
        refuse
    )
