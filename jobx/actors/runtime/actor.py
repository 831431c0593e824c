"""What the actors of this node derive from."""

from __future__ import annotations

from typing import Any

from thespian.actors import Actor, ActorAddress


class LoopActor(Actor):
    """A Thespian actor with shorter ways to do what is done with every message.

    It runs on a ``LoopSystemBase`` only. Its ``__init__`` is given the arguments of ``create``, and
    may do all that the actor may do later.

    Attributes:
        hears_exits: It is told when a child exits that did not fail.
    """

    hears_exits = True

    @property
    def parent(self) -> ActorAddress:
        """Who created it."""
        address: ActorAddress = self._myRef.parent.address
        return address

    def create(self, actor_class: type[LoopActor], *arguments: Any) -> ActorAddress:
        """Create a child; see ``Engine.create``."""
        cell = self._myRef
        address: ActorAddress = cell.base.create(cell, actor_class, arguments=arguments)
        return address

    def send(self, target: ActorAddress, message: Any) -> None:
        """Send a message; unlike Thespian's, without a look at what ``target`` is."""
        cell = self._myRef
        cell.base.deliver(target, message, cell.address)

    def leave(self) -> None:
        """Exit after the message at hand; further mail is not read.

        An ActorExitRequest to oneself does the same, later, and takes two messages for it.
        """
        self._myRef.is_leaving = True
