"""``jobx job``."""

from __future__ import annotations

import click

from jobx import model
from jobx.tools.command import Call, command
from jobx.tools.entity_commands import add_commands, done


@click.group("job")
def job() -> None:
    """Jobs: the nouns that requests are posted to, each with its first step."""


@command(job, "create", example='job create wordcount count "Counts words." files')
@click.argument("workflow")
@click.argument("name")
@click.argument("description")
@click.argument("step")
def create(call: Call, workflow: str, name: str, description: str, step: str) -> None:
    """Create a job that starts with STEP."""
    fields = {
        "workflow_name": workflow,
        "job_name": name,
        "description": description,
        "initial_step_name": step,
    }
    with call.entities() as entities:
        entities.create(model.convert(model.Job, f"job {workflow}/{name}", fields))
    done(call, "created", "job", f"{workflow}/{name}")


add_commands(job, model.Job, "count")
