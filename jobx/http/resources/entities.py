"""Workflows, jobs, steps and handlers: create, read, replace, delete.

The node checks the fields, as it does for the command line; here only names are put together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypedDict

import msgspec
from falcon.asgi import Request, Response

from jobx import values
from jobx.config import HttpSettings
from jobx.errors import InvalidInput
from jobx.http.node.client import NodePort
from jobx.http.reading import bodies, headers
from jobx.http.writing import held, results
from jobx.model import check_name
from jobx.questions import CreateEntity, DeleteEntity, GetEntity, ListEntities, PutEntity


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of entity.

    Attributes:
        name: What verbs and addresses call it.
        root: What the addresses of its entities start with; ``{workflow}`` is filled in.
    """

    name: str
    root: str

    @property
    def name_field(self) -> str:
        """The field that holds an entity's name."""
        return f"{self.name}_name"


WORKFLOW: Final = Kind("workflow", "/workflow")
KINDS: Final = (
    WORKFLOW,
    *(Kind(name, f"/workflow/{{workflow}}/{name}") for name in ("job", "step", "handler")),
)


class EntityList:
    """All entities of a kind: ``/workflow`` or ``/workflow/{workflow}/{kind}``."""

    def __init__(self, node: NodePort, settings: HttpSettings, kind: Kind) -> None:
        self._node = node
        self._settings = settings
        self._kind = kind

    async def on_get(self, req: Request, resp: Response, workflow: str | None = None) -> None:
        """Answer with a page of entities, by name."""
        asked = headers.query(req, "limit", "after")
        question = ListEntities(
            kind=self._kind.name,
            workflow=workflow and check_name("workflow", workflow),
            after=asked.get("after"),
            limit=headers.page_limit(asked, self._settings.max_page),
        )
        held.hold_page(req, question.limit)
        results.send_json(resp, await self._node.call(question))

    on_head = on_get

    async def on_post(self, req: Request, resp: Response, workflow: str | None = None) -> None:
        """Create an entity."""
        headers.query(req)
        fields = await bodies.entity(req, self._settings)
        if workflow is not None:
            _put_name(fields, "workflow_name", check_name("workflow", workflow))
        name = check_name(self._kind.name_field, fields.get(self._kind.name_field))
        question = CreateEntity(kind=self._kind.name, fields=_packed(fields))
        answer = await self._node.call(question)
        resp.set_header("Location", f"{self._kind.root.format(workflow=workflow)}/{name}")
        results.send_json(resp, answer.entity, 201)


class OneEntity:
    """One entity: ``/workflow/{name}`` or ``/workflow/{workflow}/{kind}/{name}``."""

    def __init__(self, node: NodePort, settings: HttpSettings, kind: Kind) -> None:
        self._node = node
        self._settings = settings
        self._kind = kind

    async def on_get(
        self, req: Request, resp: Response, workflow: str, name: str | None = None
    ) -> None:
        """Answer with the entity."""
        headers.query(req)
        question = GetEntity(kind=self._kind.name, **self._key(workflow, name))
        answer = await self._node.call(question)
        results.send_json(resp, answer.entity)

    on_head = on_get

    async def on_put(
        self, req: Request, resp: Response, workflow: str, name: str | None = None
    ) -> None:
        """Create or replace the entity."""
        headers.query(req)
        self._key(workflow, name)
        fields = await bodies.entity(req, self._settings)
        _put_name(fields, "workflow_name", workflow)
        if name is not None:
            _put_name(fields, self._kind.name_field, name)
        question = PutEntity(kind=self._kind.name, fields=_packed(fields))
        answer = await self._node.call(question)
        results.send_json(resp, answer.entity)

    async def on_delete(
        self, req: Request, resp: Response, workflow: str, name: str | None = None
    ) -> None:
        """Delete the entity; with ``?force=true`` though it is in use, and say what that broke."""
        force = headers.flag(req, "force")
        question = DeleteEntity(kind=self._kind.name, **self._key(workflow, name), force=force)
        answer = await self._node.call(question)
        if force:
            results.send_json(resp, answer)
        else:
            resp.status = 204

    def _key(self, workflow: str, name: str | None) -> _Key:
        check_name("workflow", workflow)
        if name is not None:
            check_name(self._kind.name, name)
        return {"workflow": workflow, "name": name or workflow}


class _Key(TypedDict):
    workflow: str
    name: str


def _packed(fields: dict[str, Any]) -> msgspec.Raw:
    return msgspec.Raw(values.pack(fields))


def _put_name(fields: dict[str, Any], field: str, name: str) -> None:
    """Take a name from the address into the fields, where it may stand already."""
    if fields.setdefault(field, name) != name:
        reason = f"is not the {name} of the address"
        raise InvalidInput(f"body.{field}", repr(fields[field])[:80], reason)
