"""``jobx apply``: a workflow becomes what a folder says."""

from __future__ import annotations

from pathlib import Path

import click

from jobx import meanings
from jobx.handlers.authoring import declaration
from jobx.handlers.authoring.declaration import FILE
from jobx.tools.shared import render
from jobx.tools.shared.applying import apply_folder
from jobx.tools.shared.command import Call, command


@command(None, "apply", example="apply wordcount --dry-run")
@click.argument("folder", required=False, metavar="DIR", type=click.Path(path_type=Path))
@click.option("--name", metavar="NEW", help=f"A name instead of the one in {FILE}.")
@click.option(
    "--dry-run", is_flag=True, help="Change nothing; show what would change (exit code 2)."
)
@click.option("--prune", is_flag=True, help="Remove what is not in DIR.")
@click.option("--schema", "asks_schema", is_flag=True, help=f"Write the JSON schema of {FILE}.")
def apply(
    call: Call,
    *,
    folder: Path | None,
    name: str | None,
    dry_run: bool,
    prune: bool,
    asks_schema: bool,
) -> int:
    """Create or update the workflow that a folder declares.

    The folder has workflow.yaml, and the files of handlers in handlers/.
    """
    if asks_schema:
        render.say_json(declaration.schema())
        return meanings.OK
    if folder is None:
        raise click.UsageError(f"name the folder with {FILE}")
    if folder.name == FILE and folder.is_file():
        folder = folder.parent
    return apply_folder(call, folder, name=name, prune=prune, simulate=dry_run)
