"""A workflow as people write it: the text of ``workflow.yaml``, its schema, and its checks.

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

import difflib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, Final, TypeAlias, TypeGuard, TypeVar

import msgspec

from jobx import model
from jobx.errors import InvalidInput, TooLarge, quote
from jobx.handlers.authoring import strict_yaml
from jobx.handlers.authoring.strict_yaml import Place
from jobx.kv.entities.stored_form import as_stored
from jobx.model import Handler, Job, Step, Workflow

E = TypeVar("E", Job, Step)
A = TypeVar("A", Workflow, Job, Step)

FILE: Final = "workflow.yaml"
#: Largest text that is accepted; YAML is slow to read.
MAX_FILE_BYTES: Final = 1 << 20
#: Faults of one text after which no more are looked for.
MAX_FAULTS: Final = 100
_MISSING: Final = re.compile(r"Object missing required field `(\w+)`")
_PART: Final = re.compile(r"\.(\w+)|\[(\d+)\]")

#: Fields that have another name here than in their entity.
_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "initial_step_name": "step",
        "map_handler_name": "mapper",
        "combine_handler_name": "combiner",
        "reduce_handler_name": "reducer",
    }
)
_FIELDS: Final = MappingProxyType({word: name for name, word in _WORDS.items()})
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
_WORKFLOW: Final = _struct(
    "Workflow", [("workflow", model.Name, msgspec.NODEFAULT), *_rows(Workflow)]
)
#: The lists of a workflow, by word: the class of what each item says.
_PARTS: Final[Mapping[str, type[msgspec.Struct]]] = MappingProxyType(
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
    for word, kind in _PARTS.items():
        named: Any = dict[model.Name, kind]  # type: ignore[valid-type]  # a class made above
        parts.append((word, named, msgspec.field(default_factory=dict)))
    whole = _struct(
        "Declaration", [("workflow", model.Name, msgspec.NODEFAULT), *_rows(Workflow), *parts]
    )
    found = msgspec.json.schema(whole)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"JobX {FILE}",
        **found,
    }


class Reading:
    """Reads one text, and collects what is wrong with it, by line.

    Args:
        text: The text.
        name: A name for the workflow instead of the one in the text.

    Attributes:
        faults: What is wrong, in the order in which it was found.
    """

    def __init__(self, text: str, name: str | None = None) -> None:
        self.faults: list[InvalidInput] = []
        self._lines: Mapping[Place, int] = {}
        self._name = name
        try:
            self._plain, self._lines = strict_yaml.read_with_lines(text)
        except ValueError as error:
            self._plain = {}
            self.refuse((), quote(text), f"cannot be read as YAML: {error}")

    @property
    def is_enough(self) -> bool:
        """Whether so much is wrong that nobody reads more."""
        return len(self.faults) >= MAX_FAULTS

    def refuse(self, place: Place, value: str, reason: str) -> None:
        """Note a fault at a place of the text; ``value`` is what is wrong there, as text."""
        line = next(
            (
                self._lines[place[:end]]
                for end in range(len(place), -1, -1)
                if place[:end] in self._lines
            ),
            None,
        )
        where = FILE if line is None else f"{FILE}, line {line}"
        words = ", ".join(filter(None, (_noun(place), ".".join(map(str, place[2:])))))
        self.faults.append(InvalidInput(f"{where}: {words}" if words else where, value, reason))

    def declaration(self) -> Declaration | None:
        """Return what the text declares, as far as it is right; None if its workflow is not."""
        if self.faults or not self._is_map(self._plain, ()):
            return None
        known = [*_WORKFLOW.__struct_fields__, *_PARTS]
        own = {key: value for key, value in self._plain.items() if key not in _PARTS}
        if self._name is not None:
            own["workflow"] = self._name
        said = self._convert(_WORKFLOW, (), own, known)
        workflow = said and self._entity(Workflow, (), _fields(said, workflow_name=said.workflow))
        if workflow is None:
            return None
        if not model.is_name(workflow.workflow_name):  # a pattern cannot say all of it
            self.refuse(("workflow",), quote(workflow.workflow_name), model.NAME_REASON)
            return None
        return Declaration(
            workflow,
            self._entities(Job, "jobs", workflow.workflow_name),
            self._entities(Step, "steps", workflow.workflow_name),
            self._origins(),
        )

    def _entities(self, kind: type[E], part: str, workflow: str) -> dict[str, E]:
        found: dict[str, E] = {}
        for name, said in self._said(part):
            own = {"workflow_name": workflow, f"{kind.__name__.lower()}_name": name}
            entity = self._entity(kind, (part, name), _fields(said, **own))
            if entity is not None:
                found[name] = entity
        return found

    def _origins(self) -> dict[str, Origin]:
        found = {}
        for name, said in self._said("handlers"):
            fields = _fields(said)
            found[name] = Origin(fields.pop("file"), fields.pop("language"), fields)
        return found

    def _said(self, part: str) -> Iterator[tuple[str, msgspec.Struct]]:
        items = self._plain.get(part)
        if items is None or not self._is_map(items, (part,)):
            return
        for name, fields in items.items():
            place = (part, name)
            if self.is_enough:
                return
            if not model.is_name(name):
                self.refuse(place, quote(name), model.NAME_REASON)
            elif self._is_map(fields, place):
                said = self._convert(_PARTS[part], place, fields, _PARTS[part].__struct_fields__)
                if said is not None:
                    yield name, said

    def _is_map(self, value: object, place: Place) -> TypeGuard[dict[str, Any]]:
        if not isinstance(value, dict):
            self.refuse(place, quote(value), "must be a map")
            return False
        odd = [key for key in value if not isinstance(key, str)]
        if odd:
            self.refuse(
                (*place, str(odd[0])), quote(odd[0]), "a key must be text: put it into quotes"
            )
        return not odd

    def _convert(
        self, kind: type[msgspec.Struct], place: Place, fields: dict[str, Any], known: Sequence[str]
    ) -> Any:
        """Return the fields of one part as their class, None if something is wrong with them."""
        unknown = [key for key in fields if key not in known]
        for key in unknown:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            self.refuse((*place, key), quote(fields[key]), f"unknown key; {hint}")
        try:
            return msgspec.convert(_without(fields, unknown), kind)
        except msgspec.ValidationError as error:
            message, _, path = str(error).partition(" - at ")
            below = _place(path)
            value = _at(fields, below)
            self.refuse((*place, *below), quote(value), _in_words(message))
        return None

    def _entity(self, kind: type[A], place: Place, fields: dict[str, Any]) -> A | None:
        try:
            return as_stored(kind(**fields))
        except InvalidInput as error:
            self.refuse(place, *error.args[1:])
        return None


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


def _fields(said: msgspec.Struct, **own: Any) -> dict[str, Any]:
    """Return what a text says of an entity as the fields of the entity."""
    words = (name for name in said.__struct_fields__ if name != "workflow")
    return {**own, **{_FIELDS.get(word, word): getattr(said, word) for word in words}}


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


def _without(fields: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key not in names}


def _noun(place: Place) -> str:
    """Return what a place is in, in words."""
    if len(place) < 2:
        return "".join(map(str, place))
    return f"{str(place[0]).removesuffix('s')} {place[1]}"


def _place(path: str) -> Place:
    """Return the place that msgspec means by a path such as ``$.retry.on[0]``."""
    parts = _PART.findall(path)
    return tuple(int(index) if index else name for name, index in parts)


def _in_words(message: str) -> str:
    """Return what msgspec says of a wrong value, in words of people who write the text."""
    if repr(model.NAME_PATTERN) in message:
        return model.NAME_REASON
    missing = _MISSING.fullmatch(message)
    return f"the key {missing[1]} is missing" if missing else message


def _at(value: Any, place: Place) -> Any:
    for step in place:
        try:
            value = value[step]
        except (LookupError, TypeError):
            break
    return value
