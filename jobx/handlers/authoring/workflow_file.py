"""A workflow as one file: readable JSON that is easy to compare and always has the same bytes.

    {"format": "jobx-workflow", "version": 1,
     "workflow": {"workflow_name": …, "description": …},
     "jobs": […], "steps": […], "handlers": […]}

Entities are sorted by name. They have all their fields except those that follow from the rest: the
name of the workflow, the versions of handlers.
"""

from __future__ import annotations

import json
from typing import Any, Final, TypeVar

import msgspec

from jobx import model, values
from jobx.errors import InvalidInput, TooLarge, quote
from jobx.handlers.authoring import source
from jobx.kv.entities.entities import WorkflowSnapshot
from jobx.kv.entities.references import HANDLER_FIELDS
from jobx.model import Handler, Job, Step, Workflow, check_name

E = TypeVar("E", Job, Step, Handler)

FORMAT: Final = "jobx-workflow"
VERSION: Final = 1
#: Largest file that is accepted.
MAX_FILE_BYTES: Final = 64 << 20

_COMPUTED: Final = ("workflow_name", "version")


class _Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: str
    version: int
    workflow: dict[str, Any]
    jobs: list[dict[str, Any]]
    steps: list[dict[str, Any]]
    handlers: list[dict[str, Any]]


def dump(snapshot: WorkflowSnapshot) -> bytes:
    """Return a workflow as the bytes of its file; equal workflows give equal bytes."""
    workflow = snapshot.workflow
    names = {"workflow_name": workflow.workflow_name, "description": workflow.description}
    document = _Document(
        format=FORMAT,
        version=VERSION,
        workflow=names,
        jobs=_fields(snapshot.jobs),
        steps=_fields(snapshot.steps),
        handlers=_fields(snapshot.handlers),
    )
    text = json.dumps(msgspec.to_builtins(document), indent=2, ensure_ascii=False)
    return f"{text}\n".encode()


def load(body: bytes, name: str | None = None) -> WorkflowSnapshot:
    """Return the workflow in a file, after a check of its fields, references and sources.

    Args:
        body: The bytes of the file.
        name: A name for the workflow instead of the one in the file.

    Raises:
        InvalidInput: Something in the file is wrong; the error names the entity and the field.
        TooLarge: The file is larger than MAX_FILE_BYTES.
    """
    document = _parse(body)
    fields = document.workflow if name is None else {**document.workflow, "workflow_name": name}
    workflow = model.convert(Workflow, "file, workflow", {"handlers_state": None, **fields})
    check_name("file, workflow", workflow.workflow_name)
    snapshot = WorkflowSnapshot(
        msgspec.structs.replace(workflow, handlers_state=None),
        _entities(Job, workflow.workflow_name, document.jobs),
        _entities(Step, workflow.workflow_name, document.steps),
        _entities(Handler, workflow.workflow_name, document.handlers),
    )
    _check_references(snapshot)
    for handler in snapshot.handlers.values():
        source.check(handler)
    return snapshot


def _fields(entities: dict[str, E]) -> list[dict[str, Any]]:
    plain = (msgspec.to_builtins(entities[name]) for name in sorted(entities))
    return [{k: v for k, v in fields.items() if k not in _COMPUTED} for fields in plain]


def _parse(body: bytes) -> _Document:
    if len(body) > MAX_FILE_BYTES:
        reason = f"must not be larger than {MAX_FILE_BYTES} bytes"
        raise TooLarge("file", f"{len(body)} bytes", reason)
    try:
        found = values.read_json(body.decode("utf-8-sig"))
    except ValueError as error:
        raise InvalidInput("file", quote(body), f"is not JSON: {error}") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise InvalidInput("file", quote(found), f'must have the format "{FORMAT}"')
    if found.get("version") != VERSION:
        reason = f"this JobX reads version {VERSION}"
        raise InvalidInput("file, version", quote(found.get("version")), reason)
    return model.convert(_Document, "file", found)


def _entities(kind: type[E], workflow: str, described: list[dict[str, Any]]) -> dict[str, E]:
    noun = kind.__name__.lower()
    found: dict[str, E] = {}
    for number, fields in enumerate(described):
        where = f"file, {noun}s[{number}]"
        name = check_name(f"{where}.{noun}_name", fields.get(f"{noun}_name"))
        where = f"file, {noun} {name}"
        for field in _COMPUTED:
            if field in fields:
                raise InvalidInput(f"{where}, {field}", quote(fields[field]), "must not be given")
        if name in found:
            raise InvalidInput(where, quote(name), "is repeated")
        found[name] = model.convert(kind, where, {**fields, "workflow_name": workflow})
    return found


def _check_references(snapshot: WorkflowSnapshot) -> None:
    for job in snapshot.jobs.values():
        if job.initial_step_name not in snapshot.steps:
            where = f"file, job {job.job_name}, initial_step_name"
            raise InvalidInput(where, quote(job.initial_step_name), "the file has no such step")
    for step in snapshot.steps.values():
        _check_handlers(step, snapshot.handlers)


def _check_handlers(step: Step, handlers: dict[str, Handler]) -> None:
    for handler_type, field in HANDLER_FIELDS.items():
        name = getattr(step, field)
        where = f"file, step {step.step_name}, {field}"
        if name is None:
            continue
        if name not in handlers:
            raise InvalidInput(where, quote(name), "the file has no such handler")
        if handlers[name].handler_type != handler_type:
            reason = f"it is a {handlers[name].handler_type}, not a {handler_type}"
            raise InvalidInput(where, quote(name), reason)
