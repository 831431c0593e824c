"""What the actors of this node derive from."""

from __future__ import annotations

from typing import Any

from thespian.actors import Actor, ActorAddress


class LoopActor(Actor):
    """A Thespian actor with shorter ways to do what is done with every message.

    It runs on a ``LoopSystemBase`` only.
    """

    def send(self, target: ActorAddress, message: Any) -> None:
        """Send a message; unlike Thespian's, without a look at what ``target`` is."""
        cell = self._myRef
        cell.base.deliver(target, message, cell.address)

    def leave(self) -> None:
        """Exit after the message at hand; further mail is not read.

        An ActorExitRequest to oneself does the same, later, and takes two messages for it.
        """
        self._myRef.is_leaving = True
