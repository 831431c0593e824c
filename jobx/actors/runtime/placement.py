"""Where a new actor is created."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from thespian.actors import Actor, ActorAddress, NoCompatibleSystemForActor

#: Takes the class, its requirements and what this node offers. Returns None for "here", or the
#: address of the actor that it had created elsewhere. Raises NoCompatibleSystemForActor.
Placement: TypeAlias = Callable[
    [type[Actor], Mapping[str, object], Mapping[str, object]], ActorAddress | None
]


def place_here(
    actor_class: type[Actor],
    requirements: Mapping[str, object],
    capabilities: Mapping[str, object],
) -> None:
    """Accept an actor on this node, the only one there is.

    Args:
        actor_class: May have Thespian's ``actorSystemCapabilityCheck``.
        requirements: ``capability`` names the one that is needed, if any.
        capabilities: What this node offers.

    Raises:
        NoCompatibleSystemForActor: The node does not offer what is required.
    """
    word = requirements.get("capability")
    if word is not None and not capabilities.get(str(word)):
        raise NoCompatibleSystemForActor(actor_class, f"no node offers the capability {word}")
    check = getattr(actor_class, "actorSystemCapabilityCheck", None)
    if check is not None and not check(capabilities, requirements):
        raise NoCompatibleSystemForActor(actor_class, "no node passes the capability check")
