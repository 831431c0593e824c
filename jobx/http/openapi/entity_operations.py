"""The operations of workflows, jobs, steps and handlers: the same for each kind."""

from __future__ import annotations

import functools
from typing import Final

from jobx.http.openapi import parameters as given
from jobx.http.openapi.operation import BODY, EVERY, Operation, Schema, ref
from jobx.http.resources import entities
from jobx.http.resources.site import Responder

#: The kinds of entities, by the names of their schemas.
ENTITIES: Final = ("Workflow", "Job", "Step", "Handler")

_BROKEN: Final[Schema] = {
    "type": "object",
    "required": ["broken"],
    "properties": {"broken": {"type": "array", "items": {"type": "string"}}},
}


def entity_operations() -> list[Operation]:
    """Return what reads and changes the parts of workflows."""
    versions = Operation(
        "get", "/workflow/{workflow}/handler/{name}/versions", "listVersions", entities.versions,
        "The versions of a handler that are still there, the last written first",
        {200: _page("Handler")}, has_tag=True,
    )  # fmt: skip
    return [versions, *(operation for kind in ENTITIES for operation in _of_kind(kind))]


def _of_kind(kind: str) -> list[Operation]:
    name, entity = kind.lower(), {200: ref(kind)}
    root = "/workflow" if kind == "Workflow" else f"/workflow/{{workflow}}/{name}"
    one = f"{root}/{{workflow}}" if kind == "Workflow" else f"{root}/{{name}}"
    changed = (*EVERY, *BODY, 409)

    def of(respond: Responder) -> Responder:
        return functools.partial(respond, name)

    return [
        Operation("get", root, f"list{kind}s", of(entities.list_page), f"List: {name}",
            {200: _page(kind)}, (given.LIMIT, given.AFTER), has_tag=True),
        Operation("post", root, f"create{kind}", of(entities.create), f"Create a {name}",
            {201: ref(kind)}, body=ref(f"New{kind}"), problems=changed),
        Operation("get", one, f"get{kind}", of(entities.read), f"Read a {name}",
            entity, has_tag=True),
        Operation("put", one, f"put{kind}", of(entities.put), f"Create or replace a {name}",
            entity, body=ref(f"{kind}Fields"), problems=changed),
        Operation("delete", one, f"delete{kind}", of(entities.delete),
            f"Delete a {name}; by force, and what that broke",
            {200: _BROKEN, 204: None}, (given.FORCE,), problems=(*EVERY, 409)),
    ]  # fmt: skip


def _page(kind: str) -> Schema:
    entities = {"type": "array", "items": ref(kind)}
    return {
        "type": "object",
        "required": ["entities", "next"],
        "properties": {
            "entities": entities,
            "next": {"type": ["string", "null"]},
            "unreadable": {"type": "array", "items": {"type": "string"}},
        },
    }
