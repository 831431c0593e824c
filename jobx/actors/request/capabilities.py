"""What a step requires of the nodes that run it."""

from __future__ import annotations

from collections.abc import Iterable

from jobx.model import PlanStep


def required(step: PlanStep) -> tuple[str, ...]:
    """Return the capabilities that one node must offer, so that a mapper can run to its end there.

    Its combiner and its reducer may follow in the same executor.
    """
    return tuple(dict.fromkeys(ref.required_capability for ref in step.handlers()))


def missing_everywhere(step: PlanStep, nodes: Iterable[frozenset[str]]) -> str | None:
    """Return what of a step no node offers; None if one of ``nodes`` offers all of it."""
    offers = list(nodes)
    wanted = required(step)
    if any(offered.issuperset(wanted) for offered in offers):
        return None
    return missing_capability(step, frozenset().union(*offers)) or " and ".join(wanted)


def missing_capability(step: PlanStep, offered: frozenset[str]) -> str | None:
    """Return a capability that a step requires and nobody offers, or None."""
    required = (ref.required_capability for ref in step.handlers())
    return next((one for one in required if one not in offered), None)
