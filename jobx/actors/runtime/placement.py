"""Decides where a new actor is created."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from thespian.actors import Actor, ActorAddress, NoCompatibleSystemForActor

#: Gets the class, its requirements and this node's capabilities. Returns None for "here", or the
#: address of an actor created elsewhere. Raises NoCompatibleSystemForActor.
Placement: TypeAlias = Callable[
    [type[Actor], Mapping[str, object], Mapping[str, object]], ActorAddress | None
]


def place_here(
    actor_class: type[Actor],
    requirements: Mapping[str, object],
    capabilities: Mapping[str, object],
) -> None:
    """Accept an actor on this node, the only one.

    Args:
        actor_class: May have Thespian's ``actorSystemCapabilityCheck``.
        requirements: ``capability`` names the required one, if any.
        capabilities: Capabilities of this node.

    Raises:
        NoCompatibleSystemForActor: The node does not offer the required capability.
    """
    word = requirements.get("capability")
    if word is not None and not capabilities.get(str(word)):
        raise NoCompatibleSystemForActor(actor_class, f"no node offers the capability {word}")
    check = getattr(actor_class, "actorSystemCapabilityCheck", None)
    if check is not None and not check(capabilities, requirements):
        raise NoCompatibleSystemForActor(actor_class, "no node passes the capability check")
