"""Workflows, jobs, steps and handlers in a store, with references that always hold.

Every change is checked against everything that it depends on (``transactions.py``). Only a forced
deletion breaks references; ``Entities.fault`` says which.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

import msgspec

from jobx.entity_json import encode
from jobx.errors import (
    AlreadyExists,
    Conflict,
    EntryDamaged,
    InUse,
    InvalidInput,
    NotFound,
)
from jobx.kv import keys
from jobx.kv.entities.references import (
    KINDS,
    AnyEntity,
    E,
    check_deleted,
    check_stored,
    contents,
    key_of,
    label,
    name_of,
    read,
    read_all,
)
from jobx.kv.entities.stored_form import Current, as_stored, write_of
from jobx.kv.entities.transactions import ATTEMPTS, change
from jobx.kv.entities.versions import complete, handlers_state, version_of
from jobx.kv.entries import decoded
from jobx.kv.prefixes import scan
from jobx.kv.store import Delete, DeletePrefix, Put, Replace, Store, Write
from jobx.model import Handler, Job, Step, Workflow

_log = logging.getLogger(__name__)

T = TypeVar("T")
NameList: TypeAlias = list[str]  # the class below has a method named "list"
Steps: TypeAlias = list[Step]
Writes: TypeAlias = list[Write]
ListedEntities: TypeAlias = list[E]
Errors: TypeAlias = list[EntryDamaged]
#: Bytes that the entities of one page take in the store.
PAGE_BYTES: Final = 1 << 20
#: Entities that are read at once; each may be large.
_FEW: Final = 16
#: Unreadable entities that a page names.
MOST_DAMAGED: Final = 100


@dataclass(frozen=True, slots=True)
class WorkflowSnapshot:
    """A workflow and everything in it, by name, as it was at one instant."""

    workflow: Workflow
    jobs: dict[str, Job]
    steps: dict[str, Step]
    handlers: dict[str, Handler]


class Entities:
    """Typed access to the entities of a store.

    Every method raises InvalidInput for an invalid name, NotFound for an entity that does not
    exist (kinds "workflow", "job", "step", "handler"), and the errors of the store. Every change
    raises Conflict when others keep changing entities meanwhile.

    Attributes:
        store: The store.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    def get(self, kind: type[E], workflow: str, name: str | None = None) -> E:
        """Return an entity; for a workflow ``name`` is None."""
        entity, _ = read(self.store, kind, workflow, name)
        return entity

    def page(
        self,
        kind: type[E],
        workflow: str | None = None,
        after: str | None = None,
        limit: int | None = None,
        damaged: Errors | None = None,
    ) -> tuple[ListedEntities[E], str | None]:
        """Return a page of entities by name, and the cursor of the next page, or None.

        Args:
            kind: Their class.
            workflow: Only those of this workflow; None for all workflows. None for Workflow.
            after: Only those after this name (``workflow/name`` when no workflow is given).
            limit: Largest number of entities. A page takes ``PAGE_BYTES`` in the store at most, but
                has at least one entity.
            damaged: Collects the first errors of unreadable entities, instead of raising them.
        """
        found: dict[str, E] = {}
        left_bytes = PAGE_BYTES
        for name, size, entity in self._readable(kind, workflow, after, damaged):
            left_bytes -= size
            if found and (left_bytes < 0 or len(found) == limit):
                return [*found.values()], [*found][-1]
            found[name] = entity
        return [*found.values()], None

    def list(
        self, kind: type[E], workflow: str | None = None, damaged: Errors | None = None
    ) -> list[E]:
        """Return all entities of a kind by name, without a limit; see ``page``."""
        return [entity for *_, entity in self._readable(kind, workflow, None, damaged)]

    def _readable(
        self, kind: type[E], workflow: str | None, after: str | None, damaged: Errors | None
    ) -> Iterator[tuple[str, int, E]]:
        """Yield entities by name, each with its name and its size in the store."""
        if workflow is not None:
            read(self.store, Workflow, workflow)
        prefix = keys.entities(KINDS[kind], workflow)
        behind = None if after is None else prefix + after
        for entry in scan(self.store, prefix, after=behind, page=_FEW, damaged=damaged):
            try:
                yield entry.key.removeprefix(prefix), len(entry.value), decoded(kind, entry)
            except EntryDamaged as error:
                if damaged is None:
                    raise
                if len(damaged) < MOST_DAMAGED:
                    damaged.append(error)

    def create(self, entity: E) -> E:
        """Store a new entity and return it as stored.

        Raises:
            AlreadyExists: An entity of that name exists.
            NotFound: It refers to something that does not exist.
            InvalidInput: A field is wrong, or a handler is of another type than needed.
        """

        def check(current: Current | None) -> None:
            if current is not None:
                name = label(entity.workflow_name, name_of(entity))
                raise AlreadyExists(KINDS[type(entity)], name)

        return self._store_entity(entity, check)

    def put(self, entity: E) -> E:
        """Create or replace an entity and return it as stored. Otherwise raises as ``create``.

        Raises:
            InUse: A handler would change its type while steps use it.
        """
        return self._store_entity(entity, lambda _: None)

    def replace(self, entity: E, revision: int | None = None) -> E:
        """Replace an entity and return it as stored. Otherwise raises as ``put``.

        Args:
            entity: The new content.
            revision: Replace only this revision of it.

        Raises:
            NotFound: No entity has that name.
            Conflict: It has another revision.
        """

        def check(current: Current | None) -> None:
            name = label(entity.workflow_name, name_of(entity))
            if current is None:
                raise NotFound(KINDS[type(entity)], name)
            if revision is not None and current.revision != revision:
                raise Conflict(f"{KINDS[type(entity)]} {name}")

        return self._store_entity(entity, check)

    def delete(
        self, kind: type[E], workflow: str, name: str | None = None, *, force: bool = False
    ) -> NameList:
        """Remove an entity, and return what this broke.

        Args:
            kind: Its class.
            workflow: Its workflow.
            name: Its name; None for the workflow itself.
            force: Remove it even if something refers to it, and a workflow with everything in it.
                Returns the affected entities (``step files``, ``job count``); otherwise nothing.

        Raises:
            InUse: Something refers to it, or the workflow is not empty. An open request prevents
                a forced deletion, too.
        """

        def plan() -> tuple[Writes, NameList]:
            key = key_of(kind, workflow, name)
            current = self._find(key)
            if current is None:
                raise NotFound(KINDS[kind], label(workflow, name))
            broken = check_deleted(self.store, kind, workflow, name, force)
            writes: Writes = [Delete(key, current.revision)]
            if kind is Handler and name is not None:
                writes.append(self._handlers_state(workflow, {name: None}))
            elif kind is Workflow and broken:
                beside = keys.queue_items(workflow), keys.tree_children(workflow)
                prefixes = *(prefix for _, prefix in contents(workflow)), *beside
                writes += map(DeletePrefix, prefixes)
            return writes, broken

        return change(self.store, workflow, plan)

    def fault(self, entity: AnyEntity) -> str | None:
        """Return why an entity cannot work: a reference that is gone, changed or damaged."""
        try:
            check_stored(self.store, entity)
        except (NotFound, InvalidInput, InUse, EntryDamaged) as error:
            return str(error)
        return None

    def states(self) -> dict[str, bytes]:
        """Return, by workflow, the token that every change of one of its entities replaces.

        Workflows that were deleted a moment ago still have one.
        """
        found = scan(self.store, keys.ENTITIES_STATE)
        return {entry.key.removeprefix(keys.ENTITIES_STATE): entry.value for entry in found}

    def _state(self, workflow: str) -> bytes:
        entry = self.store.get(keys.entities_state(workflow))
        return entry.value if entry else b""

    def snapshot(
        self, workflow: str, faults: dict[tuple[str, str], EntryDamaged] | None = None
    ) -> WorkflowSnapshot:
        """Return a workflow and everything in it.

        Args:
            workflow: Its name.
            faults: Collects, by kind and name, why entities cannot be read, instead of an error.

        Raises:
            Conflict: Others keep changing entities.
        """
        for _ in range(ATTEMPTS):
            state = self._state(workflow)
            found = WorkflowSnapshot(
                self.get(Workflow, workflow),
                {job.job_name: job for job in read_all(self.store, Job, workflow, faults)},
                {step.step_name: step for step in read_all(self.store, Step, workflow, faults)},
                {
                    item.handler_name: item
                    for item in read_all(self.store, Handler, workflow, faults)
                },
            )
            if self._state(workflow) == state:
                return found
        raise Conflict(keys.entities_state(workflow))

    def _store_entity(self, entity: E, check: Callable[[Current | None], None]) -> E:
        # Decoding the stored form finds every wrong field now, and not when it is read.
        checked = as_stored(entity)
        workflow = checked.workflow_name
        key = key_of(type(checked), workflow, name_of(checked))

        def plan() -> tuple[Writes, E]:
            current = self._find(key)
            check(current)
            check_stored(self.store, checked)
            is_workflow = isinstance(checked, Workflow)
            state = self._state_of_handlers(workflow, {}) if is_workflow else None
            stored = complete(checked, state)
            writes = write_of(key, current, stored)
            return writes + self._beside(stored, is_changed=bool(writes)), stored

        return change(self.store, workflow, plan)

    def _find(self, key: str) -> Current | None:
        """Return an entity as it is stored, None when it is not; a damaged one is logged."""
        try:
            entry = self.store.get(key)
        except EntryDamaged as error:
            _log.warning("%s; replace or remove it", error)
            return Current(None, None)
        return None if entry is None else Current(entry.value, entry.revision)

    def _beside(self, entity: AnyEntity, is_changed: bool) -> Writes:
        """Return what is written together with an entity, beside its own change."""
        if not isinstance(entity, Handler):
            return []
        workflow, version = entity.workflow_name, entity.version or version_of(entity)
        key = keys.code(workflow, version)
        if not is_changed:
            current = self._find(key)
            return [] if current and current.value is not None else [Put(key, encode(entity))]
        state = self._handlers_state(workflow, {entity.handler_name: version})
        return [Put(key, encode(entity)), state]

    def _handlers_state(self, workflow: str, changes: dict[str, str | None]) -> Write:
        """Return the write of a workflow whose handlers change versions, None for removed."""
        before, entry = read(self.store, Workflow, workflow)
        after = msgspec.structs.replace(
            before, handlers_state=self._state_of_handlers(workflow, changes)
        )
        return Replace(entry.key, encode(after), entry.revision)

    def _state_of_handlers(self, workflow: str, changes: Mapping[str, str | None]) -> str | None:
        """Return the state of the handlers of a workflow, of those that are not damaged."""
        handlers = read_all(self.store, Handler, workflow, {})
        versions = {one.handler_name: one.version for one in handlers}
        return handlers_state({**versions, **changes})
