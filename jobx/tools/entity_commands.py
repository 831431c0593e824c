"""What the nouns share: ``create`` as it ends, ``get``, ``list``, ``delete``, how they show."""

from __future__ import annotations

from collections.abc import Sequence

import click
import msgspec

from jobx import model
from jobx.tools import render
from jobx.tools.command import Call, command

Named = model.Job | model.Step | model.Handler


def add_commands(group: click.Group, kind: type[Named], example: str) -> None:
    """Add ``get``, ``list`` and ``delete`` to the group of a noun that lives in a workflow."""
    noun = str(group.name)

    @command(group, "get", example=f"{noun} get wordcount {example}", help=f"Show a {noun}.")
    @click.argument("workflow")
    @click.argument("name")
    def get(call: Call, workflow: str, name: str) -> None:
        with call.entities() as entities:
            show(call, entities.get(kind, workflow, name))

    listing = f"List the {noun}s of a workflow."

    @command(group, "list", example=f"{noun} list wordcount", help=listing)
    @click.argument("workflow")
    def list_all(call: Call, workflow: str) -> None:
        with call.entities() as entities:
            show_all(call, kind, entities.list(kind, workflow))

    deleting = f"Delete a {noun} that nothing refers to."

    @command(group, "delete", example=f"{noun} delete wordcount {example}", help=deleting)
    @click.argument("workflow")
    @click.argument("name")
    def delete(call: Call, workflow: str, name: str) -> None:
        with call.entities() as entities:
            entities.delete(kind, workflow, name)
        done(call, "deleted", noun, f"{workflow}/{name}")


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


def show_all(call: Call, kind: type[msgspec.Struct], entities: Sequence[msgspec.Struct]) -> None:
    """Write entities of a class to stdout: an array, or a table with a column for each field."""
    if call.as_json:
        render.say_json(entities)
        return
    columns = [name for name in _columns(kind) if any(getattr(e, name) for e in entities)]
    rows = ([_brief(getattr(entity, name)) for name in columns] for entity in entities)
    render.say_table([name.removesuffix("_name") for name in columns], rows)


def done(call: Call, verb: str, noun: str, name: str) -> None:
    """Say what was done to what."""
    if call.as_json:
        render.say_json({"done": verb, "kind": noun, "name": name})
    else:
        render.say(f"{verb} {noun} {name}")


def _columns(kind: type[msgspec.Struct]) -> list[str]:
    if kind is model.Workflow:
        return ["workflow_name", "description"]
    hidden = {"workflow_name", "source_code", "examples", "retry", "version"}
    return [name for name in kind.__struct_fields__ if name not in hidden]


def _brief(value: object) -> object:
    if value is None:
        return ""
    return value.partition("\n")[0] if isinstance(value, str) else value
