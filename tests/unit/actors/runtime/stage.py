"""A system on virtual time, and actors that note what they see in ``seen``, their services."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from thespian.actors import Actor, ActorAddress

from jobx.actors.runtime.limits import EngineLimits
from jobx.actors.runtime.placement import Placement
from jobx.actors.runtime.system import LoopSystemBase
from tests.support.virtual_time import VirtualScheduler

#: Runs on the actor itself: what it is to do with this message.
Act = Callable[[Any], object]


@dataclass(frozen=True, slots=True)
class Note:
    """A message that is told apart by its text."""

    text: str


class Player(Actor):
    """Does what the messages that are functions say; notes all others."""

    node: list[Any]

    def receiveMessage(self, message: Any, sender: ActorAddress) -> None:  # noqa: N802 - Thespian's
        if callable(message):
            message(self)
        else:
            self.node.append(message)


class Stage:
    """One system with its virtual scheduler."""

    def __init__(
        self, limits: EngineLimits | None = None, placement: Placement | None = None
    ) -> None:
        self.seen: list[Any] = []
        self.mail: list[tuple[Any, ActorAddress]] = []
        self.scheduler = VirtualScheduler()
        self.base = LoopSystemBase(
            self.scheduler,
            node_id="n1",
            incarnation=7,
            capabilities={"general": True, "gpu": False},
            services=self.seen,
            placement=placement,
            limits=limits,
        )
        self.audience = self.base.endpoint(
            lambda message, sender: self.mail.append((message, sender))
        )

    def create(self, actor_class: type[Actor] = Player) -> ActorAddress:
        return self.base.newPrimaryActor(actor_class)

    def child(self, parent: ActorAddress, actor_class: type[Actor] = Player) -> ActorAddress:
        """Create a child of ``parent`` and return its address."""
        made: list[ActorAddress] = []
        self.play(parent, lambda actor: made.append(actor.createActor(actor_class)))
        return made[0]

    def send(self, target: ActorAddress, message: Any) -> None:
        """Send from the audience, without running anything."""
        self.base.deliver(target, message, self.audience)

    def play(self, target: ActorAddress, message: Any) -> None:
        """Send from the audience and run until idle."""
        self.send(target, message)
        self.run()

    def run(self) -> None:
        self.scheduler.run_until_idle()

    @property
    def answers(self) -> list[Any]:
        """What the audience got."""
        return [message for message, _ in self.mail]

    @property
    def alive(self) -> list[str]:
        """Addresses of all live actors."""
        return [record.address for record in self.base.tree()]


def fail(actor: Any) -> None:
    """Be an act that fails."""
    raise ValueError("boom")
