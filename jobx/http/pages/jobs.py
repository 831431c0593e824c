"""The page of a job: a form that runs it, and the same as commands."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from falcon.asgi import Request, Response

from jobx import values
from jobx.errors import InvalidInput, JobxError, NotFound, quote
from jobx.http.pages import commands, forms
from jobx.http.pages.ui import Ui
from jobx.http.reading import json_bodies
from jobx.http.resources import jobs
from jobx.meanings import meaning_of
from jobx.model import check_name
from jobx.questions import GetEntity
from jobx.values import Value

_PREFIX: Final = "argument."


@dataclass(frozen=True, slots=True)
class Field:
    """An argument as the form shows it."""

    name: str
    kind: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class _Job:
    """A job, its first mapper if that is there, and the arguments that this takes."""

    entity: dict[str, Any]
    mapper: str | None
    spec: list[tuple[str, str]]


async def show(ui: Ui, req: Request, resp: Response, workflow: str, job: str) -> None:
    """Answer with the form of a job."""
    _send(ui, req, resp, await _job(ui, workflow, job), {})


async def run(ui: Ui, req: Request, resp: Response, workflow: str, job: str) -> None:
    """Run a job as a form says, and lead to its request; or show the commands for it."""
    found = await _job(ui, workflow, job)
    given = await forms.fields(req, ui.site.settings)
    try:
        arguments = _arguments(found, given, ui.site.settings.max_depth)
        if given.get("do") == "show":
            _send(ui, req, resp, found, given, arguments=arguments)
            return
        request = await jobs.start(ui.site, req, workflow, job, arguments)
    except JobxError as error:
        meaning = meaning_of(type(error))
        _send(ui, req, resp, found, given, error=str(error), status=meaning.status)
        return
    resp.status = 303
    resp.set_header("Location", f"../../request/{workflow}/{request.request_id}")


async def _job(ui: Ui, workflow: str, job: str) -> _Job:
    check_name("workflow", workflow)
    check_name("job", job)

    async def get(kind: str, name: str) -> dict[str, Any]:
        asked = GetEntity(kind=kind, workflow=workflow, name=name)
        return (await ui.node.call(asked)).entity

    entity = await get("job", job)
    try:
        step = await get("step", entity["initial_step_name"])
        mapper = await get("handler", step["map_handler_name"])
    except NotFound:  # removed by force: the form still shows the job
        return _Job(entity, None, [])
    return _Job(entity, mapper["handler_name"], [tuple(one) for one in mapper["argument_spec"]])


def _send(
    ui: Ui,
    req: Request,
    resp: Response,
    found: _Job,
    given: Mapping[str, str],
    *,
    arguments: Mapping[str, Value] | None = None,
    error: str | None = None,
    status: int = 200,
) -> None:
    workflow, job = found.entity["workflow_name"], found.entity["job_name"]
    shown = {name: "…" for name, _ in found.spec} if arguments is None else arguments
    address = f"{req.forwarded_scheme}://{req.forwarded_host}/job/{workflow}/{job}"
    ui.send(
        *(req, resp, "job.html", status),
        job=found.entity,
        mapper=found.mapper,
        fields=[Field(name, kind, given.get(_PREFIX + name, "")) for name, kind in found.spec],
        more=given.get("more", ""),
        token=forms.token(req, resp),
        error=error,
        address=address,
        curl=commands.curl(address, shown),
        run=commands.run(workflow, job, shown),
    )


def _arguments(found: _Job, given: Mapping[str, str], max_depth: int) -> dict[str, Value]:
    """Return the arguments that a form gives.

    Raises:
        InvalidInput: One is not of its type, or given twice.
    """
    arguments: dict[str, Value] = {}
    for name, kind in found.spec:
        text = given.get(_PREFIX + name, "")
        if text:
            arguments[name] = _value(name, kind, text, max_depth)
    more = _json("further arguments", given.get("more", "").strip() or "{}", max_depth)
    if not isinstance(more, dict) or not all(isinstance(name, str) for name in more):
        raise InvalidInput("further arguments", quote(more), "must be a map with text keys")
    twice = arguments.keys() & more.keys()
    if twice:
        raise InvalidInput("further arguments", ", ".join(sorted(twice)), "are given twice")
    return arguments | more


def _value(name: str, kind: str, text: str, max_depth: int) -> Value:
    where = f"argument {name}"
    if kind == "str":
        return text
    if kind == "bool":
        return text == "true"
    plain = _PLAIN.get(kind)
    if plain is None:
        return _json(where, text, max_depth)
    try:
        return plain[0](text.strip())
    except ValueError as error:  # also of a number with too many digits
        raise InvalidInput(where, quote(text), plain[1]) from error


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error


def _json(where: str, text: str, max_depth: int) -> Any:
    try:
        return values.from_jsonable(json_bodies.decode(text.encode(), max_depth))
    except InvalidInput as error:
        _, got, reason = error.args
        raise InvalidInput(where, got, reason) from error
    except ValueError as error:
        raise InvalidInput(where, quote(text), str(error)) from error


#: How the text of a field becomes a value, by the type of the argument, and what it must be.
_PLAIN: Final[dict[str, tuple[Callable[[str], Value], str]]] = {
    "int": (int, "must be a whole number"),
    "float": (float, "must be a number"),
    "bytes": (_bytes, "must be base64"),
}
