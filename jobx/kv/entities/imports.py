"""Writes a whole workflow to a store at once: all of it or nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import msgspec

from jobx.errors import AlreadyExists
from jobx.kv import keys
from jobx.kv.entities.entities import WorkflowSnapshot
from jobx.kv.entities.references import KINDS, AnyEntity, key_of, name_of
from jobx.kv.entities.transactions import change
from jobx.kv.entities.versions import handlers_state, version_of
from jobx.kv.prefixes import scan
from jobx.kv.store import Create, Delete, Entry, Put, Replace, Store, Write
from jobx.model import Handler, encode

ImportAction: TypeAlias = Literal["added", "updated", "removed"]


@dataclass(frozen=True, slots=True)
class ImportRow:
    """The change of one entity. An unchanged entity has no row."""

    kind: str
    name: str
    action: ImportAction


def import_workflow(
    store: Store, wanted: WorkflowSnapshot, *, replace: bool = False, simulate: bool = False
) -> list[ImportRow]:
    """Make a workflow equal to ``wanted`` in one commit, and return the changes.

    Running requests keep the code that they started with.

    Args:
        store: The store.
        wanted: The workflow; the caller has checked its references.
        replace: A workflow of that name may exist; entities that are not wanted are removed.
        simulate: Change nothing.

    Raises:
        AlreadyExists: The workflow exists, and ``replace`` is false.
        Conflict: Others keep changing entities.
    """
    workflow = wanted.workflow.workflow_name

    def plan() -> tuple[list[Write], list[ImportRow]]:
        stored = {entry.key: entry for entry in _stored(store, workflow)}
        if stored and not replace:
            raise AlreadyExists("workflow", workflow)
        writes: list[Write] = []
        rows: list[ImportRow] = []
        for entity in _completed(wanted):
            kind = KINDS[type(entity)]
            key = key_of(type(entity), workflow, name_of(entity))
            found = _write(key, stored.pop(key, None), entity)
            if found is not None:
                rows.append(ImportRow(kind, name_of(entity) or workflow, found[0]))
                writes += found[1]
        for key in stored:
            _, kind, _, name = key.split("/")
            rows.append(ImportRow(kind, name, "removed"))
            writes.append(Delete(key))
        return [] if simulate else writes, rows

    return change(store, workflow, plan)


def _stored(store: Store, workflow: str) -> Iterable[Entry]:
    found = store.get(keys.workflow(workflow))
    if found is not None:
        yield found
        for kind in ("job", "step", "handler"):
            yield from scan(store, keys.entities(kind, workflow))


def _completed(wanted: WorkflowSnapshot) -> Iterable[AnyEntity]:
    """Yield all entities with their computed fields."""
    handlers = [
        msgspec.structs.replace(handler, version=version_of(handler))
        for handler in wanted.handlers.values()
    ]
    state = handlers_state({one.handler_name: one.version for one in handlers})
    yield msgspec.structs.replace(wanted.workflow, handlers_state=state)
    yield from handlers
    yield from wanted.steps.values()
    yield from wanted.jobs.values()


def _write(
    key: str, stored: Entry | None, entity: AnyEntity
) -> tuple[ImportAction, list[Write]] | None:
    """Return the write that makes a stored entity equal to the wanted one, or None."""
    body = encode(entity)
    if stored is not None and stored.value == body:
        return None
    beside: list[Write] = []
    if isinstance(entity, Handler):
        beside.append(Put(keys.code(entity.workflow_name, entity.version or ""), body))
    if stored is None:
        return "added", [Create(key, body), *beside]
    return "updated", [Replace(key, body, stored.revision), *beside]
