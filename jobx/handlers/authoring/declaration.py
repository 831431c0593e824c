"""A workflow as people write it: the text of ``workflow.yaml`` and its schema.

    workflow: wordcount
    description: Counts words.
    steps:
      count: {mapper: count_words, reducer: add_up}
    jobs:
      count: {step: count}

The classes of entities decide which fields there are; most keep their names. Handlers are files
with headers beside the text. It has only those whose file does not say enough.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, Final, TypeAlias

import msgspec

from jobx import model
from jobx.errors import InvalidInput, TooLarge, quote
from jobx.handlers.authoring import strict_yaml
from jobx.model import Handler, Job, Step, Workflow

FILE: Final = "workflow.yaml"
#: Largest text that is accepted; YAML is slow to read.
MAX_FILE_BYTES: Final = 1 << 20
#: Fields that have another name here than in their entity.
_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "initial_step_name": "step",
        "map_handler_name": "mapper",
        "combine_handler_name": "combiner",
        "reduce_handler_name": "reducer",
    }
)
#: Fields of entities, by their word here.
FIELDS: Final = MappingProxyType({word: name for name, word in _WORDS.items()})
#: Fields that follow from the rest.
_COMPUTED: Final = frozenset(
    (
        *("workflow_name", "job_name", "step_name", "handler_name", "handlers_state"),
        *("version", "source_code", "source_type"),
    )
)
_ABOUT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "workflow": "Name of the workflow.",
        "description": "What it is for.",
        "steps": "Steps by name; each binds handlers.",
        "jobs": "Jobs by name; each is a noun that requests are posted to.",
        "handlers": "Handlers by name, if the header of their file does not say enough.",
        "step": "The step that a request begins with.",
        "mapper": "The handler that maps.",
        "combiner": "The handler that combines the pairs of a mapper; null: they are only grouped.",
        "reducer": "The handler that reduces.",
        "result_writer": "Where results go in addition to the store.",
        "result_options": "Options of the result writer.",
        "writer_choice": "Whether a request may choose another result writer.",
        "file": "The file of the source, relative to workflow.yaml.",
        "language": "The language of the source; null: the one of the file's ending.",
        "handler_type": "What it is.",
        "argument_spec": "Names and types of the arguments.",
        "required_capability": "What a node must offer to run it.",
        "retry": "When an invocation is tried again.",
        "time_limit_s": "The longest time that it may take, in seconds.",
        "when_unavailable": "What becomes of a request while no node offers a needed capability.",
        "retention_s": "How long finished requests are kept, in seconds; null: as settings say.",
        "search": "Up to four arguments that its requests can be found by.",
        "per_key": "Whether it treats each key alone.",
        "examples": "Arguments and expected pairs; they run before the handler is stored.",
    }
)

_Rows: TypeAlias = list[tuple[str, Any, Any]]


def _struct(name: str, rows: _Rows) -> type[msgspec.Struct]:
    described = [
        (word, Annotated[hint, msgspec.Meta(description=_ABOUT.get(word, ""))], default)
        for word, hint, default in rows
    ]
    return msgspec.defstruct(name, described, frozen=True, kw_only=True, forbid_unknown_fields=True)


def _rows(kind: type[msgspec.Struct]) -> _Rows:
    """Return the fields that a text gives of an entity: word, type and default."""
    rows: _Rows = []
    for one in msgspec.structs.fields(kind):
        if one.name not in _COMPUTED:
            factory = msgspec.field(default_factory=one.default_factory)
            default = one.default if one.default_factory is msgspec.NODEFAULT else factory
            word = _WORDS.get(one.name, one.name)
            rows.append((word, one.type, "" if word == "description" else default))
    return rows


_SOURCE: Final[_Rows] = [
    ("file", str, msgspec.NODEFAULT),
    ("language", model.Name | None, None),
]
_JOB: Final = _struct("Job", _rows(Job))
_STEP: Final = _struct("Step", _rows(Step))
_HANDLER: Final = _struct("Handler", [*_SOURCE, *_rows(Handler)])
#: What a text says of the workflow itself.
WORKFLOW: Final = _struct(
    "Workflow", [("workflow", model.Name, msgspec.NODEFAULT), *_rows(Workflow)]
)
#: The lists of a workflow, by word: the class of what each item says.
PARTS: Final[Mapping[str, type[msgspec.Struct]]] = MappingProxyType(
    {"steps": _STEP, "jobs": _JOB, "handlers": _HANDLER}
)


@dataclass(frozen=True, slots=True)
class Origin:
    """What a text says of a handler that its file does not say.

    Attributes:
        file: The file of its source.
        language: The language, None: that of the ending.
        fields: The fields of the entity.
    """

    file: str
    language: str | None
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a text declares; ``origins`` has handlers without their sources."""

    workflow: Workflow
    jobs: dict[str, Job]
    steps: dict[str, Step]
    origins: dict[str, Origin]


def schema() -> dict[str, Any]:
    """Return the JSON schema of the text."""
    parts: _Rows = []
    for word, kind in PARTS.items():
        named: Any = dict[model.Name, kind]  # type: ignore[valid-type]  # a class made above
        parts.append((word, named, msgspec.field(default_factory=dict)))
    whole = _struct(
        "Declaration", [("workflow", model.Name, msgspec.NODEFAULT), *_rows(Workflow), *parts]
    )
    found = msgspec.json.schema(whole)
    for part in found["$defs"].values():
        if "description" in part:  # a docstring; Python before 3.13 leaves it indented
            part["description"] = inspect.cleandoc(part["description"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"JobX {FILE}",
        **found,
    }


def write(declared: Declaration) -> str:
    """Return the text of a declaration; equal declarations give equal texts."""
    workflow = declared.workflow
    whole: dict[str, Any] = {"workflow": workflow.workflow_name, **said_of(workflow)}
    parts: dict[str, dict[str, Any]] = {
        "steps": {name: said_of(one) for name, one in sorted(declared.steps.items())},
        "jobs": {name: said_of(one) for name, one in sorted(declared.jobs.items())},
        "handlers": {name: _of_origin(one) for name, one in sorted(declared.origins.items())},
    }
    text = strict_yaml.write(
        msgspec.to_builtins({**whole, **{word: part for word, part in parts.items() if part}})
    )
    if len(text.encode()) > MAX_FILE_BYTES:
        raise _too_large(len(text.encode()))
    return text


def origin_of(handler: Handler, file: str, language: str | None) -> Origin:
    """Return what a text must say of a handler, if its file says nothing."""
    return Origin(file, language, _plain(handler))


def read_text(body: bytes) -> str:
    """Return the text in the bytes of a file.

    Raises:
        InvalidInput: It is too large, or not UTF-8.
    """
    if len(body) > MAX_FILE_BYTES:
        raise _too_large(len(body))
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(FILE, quote(body), f"must be UTF-8: {error}") from error


def _too_large(size_bytes: int) -> TooLarge:
    reason = f"must not be larger than {MAX_FILE_BYTES} bytes"
    return TooLarge(FILE, f"{size_bytes} bytes", reason)


def _plain(entity: msgspec.Struct) -> dict[str, Any]:
    """Return the fields of an entity that are not their defaults, as plain values."""
    found = {}
    for one in msgspec.structs.fields(type(entity)):
        value = getattr(entity, one.name)
        default = "" if one.name == "description" else one.default
        if one.name not in _COMPUTED and value != default and value not in ({}, []):
            found[one.name] = msgspec.to_builtins(value)
    return found


def said_of(entity: msgspec.Struct) -> dict[str, Any]:
    """Return what a text says of an entity, by word; what is the default is left out."""
    return {_WORDS.get(name, name): value for name, value in _plain(entity).items()}


def _of_origin(origin: Origin) -> dict[str, Any]:
    language = {} if origin.language is None else {"language": origin.language}
    return {"file": origin.file, **language, **origin.fields}
