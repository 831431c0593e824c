"""How invocations are named inside their request."""

from __future__ import annotations

from jobx.actors.request.events import Kind


def invocation_id(kind: Kind, vertex: int) -> str:
    """Return the id of an invocation inside its request: m0 is the root mapper."""
    return f"{kind[0]}{vertex}"
