"""What a step requires of the nodes that run it."""

from __future__ import annotations

from jobx.model import PlanStep


def missing_capability(step: PlanStep, offered: frozenset[str]) -> str | None:
    """Return a capability that a step requires and nobody offers, or None."""
    required = (ref.required_capability for ref in step.handlers())
    return next((one for one in required if one not in offered), None)
