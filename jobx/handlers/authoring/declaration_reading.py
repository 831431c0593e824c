"""Reads ``workflow.yaml``, and says by line what is wrong with it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final, TypeGuard, TypeVar

import msgspec

from jobx import model
from jobx.errors import InvalidInput, quote
from jobx.handlers.authoring import strict_yaml
from jobx.handlers.authoring.declaration import FIELDS, FILE, PARTS, WORKFLOW, Declaration, Origin
from jobx.handlers.authoring.strict_yaml import Place
from jobx.kv.entities.stored_form import as_stored
from jobx.model import Job, Step, Workflow

E = TypeVar("E", Job, Step)
A = TypeVar("A", Workflow, Job, Step)

#: Faults of one text after which no more are looked for.
MAX_FAULTS: Final = 100
_MISSING: Final = re.compile(r"Object missing required field `(\w+)`")
_PART: Final = re.compile(r"\.(\w+)|\[(\d+)\]")


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
        known = [*WORKFLOW.__struct_fields__, *PARTS]
        own = {key: value for key, value in self._plain.items() if key not in PARTS}
        if self._name is not None:
            own["workflow"] = self._name
        said = self._convert(WORKFLOW, (), own, known)
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
                said = self._convert(PARTS[part], place, fields, PARTS[part].__struct_fields__)
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


def _fields(said: msgspec.Struct, **own: Any) -> dict[str, Any]:
    """Return what a text says of an entity as the fields of the entity."""
    words = (name for name in said.__struct_fields__ if name != "workflow")
    return {**own, **{FIELDS.get(word, word): getattr(said, word) for word in words}}


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
