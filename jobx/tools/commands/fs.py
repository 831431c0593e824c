"""``jobx fs``: the shared files of a workflow, as its handlers see them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO, Final

import click

from jobx import amounts, model
from jobx.errors import (
    AlreadyExists,
    InvalidInput,
    JobxError,
    NotFound,
    StoreFull,
    StoreRefused,
    Unavailable,
)
from jobx.handlers.files import opening
from jobx.handlers.files.files import FS
from jobx.handlers.files.paths import PathRefused
from jobx.handlers.files.quota import QuotaExceeded
from jobx.tools.shared import render
from jobx.tools.shared.command import Call, command, takes
from jobx.tools.shared.entity_commands import done

_COPY_BYTES: Final = 1 << 20
_STDIO: Final = "-"


@click.group("fs")
def fs() -> None:
    """Shared files: those that handlers of a workflow find in FS."""


@command(fs, "ls", example="fs ls thumbnails out")
@click.argument("workflow")
@click.argument("path", default=".")
def ls(call: Call, workflow: str, path: str) -> None:
    """List a folder, or the workflow's own."""
    with _files(call, workflow) as files:
        stats = [stat for _, stat in files.ls(path)]
    if call.as_json:
        render.say_json(
            [
                {"name": s.name, "type": s.type, "size": s.size, "modified_at": s.modified_at}
                for s in stats
            ]
        )
        return
    rows = (
        (s.name, s.type, "" if s.is_folder else amounts.size(s.size), render.instant(s.modified_at))
        for s in stats
    )
    render.say_table(("name", "type", "size", "modified"), rows)


@command(fs, "get", example="fs get thumbnails out/cat.png cat.png")
@takes("workflow", "path")
@click.argument("target", default=_STDIO, type=click.Path())
def get(call: Call, workflow: str, path: str, target: str) -> None:
    """Copy a file to the local file TARGET, or to stdout."""
    with _files(call, workflow) as files, files.open(path, "rb") as source:
        if target == _STDIO:
            shutil.copyfileobj(source, sys.stdout.buffer, _COPY_BYTES)
            return
        with _local(target), Path(target).open("wb") as copied:
            shutil.copyfileobj(source, copied, _COPY_BYTES)


@command(fs, "put", example="fs put thumbnails cat.png in/cat.png")
@click.argument("workflow")
@click.argument("source", type=click.Path())
@click.argument("path")
def put(call: Call, workflow: str, source: str, path: str) -> None:
    """Copy the local file SOURCE (- is stdin) to PATH. An existing file is replaced."""
    with call.entities() as entities:
        entities.get(model.Workflow, workflow)
    opened = nullcontext(sys.stdin.buffer) if source == _STDIO else _reading(source)
    with opened as file, _files(call, workflow) as files, files.open(path, "wb") as target:
        shutil.copyfileobj(file, target, _COPY_BYTES)
    done(call, "stored", "file", f"{workflow}/{path}")


@command(fs, "rm", example="fs rm thumbnails out --recursive")
@takes("workflow", "path")
@click.option("--recursive", is_flag=True, help="Remove a folder and everything in it.")
def rm(call: Call, workflow: str, path: str, recursive: bool) -> None:
    """Remove a file, or a folder with everything in it."""
    with _files(call, workflow) as files:
        if recursive and files.isdir(path):
            files.rmdir(path, force=True)
        else:
            files.rm(path)
    done(call, "removed", "file", f"{workflow}/{path}")


@contextmanager
def _files(call: Call, workflow: str) -> Iterator[FS]:
    """Yield a workflow's shared files; their errors become those of commands."""
    settings = call.settings.files
    if not settings.location:
        raise InvalidInput("setting files.url", "''", "there are no shared files without it")
    opening.check(settings)
    model.check_name("workflow", workflow)
    try:
        yield FS(lambda: workflow, lambda: opening.connect(settings), settings.quota_bytes)
    except OSError as error:
        raise _told(error) from error


def _told(error: OSError) -> JobxError:
    path, reason = str(error.filename), error.strerror or str(error)
    if isinstance(error, PathRefused):
        return InvalidInput("path", repr(path), reason)
    if isinstance(error, QuotaExceeded):
        return StoreFull("shared files", reason)
    if isinstance(error, FileNotFoundError):
        return NotFound("file or folder", path)
    if isinstance(error, FileExistsError):
        return AlreadyExists("file or folder", path)
    if isinstance(error, IsADirectoryError | NotADirectoryError):
        return InvalidInput("path", repr(path), reason)
    if isinstance(error, ConnectionError | TimeoutError):
        return Unavailable(f"shared files: {reason}")
    return StoreRefused("shared files", f"{reason}: {path}")


@contextmanager
def _reading(path: str) -> Iterator[BinaryIO]:
    """Open a local file; only errors of opening it count as errors of the local file."""
    with ExitStack() as stack:
        with _local(path):
            file = stack.enter_context(Path(path).open("rb"))
        yield file


@contextmanager
def _local(path: str) -> Iterator[None]:
    """Mark errors of a local file, to tell them apart from those of a shared file."""
    try:
        yield
    except OSError as error:
        raise InvalidInput("file", repr(path), error.strerror or str(error)) from error
