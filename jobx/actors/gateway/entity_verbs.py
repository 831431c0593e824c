"""The verbs of workflows, jobs, steps and handlers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from jobx import entity_json, model, questions, values, views
from jobx.actors.egress.writers.registry import Writers
from jobx.actors.gateway.server import Table
from jobx.actors.inspection.view_builders import plain
from jobx.config import Settings
from jobx.errors import DeadlineExceeded, EntryDamaged, InvalidInput, quote
from jobx.handlers.authoring import source
from jobx.handlers.authoring.library import Library
from jobx.handlers.trial.examples import check_examples
from jobx.kv.entities.entities import Entities
from jobx.kv.entities.kept_versions import kept_versions

T = TypeVar("T")

#: Time for all checks and examples of a handler: less than its callers wait.
CHECK_S: Final = 25.0

_KINDS: Final[dict[str, type[Any]]] = {
    "workflow": model.Workflow,
    "job": model.Job,
    "step": model.Step,
    "handler": model.Handler,
}


@dataclass(frozen=True, slots=True)
class EntityVerbs:
    """Creates, changes and shows entities; the node knows each change at once.

    Attributes:
        entities: Where entities are.
        library: The workflows that the node knows.
        writers: Which result writers a job may name.
        settings: Limits of executors, for the examples of handlers.
        environ: The environment, likewise.
        threads: Where blocking work runs.
        trials: Where the examples of handlers run.
    """

    entities: Entities
    library: Library
    writers: Writers
    settings: Settings
    environ: Mapping[str, str]
    threads: Executor
    trials: Executor

    def table(self) -> Table:
        """Return what answers each kind of question."""
        return {
            questions.CreateEntity: self.create,
            questions.PutEntity: self.put,
            questions.GetEntity: self.get,
            questions.ListEntities: self.list,
            questions.ListVersions: self.versions,
            questions.DeleteEntity: self.delete,
            questions.RefreshLibrary: self.refresh,
        }

    async def create(self, asked: questions.CreateEntity) -> views.EntityView:
        """Create an entity."""
        return await self._write(self.entities.create, asked)

    async def put(self, asked: questions.PutEntity) -> views.EntityView:
        """Create or replace an entity."""
        return await self._write(self.entities.put, asked)

    async def get(self, asked: questions.GetEntity) -> views.EntityView:
        """Return an entity."""
        return await self._read(_kind(asked.kind), asked.workflow, asked.name)

    async def list(self, asked: questions.ListEntities) -> views.EntityPage:
        """Return a page of entities of a class, by name."""
        kind = _kind(asked.kind)

        def read() -> views.EntityPage:
            damaged: list[EntryDamaged] = []
            found, cursor = self.entities.page(
                kind, asked.workflow, asked.after, asked.limit, damaged=damaged
            )
            return views.EntityPage(
                entities=[plain(entity) for entity in found],
                next=cursor,
                unreadable=[str(error) for error in damaged],
            )

        return await self._in_thread(read)

    async def versions(self, asked: questions.ListVersions) -> views.EntityPage:
        """Return the versions of a handler that are still there."""

        def read() -> views.EntityPage:
            found = kept_versions(self.entities.store, asked.workflow, asked.name)
            return views.EntityPage(entities=[plain(handler) for handler in found])

        return await self._in_thread(read)

    async def delete(self, asked: questions.DeleteEntity) -> views.DeletionView:
        """Delete an unreferenced entity, or any by ``force``; return the broken references."""
        kind, workflow, force = _kind(asked.kind), asked.workflow, asked.force
        name = None if kind is model.Workflow else asked.name
        broken = await self._in_thread(
            lambda: self.entities.delete(kind, workflow, name, force=force)
        )
        await self._in_thread(self.library.refresh)
        return views.DeletionView(broken=broken)

    async def refresh(self, _: questions.RefreshLibrary) -> views.RefreshView:
        """Check now whether another process has changed entities; return whether one did."""
        return views.RefreshView(changed=await self._in_thread(self.library.refresh))

    async def _write(
        self, write: Callable[[Any], object], asked: questions.CreateEntity | questions.PutEntity
    ) -> views.EntityView:
        kind = _kind(asked.kind)
        entity = await self._in_thread(lambda: _entity(kind, asked))
        if isinstance(entity, model.Handler):
            await self._try(entity)
        elif isinstance(entity, model.Job):
            await self._in_thread(lambda: self.writers.check(entity))
        await self._in_thread(lambda: write(entity))
        await self._in_thread(self.library.refresh)
        name = getattr(entity, f"{asked.kind}_name")
        return await self._read(kind, entity.workflow_name, name)

    async def _try(self, handler: model.Handler) -> None:
        """Refuse a handler that could be stored but could not run."""
        loop = asyncio.get_running_loop()
        tried = loop.run_in_executor(self.trials, self._check, handler)
        try:
            await asyncio.wait_for(tried, CHECK_S)
        except TimeoutError as error:
            what = f"checking handler {handler.handler_name}, which was not stored,"
            raise DeadlineExceeded(what, CHECK_S) from error

    def _check(self, handler: model.Handler) -> None:
        source.check(handler)
        check_examples(handler, self.settings, self.environ)

    async def _read(self, kind: type[Any], workflow: str, name: str | None) -> views.EntityView:
        wanted = None if kind is model.Workflow else name
        found = await self._in_thread(lambda: self.entities.get(kind, workflow, wanted))
        return views.EntityView(entity=plain(found))

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.threads, call)


def _entity(kind: type[Any], asked: questions.CreateEntity | questions.PutEntity) -> Any:
    return entity_json.convert(kind, asked.kind, values.unpack(memoryview(asked.fields)))


def _kind(name: str) -> type[Any]:
    kind = _KINDS.get(name)
    if kind is None:
        raise InvalidInput("entity kind", quote(name), f"the kinds are {', '.join(_KINDS)}")
    return kind
