"""``jobx handler``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import get_args

import click

from jobx import entity_json, meanings, model
from jobx.handlers.authoring import mr_check, source, sync
from jobx.tools.commands.handler_trial import add_trial_commands
from jobx.tools.shared import render
from jobx.tools.shared.command import Call, command, takes
from jobx.tools.shared.entity_commands import add_commands, done

_ARGUMENT_TYPES = click.Choice(get_args(model.ArgumentType))


@click.group("handler")
def handler() -> None:
    """Handlers: the bodies of author code that steps bind."""


@command(
    handler,
    "create",
    example="handler create wordcount add_up 'Adds up.' python reducer < add_up.py",
)
@takes("workflow", "name", "description", "source_type")
@click.argument("handler_type", type=click.Choice(get_args(model.HandlerType)))
@click.option(
    "-a",
    "--argument",
    "arguments",
    type=(str, _ARGUMENT_TYPES),
    multiple=True,
    metavar="NAME TYPE",
    help="An argument of the handler; may be repeated.",
)
@click.option("-r", "--capability", default="general", help="What a node must offer to run it.")
@click.option(
    "--file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The file of the source, in place of stdin; a WebAssembly module may be a binary.",
)
def create(
    call: Call,
    *,
    workflow: str,
    name: str,
    description: str,
    source_type: str,
    handler_type: model.HandlerType,
    arguments: tuple[tuple[str, str], ...],
    capability: str,
    file: Path | None,
) -> None:
    """Store a handler with a source from stdin or a file."""
    fields = {
        "workflow_name": workflow,
        "handler_name": name,
        "description": description,
        "handler_type": handler_type,
        "source_type": source_type,
        "source_code": _read_source(f"handler {workflow}/{name}", source_type, file),
        "argument_spec": arguments,
        "required_capability": source.GENERAL if capability == "none" else capability,
    }
    entity = entity_json.convert(model.Handler, f"handler {workflow}/{name}", fields)
    source.check(entity)
    with call.examples() as check:
        check(entity)
    with call.entities() as entities:
        entities.create(entity)
    done(call, "created", "handler", f"{workflow}/{name}")


@command(handler, "sync", example="handler sync wordcount examples/wordcount/handlers --simulate")
@click.argument("workflow")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--simulate", is_flag=True, help="Change nothing; show what would be done.")
@click.option("--force", is_flag=True, help="Store unchanged handlers as well.")
def sync_folder(call: Call, workflow: str, path: Path, simulate: bool, force: bool) -> int:
    """Make the handlers of a workflow equal to a folder of files."""
    with call.entities() as entities, call.examples() as check:
        report = sync.sync(entities, workflow, path, simulate, force, trial=check)
    found = mr_check.check(path, call.settings.executors.environment, only_mr_form=True)
    if call.as_json:
        answer = {"simulated": report.simulated, "handlers": report.rows, "warnings": found}
        render.say_json(answer)
    else:
        rows = ((row.handler, row.action, row.reason) for row in report.rows)
        render.say_table(("handler", "would be" if simulate else "action", "reason"), rows)
        for finding in found:
            render.complain(str(finding))
    return meanings.INVALID if report.failed else meanings.OK


@command(handler, "check", example="handler check --from-mr handlers")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--from-mr", is_flag=True, help="Look for what mr and Python 2 did otherwise.")
def check_folder(call: Call, path: Path, from_mr: bool) -> int:
    """Find what handlers written for mr must change.

    It names file, line, and what to write, and changes nothing. It fails if there is something.
    """
    if not from_mr:
        raise click.UsageError("say --from-mr; jobx handler sync --simulate checks other handlers")
    found = mr_check.check(path, call.settings.executors.environment)
    if call.as_json:
        render.say_json({"findings": found})
    else:
        for finding in found:
            render.say(str(finding))
        render.say(f"{len(found)} to change" if found else "nothing to change")
    return meanings.INVALID if found else meanings.OK


def _read_source(where: str, source_type: str, file: Path | None) -> str:
    if file is not None:
        return source.read_bare(file, source_type)
    body = sys.stdin.buffer.read(source.most_bytes(source_type) + 1)
    return source.text_of(f"{where}, source on stdin", source_type, body)


add_commands(handler, model.Handler, "add_up")
add_trial_commands(handler)
