"""Decides where a new actor is created, and carries mail to other nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from thespian.actors import Actor, ActorAddress, NoCompatibleSystemForActor


class Creation(NamedTuple):
    """An actor that is to be created.

    Attributes:
        actor_class: May have Thespian's ``actorSystemCapabilityCheck``.
        arguments: Arguments of its ``__init__``.
        parent: Its creator; None: the system owns it.
        requirements: ``capability`` names the required one, if any.
        capabilities: Capabilities of this node.
    """

    actor_class: type[Actor]
    arguments: tuple[Any, ...]
    parent: ActorAddress | None
    requirements: Mapping[str, object]
    capabilities: Mapping[str, object]


class Placement(Protocol):
    """The other nodes, as an engine sees them."""

    def place(self, creation: Creation) -> ActorAddress | None:
        """Create an actor on another node and return its address, or return None for "here".

        Raises:
            NoCompatibleSystemForActor: No node can have it.
        """

    def send(self, target: ActorAddress, message: Any, sender: ActorAddress) -> bool:
        """Send to an address that is none of this node's; return whether anybody can be told.

        Raises:
            JobxError: The message cannot leave the node.
        """


class Nowhere:
    """No other nodes."""

    def place(self, creation: Creation) -> ActorAddress | None:
        """Check the creation and return None: this node is the only one."""
        check_here(creation)
        return None

    def send(self, target: ActorAddress, message: Any, sender: ActorAddress) -> bool:
        """Return False: there is nobody."""
        return False


def check_here(creation: Creation) -> None:
    """Accept an actor on this node.

    Raises:
        NoCompatibleSystemForActor: The node does not offer the required capability.
    """
    actor_class, _, _, requirements, capabilities = creation
    word = requirements.get("capability")
    if word is not None and not capabilities.get(str(word)):
        raise NoCompatibleSystemForActor(actor_class, f"no node offers the capability {word}")
    check = getattr(actor_class, "actorSystemCapabilityCheck", None)
    if check is not None and not check(capabilities, requirements):
        raise NoCompatibleSystemForActor(actor_class, "no node passes the capability check")
