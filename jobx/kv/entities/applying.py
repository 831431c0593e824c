"""Makes a stored workflow what somebody wants, all of it or nothing if one transaction can have it.

``compare`` is pure: it says what differs. A store with small transactions takes many changes in
pieces, each with a whole number of entities, in an order in which nothing refers to what is not
there. A new workflow itself is last, so it exists only when it is complete. What ended early is
completed by a repetition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import msgspec

from jobx.entity_json import encode
from jobx.errors import EntryDamaged, InUse, TooLarge
from jobx.kv import keys
from jobx.kv.entities.entities import WorkflowSnapshot
from jobx.kv.entities.references import HANDLER_FIELDS, KINDS, AnyEntity, key_of, label, name_of
from jobx.kv.entities.transactions import change, change_in_pieces, check_size
from jobx.kv.entities.versions import handlers_state, version_of
from jobx.kv.entries import decoded
from jobx.kv.prefixes import scan
from jobx.kv.store import Create, Delete, Entry, Put, Replace, Store, Write
from jobx.model import Handler, Step

Action: TypeAlias = Literal["added", "updated", "removed", "kept"]
#: Entities by key; None for one that cannot be read.
Stored: TypeAlias = Mapping[str, AnyEntity | None]

_CLASSES: Final = {noun: kind for kind, noun in KINDS.items()}
#: The order of pieces: what others refer to is added first and removed last.
_ORDER: Final = (
    *("handler", "step", "job"),
    *("removed job", "removed step", "removed handler"),
    "workflow",
)


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one entity. An unchanged one has none.

    Attributes:
        kind: Its class, as a word.
        name: Its name.
        action: What is done; ``kept``: it is not wanted, and stays.
        before: As it is stored; None: it is not, or it cannot be read.
        after: As it is wanted.
    """

    kind: str
    name: str
    action: Action
    before: AnyEntity | None = None
    after: AnyEntity | None = None

    @property
    def rank(self) -> int:
        """Its place among pieces."""
        prefix = "removed " if self.action == "removed" else ""
        return _ORDER.index(prefix + self.kind)


def compare(stored: Stored, wanted: WorkflowSnapshot, *, prune: bool = False) -> list[Change]:
    """Return what makes a stored workflow the wanted one; first the workflow, then what it has.

    Args:
        stored: The entities of the workflow that are stored.
        wanted: The workflow; the caller has checked its references.
        prune: Remove entities that are not wanted.

    Raises:
        InUse: An entity that is kept would be broken.
    """
    workflow = wanted.workflow.workflow_name
    after = _completed(wanted)
    left = {key: entity for key, entity in stored.items() if key not in after}
    left.pop(keys.workflow(workflow), None)
    final = after if prune else {**left, **after}
    handlers = [entity for entity in final.values() if isinstance(entity, Handler)]
    if not prune:
        _check_kept(workflow, left, {one.handler_name: one for one in handlers})
    state = handlers_state({one.handler_name: one.version for one in handlers})
    own = msgspec.structs.replace(wanted.workflow, handlers_state=state)
    after = {keys.workflow(workflow): own, **after}
    changes = (_change(key, stored, entity) for key, entity in after.items())
    action: Action = "removed" if prune else "kept"
    gone = [Change(*_named(key), action, entity) for key, entity in sorted(left.items())]
    return [*filter(None, changes), *gone]


def apply_workflow(
    store: Store,
    wanted: WorkflowSnapshot,
    *,
    prune: bool = False,
    simulate: bool = False,
    tell: Callable[[Sequence[Change]], None] = lambda _: None,
) -> list[Change]:
    """Make a workflow what is wanted, and return the changes.

    Running requests keep the code that they started with. What is stored when the change is
    committed counts, so that of two calls at the same time the later one builds on the other.

    Args:
        store: The store.
        wanted: The workflow; the caller has checked its references.
        prune: Remove entities that are not wanted; otherwise they are kept.
        simulate: Change nothing.
        tell: Gets the changes that have been made, after each commit.

    Raises:
        InUse: An entity that is kept would be broken.
        TooLarge: One entity is larger than a transaction of the store.
        Conflict: Others keep changing entities.
    """
    workflow = wanted.workflow.workflow_name

    def plan() -> tuple[list[Write], list[Change]]:
        changes, writes = _look(store, wanted, prune)
        return [] if simulate else [write for unit in writes for write in unit], changes

    try:
        changes = change(store, workflow, plan)
    except TooLarge:
        changes = _apply_in_pieces(store, wanted, prune, tell)
    else:
        if not simulate:
            tell(changes)
    return changes


def _apply_in_pieces(
    store: Store,
    wanted: WorkflowSnapshot,
    prune: bool,
    tell: Callable[[Sequence[Change]], None],
) -> list[Change]:
    workflow = wanted.workflow.workflow_name
    changes, units = _look(store, wanted, prune)
    for unit in units:  # before the first piece: it is not taken back
        check_size(store, workflow, unit)

    def left() -> list[tuple[Change, list[Write]]]:
        found = [pair for pair in zip(*_look(store, wanted, prune), strict=True) if pair[1]]
        return sorted(found, key=lambda pair: pair[0].rank)

    change_in_pieces(store, workflow, left, tell)
    return changes


def _look(
    store: Store, wanted: WorkflowSnapshot, prune: bool
) -> tuple[list[Change], list[list[Write]]]:
    """Return what differs now, and the writes of each change."""
    workflow = wanted.workflow.workflow_name
    entries = dict(_entries(store, workflow))
    changes = compare(
        {key: _read(key, entry) for key, entry in entries.items()}, wanted, prune=prune
    )
    return changes, [_writes(workflow, one, entries) for one in changes]


def _entries(store: Store, workflow: str) -> Iterator[tuple[str, Entry | None]]:
    """Yield the entries of a workflow by key, None for one that is damaged."""
    damaged: list[EntryDamaged] = []
    key = keys.workflow(workflow)
    try:
        found = store.get(key)
        if found is not None:
            yield key, found
    except EntryDamaged as error:
        damaged.append(error)
    for kind in ("handler", "step", "job"):  # without a workflow: what ended early
        for entry in scan(store, keys.entities(kind, workflow), damaged=damaged):
            yield entry.key, entry
    for fault in damaged:
        yield fault.args[0], None


def _read(key: str, entry: Entry | None) -> AnyEntity | None:
    try:
        return None if entry is None else decoded(_CLASSES[_named(key)[0]], entry)
    except EntryDamaged:
        return None


def _named(key: str) -> tuple[str, str]:
    """Return the kind and the name of the entity under a key."""
    return key.split("/")[1], key.rpartition("/")[2]


def _completed(wanted: WorkflowSnapshot) -> dict[str, AnyEntity]:
    """Return what a workflow has, by key, with its computed fields."""
    workflow = wanted.workflow.workflow_name
    handlers = [
        msgspec.structs.replace(handler, version=version_of(handler))
        for handler in wanted.handlers.values()
    ]
    entities: list[AnyEntity] = [*handlers, *wanted.steps.values(), *wanted.jobs.values()]
    return {key_of(type(one), workflow, name_of(one)): one for one in entities}


def _check_kept(workflow: str, kept: Stored, handlers: Mapping[str, Handler]) -> None:
    for step in kept.values():
        if not isinstance(step, Step):
            continue
        for handler_type, field in HANDLER_FIELDS.items():
            handler = handlers.get(getattr(step, field) or "")
            if handler is not None and handler.handler_type != handler_type:
                users = f"step {step.step_name} as a {handler_type}, which is kept"
                raise InUse("handler", label(workflow, handler.handler_name), users)


def _change(key: str, stored: Stored, after: AnyEntity) -> Change | None:
    before = stored.get(key)
    if key not in stored:
        return Change(*_named(key), "added", None, after)
    if before is not None and _canonical(before) == _canonical(after):
        return None
    return Change(*_named(key), "updated", before, after)


def _canonical(entity: AnyEntity) -> bytes:
    return msgspec.json.encode(entity, order="sorted")


def _writes(workflow: str, one: Change, entries: Mapping[str, Entry | None]) -> list[Write]:
    """Return the writes that make a change."""
    is_workflow = one.kind == "workflow"
    key = keys.workflow(workflow) if is_workflow else keys.entity(one.kind, workflow, one.name)
    if one.action == "removed":
        return [Delete(key)]
    if one.after is None:
        return []
    body, entry = encode(one.after), entries.get(key)
    writes: list[Write] = [Create(key, body) if key not in entries else Put(key, body)]
    if entry is not None:
        writes = [Replace(key, body, entry.revision)]
    if isinstance(one.after, Handler):
        writes.append(Put(keys.code(workflow, one.after.version or ""), body))
    return writes
