"""What a step requires of the nodes that run it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final, NamedTuple, TypeAlias

from jobx.model import Plan, PlanStep

#: What work requires that only other nodes can do; such work has room of its own.
Kind: TypeAlias = tuple[str, ...]
#: Work that can be done here.
HERE: Final[Kind] = ()


class Foreign(NamedTuple):
    """The kinds of work that only other nodes can do, by step: of its mapper, of its reducer."""

    mappers: Mapping[str, Kind] = {}
    reducers: Mapping[str, Kind] = {}

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """All kinds of work, that which can be done here first."""
        return (HERE, *sorted({*self.mappers.values(), *self.reducers.values()}))


_NOTHING: Final = Foreign()


def foreign(plan: Plan, offered: Collection[str]) -> Foreign:
    """Return what of a plan a node cannot do that offers these capabilities."""
    own = frozenset(offered)
    if own.issuperset(plan.required):
        return _NOTHING
    mappers = {name: step.required for name, step in plan.steps.items()}
    reducers = {name: (step.reducer.required_capability,) for name, step in plan.steps.items()}
    return Foreign(
        *(
            {name: kind for name, kind in of.items() if not own.issuperset(kind)}
            for of in (mappers, reducers)
        )
    )


def missing_everywhere(wanted: Collection[str], nodes: Iterable[frozenset[str]]) -> str | None:
    """Return what no node offers; None if one of ``nodes`` offers all that is wanted."""
    offers = list(nodes)
    if any(offered.issuperset(wanted) for offered in offers):
        return None
    offered = frozenset().union(*offers)
    return next((word for word in wanted if word not in offered), " and ".join(wanted))


def missing_capability(step: PlanStep, offered: frozenset[str]) -> str | None:
    """Return a capability that a step requires and nobody offers, or None."""
    required = (ref.required_capability for ref in step.handlers())
    return next((one for one in required if one not in offered), None)
