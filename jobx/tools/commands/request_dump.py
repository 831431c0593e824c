"""``jobx request dump``: every invocation of a request with all that is known of it."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

import click
from msgspec.structs import replace

from jobx.actors.inspection.dumps import text as dump_text
from jobx.actors.inspection.dumps.dump import Dump
from jobx.errors import InvalidInput
from jobx.handlers.blobs.opening import shared_blobs
from jobx.handlers.trial.single_run import Trial
from jobx.kv.blobs import BlobFolder
from jobx.kv.store import Store
from jobx.questions import GetDump
from jobx.tools.shared.command import Call, command, takes
from jobx.tools.shared.rerun import rerun as run_again
from jobx.tools.shared.rerun import vertex_of
from jobx.views import InvocationState

FORMS = click.Choice(("ndjson", "json", "text"))


def add_to(group: click.Group) -> None:
    """Add the command to a group."""
    group.add_command(dump)


@command(None, "dump", example="request dump wordcount REQUEST_ID --state failed --format text")
@takes("workflow", "request_id")
@click.option(
    "--format", "form", type=FORMS, help="ndjson, or json with --json, if it is not said."
)
@click.option("--flat", "is_flat", is_flag=True, help="The tree alone, as mr listed it.")
@click.option(
    "--state", "states", multiple=True, type=click.Choice(get_args(InvocationState)),
    help="Only invocations in this state; may be repeated.",
)  # fmt: skip
@click.option("--step", "steps", multiple=True, help="Only of this step; may be repeated.")
@click.option("--below", metavar="ID", help="Only this mapper, such as m17, and all below it.")
@click.option(
    "--attempts", type=click.IntRange(1, 1_000_000), default=1, help="Only what was tried so often."
)
@click.option(
    "--max-value-bytes", type=click.IntRange(1, 64 << 20), default=1 << 20, show_default=True,
    help="Leave larger values out, with a word.",
)  # fmt: skip
@click.option("--redact", "is_redacted", is_flag=True, help="Show types and sizes of values only.")
@click.option(
    "--rerun", metavar="ID", help="Run this mapper, such as m17, again, and show what comes of it."
)
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(path_type=Path), help="Not to stdout."
)
def dump(
    call: Call, output: Path | None, form: str | None, rerun: str | None, **asked: Any
) -> None:
    """Write every invocation of a request, with all that is known.

    Arguments, what the mapper, combiner and reducer yielded, session, output, error with the lines
    of its code, each attempt, node, executor, version, time in the queue and run time. What is
    absent has its reason.
    """
    question = GetDump(**{"form": form or ("json" if call.as_json else "ndjson"), **asked})
    with call.store() as store:
        blobs = BlobFolder(call.settings.blob_path, shared_blobs(call.settings.blobs))
        if rerun is None:
            chunks = dump_text.chunks(store, blobs, question)
        else:
            chunks = iter([_again(call, store, blobs, question, vertex_of(rerun))])
        if output is None:
            _say(chunks)
        else:
            _write(output, chunks)


def _again(call: Call, store: Store, blobs: BlobFolder, asked: GetDump, vertex: int) -> bytes:
    """Return the dump of a mapper that runs again; filters do not count."""
    asked = replace(asked, below=f"m{vertex}", states=(), steps=(), attempts=1)
    with Trial(call.settings, os.environ) as trial:
        lines = list(run_again(store, Dump(store, blobs, asked), vertex, trial))
    return dump_text.of_lines(lines, asked.form)


def _say(chunks: Iterable[bytes]) -> None:
    sys.stdout.flush()
    for chunk in chunks:
        sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()


def _write(path: Path, chunks: Iterable[bytes]) -> None:
    """Write or replace a file as a whole, while its content comes.

    Raises:
        InvalidInput: It cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            whole = Path(folder) / path.name
            with whole.open("wb") as file:
                file.writelines(chunks)
            os.replace(whole, path)
    except OSError as error:
        raise InvalidInput("file", str(path), error.strerror or str(error)) from error
