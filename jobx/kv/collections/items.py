"""Items of collections: values that handlers may yield, and references to entities."""

from __future__ import annotations

import json
from typing import Any, Final, TypeAlias

from jobx import values
from jobx.errors import InvalidInput, quote
from jobx.kv.entities.references import KINDS, AnyEntity, label, name_of, read
from jobx.kv.store import Store
from jobx.model import Workflow
from jobx.values import Value

#: The kind and the name of an entity of the collection's workflow.
Reference: TypeAlias = dict[str, Value]

_KIND_OF: Final = {noun: kind for kind, noun in KINDS.items()}


def dump(value: Value) -> bytes:
    """Return a value as it is stored.

    Raises:
        InvalidInput: Handlers may not yield it.
    """
    try:
        values.check_value(value)
    except ValueError as error:
        raise InvalidInput("value in a collection", quote(value), str(error)) from error
    return json.dumps(values.to_jsonable(value), ensure_ascii=False).encode()


def load(body: bytes) -> Any:
    """Return the value of a stored item."""
    return values.from_jsonable(json.loads(body))


def reference(workflow: str, entity: AnyEntity) -> Reference:
    """Return the reference to an entity.

    Raises:
        InvalidInput: It belongs to another workflow.
    """
    if entity.workflow_name != workflow:
        where = label(entity.workflow_name, name_of(entity))
        raise InvalidInput("entity in a collection", where, f"is not of workflow {workflow}")
    return {"kind": KINDS[type(entity)], "name": name_of(entity) or workflow}


def child(workflow: str, entity: AnyEntity) -> str:
    """Return the name of the child that stands for an entity; raises as ``reference``."""
    named = reference(workflow, entity)
    return f"{named['kind']}:{named['name']}"


def reference_of(child_name: str) -> Reference | None:
    """Return the reference to the entity of a child, or None if it has no entity."""
    kind, colon, name = child_name.partition(":")
    return {"kind": kind, "name": name} if colon and kind in _KIND_OF else None


def entity(store: Store, workflow: str, item: Value) -> AnyEntity:
    """Return the present state of the entity that an item refers to.

    Raises:
        InvalidInput: It is not a reference.
        NotFound: The entity does not exist.
    """
    fields: dict[Any, Value] = item if isinstance(item, dict) else {}
    kind = _KIND_OF.get(fields.get("kind", ""))
    if kind is None:
        raise InvalidInput("item of a collection", quote(item), "refers to no entity")
    found: AnyEntity
    found, _ = read(store, kind, workflow, None if kind is Workflow else fields.get("name"))
    return found
