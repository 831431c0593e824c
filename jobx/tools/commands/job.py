"""``jobx job``."""

from __future__ import annotations

from typing import Any, get_args

import click

from jobx import entity_json, model
from jobx.actors.egress.writers import registry
from jobx.tools.shared.command import Call, command, takes
from jobx.tools.shared.entity_commands import add_commands, done
from jobx.tools.shared.parsing import parse_arguments


@click.group("job")
def job() -> None:
    """Jobs: the nouns that requests are posted to. Each has a first step."""


@command(job, "create", example='job create wordcount count "Counts words." files')
@takes("workflow", "name", "description", "step")
@click.option(
    "--writer",
    "result_writer",
    metavar="NAME",
    help="The writer of its results; see docs/writers.md.",
)
@click.option(
    "-o",
    "--option",
    "result_options",
    multiple=True,
    metavar="NAME=VALUE",
    help="An option of that writer; VALUE is JSON, or else text.",
)
@click.option("--writer-choice", is_flag=True, help="Requests may choose another writer.")
@click.option(
    "--time-limit", "time_limit_s", type=float, metavar="SECONDS", help="Limit of its requests."
)
@click.option(
    "--retention", "retention_s", type=float, metavar="SECONDS", help="How long they are kept."
)
@click.option(
    "--search", multiple=True, metavar="NAME", help="An argument that requests can be found by."
)
@click.option(
    "--when-unavailable",
    type=click.Choice(get_args(model.WhenUnavailable)),
    default="refuse",
    help="While no node offers what a step requires, refuse requests (the default), or wait.",
)
def create(
    call: Call, workflow: str, name: str, description: str, step: str, **options: Any
) -> None:
    """Create a job that starts with STEP."""
    fields = {
        **options,
        "result_options": parse_arguments("--result-option", options["result_options"]),
        "workflow_name": workflow,
        "job_name": name,
        "description": description,
        "initial_step_name": step,
    }
    created = entity_json.convert(model.Job, f"job {workflow}/{name}", fields)
    registry.check_names(created, call.settings.results)
    with call.entities() as entities:
        entities.create(created)
    done(call, "created", "job", f"{workflow}/{name}")


add_commands(job, model.Job, "count")
