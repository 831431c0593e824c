"""Writes a whole workflow to a store: all of it or nothing, if one transaction can have it.

A store with small transactions takes a large workflow in pieces, each with a whole number of
entities, in an order in which nothing refers to what is not there. The workflow itself is last, so
a new one exists only when it is complete. An import that ends early is completed by a repetition.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import msgspec

from jobx.errors import AlreadyExists, TooLarge
from jobx.kv import keys
from jobx.kv.entities.entities import WorkflowSnapshot
from jobx.kv.entities.references import KINDS, AnyEntity, key_of, name_of
from jobx.kv.entities.transactions import change, change_in_pieces, check_size
from jobx.kv.entities.versions import handlers_state, version_of
from jobx.kv.prefixes import scan
from jobx.kv.store import Create, Delete, Entry, Put, Replace, Store, Write
from jobx.model import Handler, encode

ImportAction: TypeAlias = Literal["added", "updated", "removed"]

#: The order of pieces: what others refer to is added first and removed last.
_ORDER: Final = (
    *("handler", "step", "job"),
    *("removed job", "removed step", "removed handler"),
    "workflow",
)


@dataclass(frozen=True, slots=True)
class ImportRow:
    """The change of one entity. An unchanged entity has no row."""

    kind: str
    name: str
    action: ImportAction


@dataclass(frozen=True, slots=True)
class _Change:
    """The change of one entity, and the writes that make it."""

    row: ImportRow
    writes: list[Write]

    @property
    def rank(self) -> int:
        """Its place among pieces."""
        prefix = "removed " if self.row.action == "removed" else ""
        return _ORDER.index(prefix + self.row.kind)


def import_workflow(
    store: Store, wanted: WorkflowSnapshot, *, replace: bool = False, simulate: bool = False
) -> list[ImportRow]:
    """Make a workflow equal to ``wanted``, and return the changes.

    Running requests keep the code that they started with.

    Args:
        store: The store.
        wanted: The workflow; the caller has checked its references.
        replace: A workflow of that name may exist; entities that are not wanted are removed.
        simulate: Change nothing.

    Raises:
        AlreadyExists: The workflow exists, and ``replace`` is false.
        TooLarge: One entity is larger than a transaction of the store.
        Conflict: Others keep changing entities.
    """
    workflow = wanted.workflow.workflow_name

    def plan() -> tuple[list[Write], list[_Change]]:
        changes = _changes(store, wanted, replace)
        return [] if simulate else _writes(changes), changes

    try:
        changes = change(store, workflow, plan)
    except TooLarge:
        changes = plan()[1]
        for one in changes:  # before the first piece: it is not taken back
            check_size(store, workflow, one.writes)

        def left() -> list[list[Write]]:
            found = sorted(_changes(store, wanted, replace), key=lambda one: one.rank)
            return [one.writes for one in found]

        change_in_pieces(store, workflow, left)
    return [one.row for one in changes]


def _changes(store: Store, wanted: WorkflowSnapshot, replace: bool) -> list[_Change]:
    """Return what differs between a stored workflow and the wanted one."""
    workflow = wanted.workflow.workflow_name
    stored = {entry.key: entry for entry in _stored(store, workflow)}
    if keys.workflow(workflow) in stored and not replace:
        raise AlreadyExists("workflow", workflow)
    changes: list[_Change] = []
    for entity in _completed(wanted):
        kind = KINDS[type(entity)]
        key = key_of(type(entity), workflow, name_of(entity))
        found = _write(key, stored.pop(key, None), entity)
        if found is not None:
            row = ImportRow(kind, name_of(entity) or workflow, found[0])
            changes.append(_Change(row, found[1]))
    for key in stored:
        _, kind, _, name = key.split("/")
        changes.append(_Change(ImportRow(kind, name, "removed"), [Delete(key)]))
    return changes


def _writes(changes: Iterable[_Change]) -> list[Write]:
    return [write for one in changes for write in one.writes]


def _stored(store: Store, workflow: str) -> Iterable[Entry]:
    found = store.get(keys.workflow(workflow))
    if found is not None:
        yield found
    for kind in ("job", "step", "handler"):  # without a workflow: an import that ended early
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
