"""``jobx workflow``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from jobx import model
from jobx.errors import InvalidInput
from jobx.handlers.authoring import workflow_file
from jobx.kv.entities.imports import ImportRow, import_workflow
from jobx.tools.shared import render
from jobx.tools.shared.command import Call, command, takes
from jobx.tools.shared.entity_commands import deleted, done, force_option, show, show_all
from jobx.tools.shared.output import replace_file


@click.group("workflow")
def workflow() -> None:
    """Workflows: isolated containers of jobs, steps and handlers."""


@command(workflow, "create", example='workflow create wordcount "Counts words."')
@takes("name", "description")
def create(call: Call, name: str, description: str) -> None:
    """Create a workflow, and the data folder if there is none."""
    fields = {"workflow_name": name, "description": description}
    with call.entities(create=True) as entities:
        entities.create(model.convert(model.Workflow, f"workflow {name}", fields))
    done(call, "created", "workflow", name)


@command(workflow, "get", example="workflow get wordcount")
@click.argument("name")
def get(call: Call, name: str) -> None:
    """Show a workflow."""
    with call.entities() as entities:
        show(call, entities.get(model.Workflow, name))


@command(workflow, "list", example="workflow list")
def list_all(call: Call) -> None:
    """List all workflows."""
    with call.entities() as entities:
        show_all(call, model.Workflow, entities.list(model.Workflow))


@command(workflow, "delete", example="workflow delete wordcount")
@click.argument("name")
@force_option
def delete(call: Call, name: str, force: bool) -> None:
    """Delete an empty workflow. With --force, delete everything in it as well."""
    with call.entities() as entities:
        held = entities.delete(model.Workflow, name, force=force)
    deleted(call, "workflow", name, held)


@command(workflow, "export", example="workflow export wordcount wordcount.json")
@click.argument("workflow")
@click.argument("file", required=False, default="-", type=click.Path(path_type=Path))
def export(call: Call, workflow: str, file: Path) -> None:
    """Write a workflow with everything in it to FILE, or to stdout."""
    with call.entities() as entities:
        body = workflow_file.dump(entities.snapshot(workflow))
    if str(file) == "-":
        sys.stdout.buffer.write(body)
    else:
        replace_file(file, body)
        done(call, "exported", "workflow", workflow)


@command(workflow, "import", example="workflow import wordcount.json --name wordcount2 --simulate")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", metavar="NEW", help="A name instead of the one in the file.")
@click.option("--simulate", is_flag=True, help="Change nothing; show what would change.")
@click.option(
    "--replace", is_flag=True, help="Replace an existing workflow; remove what is not in the file."
)
def import_file(call: Call, *, file: Path, name: str | None, simulate: bool, replace: bool) -> None:
    """Create the workflow in FILE (- is stdin) once it is checked."""
    wanted = workflow_file.load(_read(file), name)
    with call.examples() as check:
        for handler in wanted.handlers.values():
            check(handler)
    with call.store(create=not simulate) as store:
        rows = import_workflow(store, wanted, replace=replace, simulate=simulate)
    _say_rows(call, wanted.workflow.workflow_name, rows, simulate)


def _say_rows(call: Call, name: str, rows: Sequence[ImportRow], simulate: bool) -> None:
    if call.as_json:
        render.say_json({"workflow": name, "simulated": simulate, "changes": rows})
    elif rows:
        columns = ("kind", "name", "would be" if simulate else "action")
        render.say_table(columns, ((row.kind, row.name, row.action) for row in rows))
    else:
        render.say(f"workflow {name} is unchanged")


def _read(file: Path) -> bytes:
    if str(file) == "-":
        return sys.stdin.buffer.read(workflow_file.MAX_FILE_BYTES + 1)
    try:
        with file.open("rb") as stream:
            return stream.read(workflow_file.MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InvalidInput("file", str(file), error.strerror or str(error)) from error
