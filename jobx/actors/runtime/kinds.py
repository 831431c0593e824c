"""Facts about classes of actors."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Final, NamedTuple

from thespian.actors import Actor, InvalidActorSpecification

#: Arguments that an ``__init__`` may have.
_INIT_ARGUMENTS: Final = ("capabilities", "requirements")


class ActorKind(NamedTuple):
    """Facts about a class of actors.

    Attributes:
        wanted: Names of the arguments of its ``__init__`` that Thespian provides.
        is_placed: It matters where it is created.
        hears_exits: It gets a message when a child exits without a failure.
    """

    wanted: tuple[str, ...]
    is_placed: bool
    hears_exits: bool

    def asked_for(
        self, capabilities: Mapping[str, object], requirements: Mapping[str, object] | None
    ) -> dict[str, object]:
        """Return the arguments that Thespian provides."""
        given = {"capabilities": dict(capabilities), "requirements": requirements}
        return {name: given[name] for name in self.wanted}


def kind_of(actor_class: type[Actor]) -> ActorKind:
    """Return the facts about a class.

    Raises:
        InvalidActorSpecification: It is no class of actors.
    """
    if not isinstance(actor_class, type) or not issubclass(actor_class, Actor):
        raise InvalidActorSpecification(repr(actor_class), "it must be a subclass of Actor")
    parameters = inspect.signature(actor_class).parameters
    return ActorKind(
        tuple(name for name in _INIT_ARGUMENTS if name in parameters),
        hasattr(actor_class, "actorSystemCapabilityCheck")
        or getattr(actor_class, "may_leave", False),
        getattr(actor_class, "hears_exits", True),
    )
