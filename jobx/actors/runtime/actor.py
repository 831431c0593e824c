"""The base of this node's actors."""

from __future__ import annotations

from typing import Any

from thespian.actors import Actor, ActorAddress

from jobx.actors.runtime.accounts import Restarted


class LoopActor(Actor):
    """A Thespian actor with faster paths for frequent operations.

    It runs only on a ``LoopSystemBase``. Its ``__init__`` gets the arguments of ``create``, and may
    do everything that the actor may do later.

    Attributes:
        hears_exits: It gets a message when a child exits without a failure.
        may_leave: It may be created on another node; what it is created with and all its mail can
            be sent there.
    """

    hears_exits = True
    may_leave = False

    @property
    def parent(self) -> ActorAddress:
        """The actor that created it."""
        address: ActorAddress = self._myRef.parent.address
        return address

    def create(self, actor_class: type[LoopActor], *arguments: Any) -> ActorAddress:
        """Create a child; see ``Engine.create``."""
        cell = self._myRef
        address: ActorAddress = cell.base.create(cell, actor_class, arguments=arguments)
        return address

    def send(self, target: ActorAddress, message: Any) -> None:
        """Send a message; unlike Thespian's method it does not check ``target``."""
        cell = self._myRef
        cell.base.deliver(target, message, cell.address)

    def note_restart(self, child: ActorAddress, restarted: Restarted) -> None:
        """Have it shown that a child is one that was started again."""
        self._myRef.base.note_restart(child, restarted)

    def leave(self, *, is_told: bool = False) -> None:
        """Exit after the current message, or after ``__init__``; further mail is not read.

        An ActorExitRequest to oneself does the same later, with two messages.

        Args:
            is_told: The parent, on this node, has been told, and hears of no exit.
        """
        cell = self._myRef
        cell.is_leaving, cell.is_told = True, is_told
