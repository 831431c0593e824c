"""Checks references between entities in both directions. Reads only; the caller commits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any, Final, TypeAlias, TypeVar

from jobx.errors import EntryDamaged, InUse, InvalidInput, NotFound
from jobx.kv import keys
from jobx.kv.entries import decoded
from jobx.kv.prefixes import scan
from jobx.kv.requests import request_entity
from jobx.kv.store import Entry, Store
from jobx.model import Handler, HandlerType, Job, Step, Workflow, check_name

AnyEntity: TypeAlias = Workflow | Job | Step | Handler
E = TypeVar("E", bound=AnyEntity)

KINDS: Final[dict[type[Any], str]] = {
    Workflow: "workflow",
    Job: "job",
    Step: "step",
    Handler: "handler",
}
#: The field of a step that names its handler of a type.
HANDLER_FIELDS: Final[dict[HandlerType, str]] = {
    "mapper": "map_handler_name",
    "combiner": "combine_handler_name",
    "reducer": "reduce_handler_name",
}
#: How many users an InUse error names.
_NAMED: Final = 3


def key_of(kind: type[Any], workflow: str, name: str | None) -> str:
    """Return the key of an entity; ``name`` is None for a workflow.

    Raises:
        InvalidInput: One of the names is invalid.
    """
    check_name("workflow", workflow)
    if kind is Workflow:
        return keys.workflow(workflow)
    return keys.entity(KINDS[kind], workflow, check_name(KINDS[kind], name))


def contents(workflow: str) -> list[tuple[str, str]]:
    """Return the kinds of entities in a workflow, each with the prefix of its keys."""
    named = [(kind, keys.entities(kind, workflow)) for kind in ("job", "step", "handler")]
    return [*named, ("queue", keys.queues(workflow)), ("tree", keys.trees(workflow))]


def label(workflow: str, name: str | None) -> str:
    """Return what errors call an entity."""
    return workflow if name is None else f"{workflow}/{name}"


def name_of(entity: AnyEntity) -> str | None:
    """Return the name of an entity inside its workflow, None for the workflow itself."""
    if isinstance(entity, Workflow):
        return None
    name: str = getattr(entity, f"{KINDS[type(entity)]}_name")
    return name


def read(store: Store, kind: type[E], workflow: str, name: str | None = None) -> tuple[E, Entry]:
    """Return an entity and its entry in the store.

    Raises:
        NotFound: It does not exist.
        InvalidInput: One of the names is invalid.
    """
    entry = store.get(key_of(kind, workflow, name))
    if entry is None:
        raise NotFound(KINDS[kind], label(workflow, name))
    return decoded(kind, entry), entry


def read_all(
    store: Store,
    kind: type[E],
    workflow: str,
    faults: dict[tuple[str, str], EntryDamaged] | None = None,
) -> Iterator[E]:
    """Yield the entities of a kind in a workflow, by name.

    Args:
        store: Where they are.
        kind: Their class.
        workflow: Their workflow.
        faults: Collects, by kind and name, why entities cannot be read, instead of an error.
    """
    damaged: list[EntryDamaged] | None = None if faults is None else []
    for entry in scan(store, keys.entities(KINDS[kind], workflow), damaged=damaged):
        try:
            yield decoded(kind, entry)
        except EntryDamaged as error:
            if damaged is None:
                raise
            damaged.append(error)
    if faults is not None:
        faults |= {
            (KINDS[kind], error.args[0].rpartition("/")[2]): error for error in damaged or ()
        }


def check_stored(store: Store, entity: AnyEntity) -> None:
    """Check that the references of an entity exist and fit, and that its users stay valid.

    Raises:
        NotFound: The workflow, the initial step or a handler does not exist.
        InvalidInput: A handler is of another type than the step needs.
        InUse: The handler would change its type while steps use it.
    """
    if isinstance(entity, Workflow):
        return
    read(store, Workflow, entity.workflow_name)
    if isinstance(entity, Job):
        read(store, Step, entity.workflow_name, entity.initial_step_name)
    elif isinstance(entity, Step):
        _check_handlers(store, entity)
    else:
        others = {field for kind, field in HANDLER_FIELDS.items() if kind != entity.handler_type}
        users = _steps(store, entity.workflow_name, entity.handler_name, others)
        _refuse("handler", label(entity.workflow_name, entity.handler_name), users)


def check_deleted(
    store: Store, kind: type[Any], workflow: str, name: str | None, force: bool = False
) -> list[str]:
    """Check that an entity may be removed, and return what breaks or goes with it, by name.

    Without ``force`` this is nothing, or an error. With it, everything that refers to the entity
    is returned. Open requests of a workflow prevent its removal in both cases.

    Raises:
        InUse: Something refers to it; the error names the first few.
    """
    named = KINDS[kind], label(workflow, name)
    if not force:
        _refuse(*named, _users(store, kind, workflow, name))
        return []
    if kind is Workflow:
        _refuse(*named, _open_requests(store, workflow))
    return list(_users(store, kind, workflow, name))


def check_handler(
    store: Store, workflow: str, name: str, handler_type: HandlerType, where: str
) -> None:
    """Check that a handler exists and is of a type.

    Raises:
        NotFound: It does not exist.
        InvalidInput: It has another type; the error names ``where`` it was needed.
    """
    handler, _ = read(store, Handler, workflow, name)
    if handler.handler_type != handler_type:
        raise InvalidInput(where, name, f"it is a {handler.handler_type}, not a {handler_type}")


def _check_handlers(store: Store, step: Step) -> None:
    for handler_type, field in HANDLER_FIELDS.items():
        name = getattr(step, field)
        if name is not None:
            where = f"step {step.step_name}: {field}"
            check_handler(store, step.workflow_name, name, handler_type, where)


def _steps(
    store: Store, workflow: str, handler: str | None, fields: Iterable[str]
) -> Iterator[str]:
    for step in read_all(store, Step, workflow, {}):  # a damaged one works with no handler
        if any(getattr(step, field) == handler for field in fields):
            yield f"step {step.step_name}"


def _users(store: Store, kind: type[AnyEntity], workflow: str, name: str | None) -> Iterator[str]:
    """Yield what refers to an entity, or is in it, as far as it is not damaged."""
    if kind is Workflow:
        yield from _held(store, workflow)
    elif kind is Step:
        for job in read_all(store, Job, workflow, {}):
            if job.initial_step_name == name:
                yield f"job {job.job_name}"
    elif kind is Handler:
        yield from _steps(store, workflow, name, HANDLER_FIELDS.values())


def _held(store: Store, workflow: str) -> Iterator[str]:
    for noun, prefix in contents(workflow):
        damaged: list[EntryDamaged] = []
        found = (entry.key for entry in scan(store, prefix, damaged=damaged))
        for key in chain(found, (error.args[0] for error in damaged)):
            name = key.removeprefix(prefix)
            if key.startswith(prefix) and "/" not in name:  # otherwise it is in a collection
                yield f"{noun} {name}"
    yield from _open_requests(store, workflow)


def _open_requests(store: Store, workflow: str) -> Iterator[str]:
    for request_id in request_entity.open_in(store, workflow, _NAMED + 1):
        yield f"open request {request_id}"


def _refuse(noun: str, name: str, users: Iterable[str]) -> None:
    named = list(islice(users, _NAMED + 1))
    if named:
        by = ", ".join(named[:_NAMED]) + (" and others" if len(named) > _NAMED else "")
        raise InUse(noun, name, by)
