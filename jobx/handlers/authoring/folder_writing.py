"""Writes a workflow as a folder of files, which says the same when it is read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from jobx.errors import AlreadyExists, InvalidInput
from jobx.handlers import languages
from jobx.handlers.authoring import declaration, source
from jobx.handlers.authoring.declaration import FILE, Declaration, Origin
from jobx.handlers.authoring.workflow_folder import HANDLERS
from jobx.kv.entities.entities import WorkflowSnapshot
from jobx.model import Handler

#: The ending of a source in a language that has none.
_ENDING: Final = ".source"


def files_of(workflow: WorkflowSnapshot) -> dict[str, bytes]:
    """Return the files of a folder that says what a workflow is, by path.

    Equal workflows give equal bytes.
    """
    origins: dict[str, Origin] = {}
    files: dict[str, bytes] = {}
    for name, handler in sorted(workflow.handlers.items()):
        ending = languages.ending_of(handler.source_type)
        file = f"{HANDLERS}/{name}{ending or _ENDING}"
        if ending is None or not _says_all(handler):
            language = None if ending else handler.source_type
            origins[name] = declaration.origin_of(handler, file, language)
        files[file] = source.write(handler.source_code)
    declared = Declaration(workflow.workflow, workflow.jobs, workflow.steps, origins)
    return {FILE: declaration.write(declared).encode(), **files}


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder: a new one as a whole, an empty one with ``workflow.yaml`` last.

    Raises:
        AlreadyExists: It is there, and is not empty.
        InvalidInput: It cannot be written.
    """
    try:
        is_there = folder.is_dir()
        if os.path.lexists(folder) and not (is_there and not any(folder.iterdir())):
            raise AlreadyExists("folder", str(folder))
        home = folder if is_there else folder.parent  # which is on the same disk
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home, prefix=f".{folder.name}.") as name:
            whole = Path(name) / "whole"
            add(whole, files)
            parts = sorted(os.listdir(whole), key=FILE.__eq__) if is_there else [""]
            for part in parts:
                os.replace(whole / part, folder / part)
    except OSError as error:
        raise InvalidInput("folder", str(folder), error.strerror or str(error)) from error


def add(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a folder, which is made if need be.

    Raises:
        FileExistsError: One of them is there.
    """
    for path, body in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        with (folder / path).open("xb") as stream:
            stream.write(body)


def _says_all(handler: Handler) -> bool:
    """Tell whether the source of a handler gives the handler."""
    try:
        read = source.parse(
            handler.workflow_name,
            handler.handler_name,
            handler.source_type,
            handler.source_code,
        )
    except InvalidInput:
        return False
    return read == msgspec.structs.replace(handler, version=None)
