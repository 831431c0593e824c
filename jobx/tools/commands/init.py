"""``jobx init``: a folder to start a workflow from."""

from __future__ import annotations

import re
from pathlib import Path

import click

from jobx import model
from jobx.errors import AlreadyExists, InvalidInput, quote
from jobx.handlers.authoring import folder_writing
from jobx.handlers.authoring.templates import starting_folder
from jobx.tools.shared import render
from jobx.tools.shared.command import Call, command


@command(None, "init", example="init wordcount")
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@click.option("--name", metavar="NAME", help="The name of the workflow instead of that of DIR.")
@click.option(
    "--language", default="python", show_default=True, help="The language of the handlers."
)
def init(call: Call, folder: Path, name: str | None, language: str) -> None:
    """Write a folder to start a workflow from.

    It has workflow.yaml, a mapper, a reducer and a test.
    """
    workflow = _name(folder) if name is None else model.check_name("workflow name", name)
    files = starting_folder(workflow, language)
    try:
        there = [path for path in files if (folder / path).exists()]
        if there:
            raise AlreadyExists("file", str(folder / there[0]))
        folder_writing.add(folder, files)
    except OSError as error:
        raise InvalidInput("folder", str(folder), error.strerror or str(error)) from error
    _say(call, folder, workflow, list(files))


def _name(folder: Path) -> str:
    """Return the name of a workflow in a folder."""
    name = re.sub("[^a-z0-9_.-]+", "_", folder.resolve().name.lower()).strip("_.-")
    if not model.is_name(name):
        reason = f"makes no name of a workflow, give one with --name; {model.NAME_REASON}"
        raise InvalidInput("folder", quote(str(folder)), reason)
    return name


def _say(call: Call, folder: Path, workflow: str, files: list[str]) -> None:
    if call.as_json:
        render.say_json({"workflow": workflow, "files": [str(folder / path) for path in files]})
        return
    for path in files:
        render.say(f"wrote {folder / path}")
    render.say(
        f"next: jobx apply {folder}\n"
        f"      jobx run {workflow}/count -a text='to be or not to be' --format table"
    )
