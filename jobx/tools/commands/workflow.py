"""``jobx workflow``."""

from __future__ import annotations

from pathlib import Path

import click

from jobx import entity_json, model
from jobx.errors import EntryDamaged
from jobx.handlers.authoring import folder_writing
from jobx.tools.shared.command import Call, command, takes
from jobx.tools.shared.entity_commands import (
    deleted,
    done,
    fail_for,
    force_option,
    show,
    show_all,
)


@click.group("workflow")
def workflow() -> None:
    """Workflows: isolated containers of jobs, steps and handlers."""


@command(workflow, "create", example='workflow create wordcount "Counts words."')
@takes("name", "description")
def create(call: Call, name: str, description: str) -> None:
    """Create a workflow, and the data folder if there is none."""
    fields = {"workflow_name": name, "description": description}
    with call.entities(create=True) as entities:
        entities.create(entity_json.convert(model.Workflow, f"workflow {name}", fields))
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
    damaged: list[EntryDamaged] = []
    with call.entities() as entities:
        show_all(call, model.Workflow, entities.list(model.Workflow, damaged=damaged))
    fail_for(damaged)


@command(workflow, "delete", example="workflow delete wordcount")
@click.argument("name")
@force_option
def delete(call: Call, name: str, force: bool) -> None:
    """Delete an empty workflow. With --force, delete everything in it as well."""
    with call.entities() as entities:
        held = entities.delete(model.Workflow, name, force=force)
    deleted(call, "workflow", name, held)


@command(workflow, "export", example="workflow export wordcount copies/wordcount")
@click.argument("workflow")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
def export(call: Call, workflow: str, folder: Path | None) -> None:
    """Write a workflow to a new folder, for jobx apply."""
    with call.entities() as entities:
        files = folder_writing.files_of(entities.snapshot(workflow))
    folder_writing.write(folder or Path(workflow), files)
    done(call, "exported", "workflow", workflow)
