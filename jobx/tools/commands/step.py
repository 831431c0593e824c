"""``jobx step``."""

from __future__ import annotations

from typing import get_args

import click

from jobx import entity_json, model
from jobx.kv.entities.step_handlers import StepHandlers
from jobx.tools.shared import render
from jobx.tools.shared.command import Call, command, takes
from jobx.tools.shared.entity_commands import add_commands, done


@click.group("step")
def step() -> None:
    """Steps: each binds a mapper, a reducer, perhaps a combiner."""


@command(step, "create", example="step create wordcount files 'Lists files.' list_files '' add_up")
@takes("workflow", "name", "description", "mapper")
@click.argument("combiner", metavar="COMBINER|''")
@click.argument("reducer")
def create(
    call: Call,
    *,
    workflow: str,
    name: str,
    description: str,
    mapper: str,
    combiner: str,
    reducer: str,
) -> None:
    """Create a step; an empty COMBINER ('') means none."""
    fields = {
        "workflow_name": workflow,
        "step_name": name,
        "description": description,
        "map_handler_name": mapper,
        "combine_handler_name": combiner or None,
        "reduce_handler_name": reducer,
    }
    with call.entities() as entities:
        entities.create(entity_json.convert(model.Step, f"step {workflow}/{name}", fields))
    done(call, "created", "step", f"{workflow}/{name}")


@command(step, "set-handler", example="step set-handler wordcount files -r add_up_fast")
@click.argument("workflow")
@click.argument("name", metavar="STEP")
@click.option("-m", "--mapper", metavar="HANDLER", help="The new mapper.")
@click.option("-c", "--combiner", metavar="HANDLER", help="The new combiner; '' for none.")
@click.option("-r", "--reducer", metavar="HANDLER", help="The new reducer.")
def set_handler(
    call: Call,
    *,
    workflow: str,
    name: str,
    mapper: str | None,
    combiner: str | None,
    reducer: str | None,
) -> None:
    """Give a step other handlers."""
    if mapper is None and combiner is None and reducer is None:
        raise click.UsageError("name at least one of --mapper, --combiner and --reducer")
    with call.entities() as entities:
        StepHandlers(entities.store, workflow).give(name, mapper, combiner, reducer)
    done(call, "updated", "step", f"{workflow}/{name}")


@command(
    step,
    "update-handlers",
    example="step update-handlers wordcount reducer add_up add_up_fast --simulate",
)
@click.argument("workflow")
@click.argument("handler_type", metavar="TYPE", type=click.Choice(get_args(model.HandlerType)))
@click.argument("old", metavar="FROM")
@click.argument("new", metavar="TO")
@click.option("--simulate", is_flag=True, help="Change nothing; show which steps would change.")
def update_handlers(
    call: Call,
    *,
    workflow: str,
    handler_type: model.HandlerType,
    old: str,
    new: str,
    simulate: bool,
) -> None:
    """Replace a handler in every step that uses it as a TYPE."""
    with call.entities() as entities:
        steps = StepHandlers(entities.store, workflow).replace(handler_type, old, new, simulate)
    if call.as_json:
        render.say_json({"simulated": simulate, "steps": steps})
        return
    verb = "would update" if simulate else "updated"
    for name in steps:
        render.say(f"{verb} step {workflow}/{name}")
    if not steps:
        render.say(f"no step uses {handler_type} {old}")


add_commands(step, model.Step, "files")
