"""Creates, reads, replaces and deletes workflows, jobs, steps and handlers.

The node checks the fields, as for the command line; this module only combines names.
Every function takes the kind of the entity first.
"""

from __future__ import annotations

from typing import Any, TypedDict

import msgspec
from falcon.asgi import Request, Response

from jobx import values
from jobx.errors import InvalidInput, quote
from jobx.http.reading import bodies, headers
from jobx.http.resources.site import Site
from jobx.http.writing import answer_memory, results
from jobx.model import check_name
from jobx.questions import (
    CreateEntity,
    DeleteEntity,
    GetEntity,
    ListEntities,
    ListVersions,
    PutEntity,
)


class _Key(TypedDict):
    kind: str
    workflow: str
    name: str


async def list_page(
    kind: str, site: Site, req: Request, resp: Response, workflow: str | None = None
) -> None:
    """Answer with a page of entities, by name."""
    question = ListEntities(
        kind=kind,
        workflow=workflow and check_name("workflow", workflow),
        after=cursor(kind, req.get_param("after"), workflow),
        limit=headers.page_limit(req, site.settings.max_page),
    )
    answer_memory.hold_page(req, question.limit)
    results.send_json(resp, await site.node.call(question))


async def create(
    kind: str, site: Site, req: Request, resp: Response, workflow: str | None = None
) -> None:
    """Create an entity."""
    await _find_workflow(site, req, workflow)
    fields = await bodies.entity(req, site.settings)
    if workflow is not None:
        _put_name(fields, "workflow_name", check_name("workflow", workflow))
    name = check_name(f"{kind}_name", fields.get(f"{kind}_name"))
    answer = await site.node.call(CreateEntity(kind=kind, fields=_packed(fields)))
    resp.set_header("Location", f"{req.path.rstrip('/')}/{name}")
    results.send_json(resp, answer.entity, 201)


async def read(kind: str, site: Site, _: Request, resp: Response, **names: str) -> None:
    """Answer with an entity."""
    answer = await site.node.call(GetEntity(**_key(kind, **names)))
    results.send_json(resp, answer.entity)


async def versions(site: Site, req: Request, resp: Response, workflow: str, name: str) -> None:
    """Answer with the versions of a handler that are still there, the last written first."""
    key = _key("handler", workflow, name)
    answer_memory.hold(req, answer_memory.PAGE_BYTES)
    question = ListVersions(workflow=key["workflow"], name=key["name"])
    results.send_json(resp, await site.node.call(question))


async def put(kind: str, site: Site, req: Request, resp: Response, **names: str) -> None:
    """Create or replace an entity."""
    key = _key(kind, **names)
    await _find_workflow(site, req, None if kind == "workflow" else key["workflow"])
    fields = await bodies.entity(req, site.settings)
    _put_name(fields, "workflow_name", key["workflow"])
    _put_name(fields, f"{kind}_name", key["name"])
    answer = await site.node.call(PutEntity(kind=kind, fields=_packed(fields)))
    results.send_json(resp, answer.entity)


async def delete(kind: str, site: Site, req: Request, resp: Response, **names: str) -> None:
    """Delete an entity; with ``?force=true`` even if it is in use, and list what that broke."""
    force = headers.flag(req, "force") or False
    answer = await site.node.call(DeleteEntity(**_key(kind, **names), force=force))
    if force:
        results.send_json(resp, answer)
    else:
        resp.status = 204


def cursor(kind: str, after: str | None, workflow: str | None) -> str | None:
    """Return the cursor of a page: the name that it ended with.

    Raises:
        InvalidInput: It is none.
    """
    if after is None:
        return None
    try:
        for name in [after] if workflow or kind == "workflow" else after.split("/"):
            check_name(kind, name)
    except InvalidInput as error:
        reason = "is no cursor: give `next` of the page before"
        raise InvalidInput("query parameter after", quote(after), reason) from error
    return after


def _key(kind: str, workflow: str, name: str | None = None) -> _Key:
    check_name("workflow", workflow)
    if name is not None:
        check_name(kind, name)
    return {"kind": kind, "workflow": workflow, "name": name or workflow}


async def _find_workflow(site: Site, req: Request, workflow: str | None) -> None:
    """Check, for a client that waits to hear whether its body is of use, that there is a workflow.

    Raises:
        NotFound: It does not exist.
    """
    if workflow is not None and req.get_header("Expect"):
        name = check_name("workflow", workflow)
        await site.node.call(GetEntity(kind="workflow", workflow=name, name=name))


def _packed(fields: dict[str, Any]) -> msgspec.Raw:
    return msgspec.Raw(values.pack(fields))


def _put_name(fields: dict[str, Any], field: str, name: str) -> None:
    """Add a name from the address to the fields, which may have it already."""
    if fields.setdefault(field, name) != name:
        reason = f"is not the {name} of the address"
        raise InvalidInput(f"body.{field}", repr(fields[field])[:80], reason)
