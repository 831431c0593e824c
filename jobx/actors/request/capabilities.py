"""What a step requires of the nodes that run it."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from jobx.model import PlanStep


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
