"""Computed fields of entities: versions of handlers, and of all handlers of a workflow."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Final

import msgspec

from jobx.kv.entities.references import E
from jobx.model import Handler, Workflow

#: The fields that decide what a handler does; its version is a hash over them.
_VERSIONED: Final = (
    "workflow_name",  # names count, because a scope factory uses them
    "handler_name",
    "source_code",
    "source_type",
    "handler_type",
    "argument_spec",
    "required_capability",
    "retry",
    "time_limit_s",
    "per_key",
)


def version_of(handler: Handler) -> str:
    """Return the hash over the fields that decide what a handler does."""
    fields = {name: msgspec.to_builtins(getattr(handler, name)) for name in _VERSIONED}
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def handlers_state(versions: Mapping[str, str | None]) -> str | None:
    """Return the hash over the versions of all handlers of a workflow; None when it has none.

    Args:
        versions: By name of handler; None for a removed one.
    """
    lines = sorted(f"{name}:{version}" for name, version in versions.items() if version)
    if not lines:
        return None
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def complete(entity: E, state: str | None) -> E:
    """Return an entity with its computed fields, whatever the caller put there.

    Args:
        entity: The entity.
        state: The state of all handlers, for a workflow.
    """
    computed: dict[str, str | None] = {}
    if isinstance(entity, Handler):
        computed["version"] = version_of(entity)
    elif isinstance(entity, Workflow):
        computed["handlers_state"] = state
    return msgspec.structs.replace(entity, **computed)
