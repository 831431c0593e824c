"""``jobx workflow``."""

from __future__ import annotations

import click

from jobx import model
from jobx.tools.command import Call, command
from jobx.tools.entity_commands import done, show, show_all


@click.group("workflow")
def workflow() -> None:
    """Workflows: isolated containers of jobs, steps and handlers."""


@command(workflow, "create", example='workflow create wordcount "Counts words."')
@click.argument("name")
@click.argument("description")
def create(call: Call, name: str, description: str) -> None:
    """Create a workflow, and the data folder when there is none."""
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
def delete(call: Call, name: str) -> None:
    """Delete a workflow that holds nothing."""
    with call.entities() as entities:
        entities.delete(model.Workflow, name)
    done(call, "deleted", "workflow", name)
