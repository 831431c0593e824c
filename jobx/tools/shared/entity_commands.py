"""Shared by the nouns: the end of ``create``, ``get``, ``list``, ``delete``, and their output."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

import click
import msgspec

from jobx import model
from jobx.errors import EntryDamaged
from jobx.kv.entities.entities import Entities
from jobx.kv.entities.references import HANDLER_FIELDS
from jobx.tools.shared import render
from jobx.tools.shared.command import Call, command, takes

Named = model.Job | model.Step | model.Handler

F = TypeVar("F", bound=Callable[..., Any])

force_option = click.option(
    "--force", is_flag=True, help="Delete it even if it is in use, and list what that breaks."
)


def add_commands(group: click.Group, kind: type[Named], example: str) -> None:
    """Add ``get``, ``list`` and ``delete`` to the group of a noun inside workflows."""
    _add_get(group, kind, example)
    _add_list(group, kind)
    _add_delete(group, kind, example)


def _add_get(group: click.Group, kind: type[Named], example: str) -> None:
    noun = group.name

    @command(group, "get", example=f"{noun} get wordcount {example}", help=f"Show a {noun}.")
    @takes("workflow", "name")
    def get(call: Call, workflow: str, name: str) -> None:
        with call.entities() as entities:
            show(call, entities.get(kind, workflow, name))


def _add_list(group: click.Group, kind: type[Named]) -> None:
    noun = group.name
    listing = f"List the {noun}s of a workflow and what is broken in them."

    @command(group, "list", example=f"{noun} list wordcount", help=listing)
    @click.argument("workflow")
    @click.option(
        "--by", type=click.Choice(_columns(kind)), help="Sort by this instead of by name."
    )
    def list_all(call: Call, workflow: str, by: str | None) -> None:
        damaged: list[EntryDamaged] = []
        with call.entities() as entities:
            found = entities.list(kind, workflow, damaged)
            if by is not None:
                found.sort(key=lambda entity: str(getattr(entity, by) or ""))
            computed = _computed(entities, kind, workflow, found)
        show_all(call, kind, found, computed)
        fail_for(damaged)


def _add_delete(group: click.Group, kind: type[Named], example: str) -> None:
    noun = str(group.name)
    deleting = f"Delete a {noun} that nothing refers to."

    @command(group, "delete", example=f"{noun} delete wordcount {example}", help=deleting)
    @takes("workflow", "name")
    @(force_option if kind is not model.Job else _as_it_is)  # nothing refers to jobs
    def delete(call: Call, workflow: str, name: str, force: bool = False) -> None:
        with call.entities() as entities:
            broken = entities.delete(kind, workflow, name, force=force)
        deleted(call, noun, f"{workflow}/{name}", broken)


def show(call: Call, entity: msgspec.Struct) -> None:
    """Write one entity to stdout: its fields, and a handler's source below them."""
    if call.as_json:
        render.say_json(entity)
        return
    fields = {name: getattr(entity, name) for name in entity.__struct_fields__}
    source_code = fields.pop("source_code", None)
    render.say_fields(fields)
    if source_code is not None:
        render.say(f"\n{source_code.rstrip()}")


def show_all(
    call: Call,
    kind: type[msgspec.Struct],
    entities: Sequence[msgspec.Struct],
    computed: Mapping[str, Sequence[str | None]] = MappingProxyType({}),
) -> None:
    """Write entities of a class to stdout: an array, or a table with a column for each used field.

    ``computed`` gives further fields or columns: a text or None for each entity, by its name.
    """
    if call.as_json:
        plain = [msgspec.to_builtins(entity) for entity in entities]
        for name, texts in computed.items():
            plain = [{**one, name: text} for one, text in zip(plain, texts, strict=True)]
        render.say_json(plain)
        return
    columns = _columns(kind)
    if entities:
        columns = [name for name in columns if any(getattr(one, name) for one in entities)]
    rows = [[_brief(getattr(entity, name)) for name in columns] for entity in entities]
    for name, texts in computed.items():
        if any(texts):
            columns.append(name)
            rows = [[*row, text or ""] for row, text in zip(rows, texts, strict=True)]
    render.say_table([name.removesuffix("_name") for name in columns], rows)


def done(call: Call, verb: str, noun: str, name: str) -> None:
    """Print what was done to an entity."""
    if call.as_json:
        render.say_json({"done": verb, "kind": noun, "name": name})
    else:
        render.say(f"{verb} {noun} {name}")


def fail_for(damaged: Sequence[EntryDamaged]) -> None:
    """Fail, after what can be read was shown, if something cannot be read."""
    if damaged:
        raise damaged[0]


def deleted(call: Call, noun: str, name: str, broken: Sequence[str]) -> None:
    """Print that an entity was deleted, and what that broke."""
    if call.as_json:
        render.say_json({"done": "deleted", "kind": noun, "name": name, "broken": broken})
        return
    done(call, "deleted", noun, name)
    verb = "went with it" if noun == "workflow" else "is broken now"
    for one in broken:
        render.say(f"{one} {verb}")


def _as_it_is(command: F) -> F:
    return command


def _computed(
    entities: Entities, kind: type[Named], workflow: str, found: Sequence[Named]
) -> dict[str, list[str | None]]:
    """Return the columns of a listing that are no fields."""
    broken = {"broken": [entities.fault(entity) for entity in found]}
    if kind is not model.Step:
        return broken
    handlers = entities.list(model.Handler, workflow, [])
    words = {one.handler_name: one.required_capability for one in handlers}
    return {"requires": [_required(step, words) for step in found]} | broken


def _required(step: msgspec.Struct, capabilities: Mapping[str, str]) -> str | None:
    """Return the capabilities that a step requires, except ``general``; None if there are none."""
    names = (getattr(step, field) for field in HANDLER_FIELDS.values())
    found = {capabilities[name] for name in names if name in capabilities}
    return ", ".join(sorted(found - {"general"})) or None


def _columns(kind: type[msgspec.Struct]) -> list[str]:
    if kind is model.Workflow:
        return ["workflow_name", "description"]
    hidden = {"workflow_name", "source_code", "examples", "retry", "version"}
    return [name for name in kind.__struct_fields__ if name not in hidden]


def _brief(value: object) -> object:
    if value is None:
        return ""
    return value.partition("\n")[0] if isinstance(value, str) else value
