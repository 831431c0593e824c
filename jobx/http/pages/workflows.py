"""Pages of what is stored: a workflow with its jobs, steps and handlers, and one handler."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from falcon.asgi import Request, Response

from jobx.errors import NotFound
from jobx.http.pages import source_lines
from jobx.http.pages.ui import Ui
from jobx.http.writing import answer_memory
from jobx.model import check_name
from jobx.questions import GetEntity, ListEntities, ListVersions
from jobx.views import EntityPage

#: Sources up to this are shown, in characters and lines; more would hold up the web worker.
MAX_SOURCE: Final = 256 << 10
MAX_LINES: Final = 10_000
_LIMIT: Final = 200
_STAGES: Final = ("map_handler_name", "combine_handler_name", "reduce_handler_name")


async def workflow(ui: Ui, req: Request, resp: Response, workflow: str) -> None:
    """Answer with a workflow: what is in it, and who uses what."""
    check_name("workflow", workflow)
    limit = min(_LIMIT, ui.site.settings.max_page)
    answer_memory.hold_page(req, limit)
    found = await ui.node.call(GetEntity(kind="workflow", workflow=workflow, name=workflow))
    kinds = ("job", "step", "handler")
    jobs, steps, handlers = await asyncio.gather(*(_all(ui, kind, workflow) for kind in kinds))
    users = {one["handler_name"]: _users(steps, one["handler_name"]) for one in handlers.entities}
    ui.send(
        *(req, resp, "workflow.html"),
        workflow=found.entity,
        jobs=jobs,
        steps=steps,
        handlers=handlers,
        users=users,
        limit=limit,
    )


async def handler(ui: Ui, req: Request, resp: Response, workflow: str, name: str) -> None:
    """Answer with a handler: what it is, who uses it, and its source."""
    check_name("workflow", workflow)
    check_name("handler", name)
    answer_memory.hold_page(req, _LIMIT)
    found = await ui.node.call(GetEntity(kind="handler", workflow=workflow, name=name))
    steps = await _all(ui, "step", workflow)
    source = found.entity["source_code"]
    kept = await ui.node.call(ListVersions(workflow=workflow, name=name))
    other = _version(kept, req.get_param("version"))
    ui.send(
        *(req, resp, "handler.html"),
        handler=found.entity,
        users=_users(steps, name),
        source=_lines(source),
        versions=kept.entities,
        other=other,
        difference=other and source_lines.difference(other["source_code"], source),
    )


async def _all(ui: Ui, kind: str, workflow: str) -> EntityPage:
    limit = min(_LIMIT, ui.site.settings.max_page)
    return await ui.node.call(ListEntities(kind=kind, workflow=workflow, limit=limit))


def _lines(source: str) -> list[str] | None:
    """Return the lines of a source, None if it is too long to be shown."""
    if len(source) > MAX_SOURCE:
        return None
    lines = source.splitlines()
    return lines if len(lines) <= MAX_LINES else None


def _version(kept: EntityPage, version: str | None) -> dict[str, Any] | None:
    """Return the version that a query names, None if it names none.

    Raises:
        NotFound: It is not there, or not any more.
    """
    if version is None:
        return None
    for one in kept.entities:
        if one["version"] == version:
            return one
    raise NotFound("version", version[:80])


def _users(steps: EntityPage, name: str) -> list[str]:
    """Return the steps that use a handler."""
    return [
        one["step_name"] for one in steps.entities if name in [one.get(stage) for stage in _STAGES]
    ]
