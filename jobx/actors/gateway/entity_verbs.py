"""What can be asked of a node about workflows, jobs, steps and handlers: verbs of its gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from jobx import model
from jobx.actors.egress.writers.registry import Writers
from jobx.actors.inspection.view_builders import plain
from jobx.config import Settings
from jobx.errors import DeadlineExceeded, InvalidInput
from jobx.handlers.authoring import source
from jobx.handlers.authoring.library import Library
from jobx.handlers.trial.examples import check_examples
from jobx.kv.entities.entities import Entities
from jobx.kv.store import Store

Body: TypeAlias = dict[str, Any]
T = TypeVar("T")

#: How long checks and examples of a handler may take, in all: less than those who ask wait.
CHECK_S: Final = 25.0

_KINDS: Final[dict[str, type[Any]]] = {
    "workflow": model.Workflow,
    "job": model.Job,
    "step": model.Step,
    "handler": model.Handler,
}


class EntityVerbs:
    """Creates, changes and shows entities; what it changes is known to the node at once.

    Args:
        store: Where entities are.
        library: What the node knows of workflows.
        writers: Which result writers a job may name.
        settings: Limits of executors, for the examples of handlers.
        environ: The environment, likewise.
        threads: Where blocking work runs.
        trials: Where the examples of handlers run.
    """

    def __init__(
        self,
        store: Store,
        library: Library,
        writers: Writers,
        *,
        settings: Settings,
        environ: Mapping[str, str],
        threads: Executor,
        trials: Executor,
    ) -> None:
        self._entities = Entities(store)
        self._library = library
        self._writers = writers
        self._settings = settings
        self._environ = environ
        self._threads = threads
        self._trials = trials

    async def create(self, body: Body) -> Body:
        """Create an entity."""
        return await self._write(self._entities.create, body)

    async def put(self, body: Body) -> Body:
        """Create or replace an entity."""
        return await self._write(self._entities.put, body)

    async def get(self, body: Body) -> Body:
        """Return an entity."""
        return {"entity": plain(await self._read(_kind(body), body["workflow"], body["name"]))}

    async def list(self, body: Body) -> Body:
        """Return a page of entities of a class, by name."""
        kind, workflow, after, limit = _kind(body), body["workflow"], body["after"], body["limit"]

        def read() -> Body:
            found, cursor = self._entities.page(kind, workflow, after, limit)
            return {"entities": [plain(entity) for entity in found], "next": cursor}

        return await self._in_thread(read)

    async def delete(self, body: Body) -> Body:
        """Delete an entity that nothing refers to, or by ``force``; return what that broke."""
        kind, workflow, force = _kind(body), body["workflow"], body.get("force", False)
        name = None if kind is model.Workflow else body["name"]
        broken = await self._in_thread(
            lambda: self._entities.delete(kind, workflow, name, force=force)
        )
        await self._in_thread(self._library.refresh)
        return {"broken": broken}

    async def refresh(self, _: Body) -> Body:
        """Look now whether another process has changed entities; return whether one did."""
        return {"changed": await self._in_thread(self._library.refresh)}

    async def _write(self, write: Callable[[Any], object], body: Body) -> Body:
        kind = _kind(body)
        entity = model.convert(kind, body["kind"], body["fields"])
        if isinstance(entity, model.Handler):
            await self._try(entity)
        elif isinstance(entity, model.Job):
            await self._in_thread(lambda: self._writers.check(entity))
        await self._in_thread(lambda: write(entity))
        await self._in_thread(self._library.refresh)
        name = getattr(entity, f"{body['kind']}_name")
        return {"entity": plain(await self._read(kind, entity.workflow_name, name))}

    async def _try(self, handler: model.Handler) -> None:
        """Refuse what could be stored and could not run; who asks hears of it in time."""
        loop = asyncio.get_running_loop()
        tried = loop.run_in_executor(self._trials, self._check, handler)
        try:
            await asyncio.wait_for(tried, CHECK_S)
        except TimeoutError as error:
            what = f"checking handler {handler.handler_name}, which was not stored,"
            raise DeadlineExceeded(what, CHECK_S) from error

    def _check(self, handler: model.Handler) -> None:
        source.check(handler)
        check_examples(handler, self._settings, self._environ)

    async def _read(self, kind: type[Any], workflow: str, name: str | None) -> msgspec.Struct:
        wanted = None if kind is model.Workflow else name
        entity: msgspec.Struct = await self._in_thread(
            lambda: self._entities.get(kind, workflow, wanted)
        )
        return entity

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)


def _kind(body: Body) -> type[Any]:
    kind = _KINDS.get(body["kind"])
    if kind is None:
        reason = f"the kinds are {', '.join(_KINDS)}"
        raise InvalidInput("entity kind", repr(body["kind"])[:80], reason)
    return kind


ENTITY_VERBS: Final[dict[str, Callable[[EntityVerbs, Body], Awaitable[Body]]]] = {
    "entity.create": EntityVerbs.create,
    "entity.put": EntityVerbs.put,
    "entity.get": EntityVerbs.get,
    "entity.list": EntityVerbs.list,
    "entity.delete": EntityVerbs.delete,
    "library.refresh": EntityVerbs.refresh,
}
