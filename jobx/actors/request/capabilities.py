"""What a step requires of the nodes that run it."""

from __future__ import annotations

from jobx.model import PlanStep


def missing_capability(step: PlanStep, offered: frozenset[str]) -> str | None:
    """Return a capability that a step requires and nobody offers, or None."""
    for ref in (step.mapper, step.combiner, step.reducer):
        if ref is not None and ref.required_capability not in offered:
            return ref.required_capability
    return None
