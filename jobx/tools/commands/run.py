"""``jobx run``: one request without HTTP, on the running node or on its own node."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click
import msgspec
import uvloop

from jobx import meanings, printable
from jobx.errors import InvalidInput, JobxError
from jobx.handlers.pairs import root_input
from jobx.kv.requests import request_entity
from jobx.model import check_name
from jobx.questions import SubmitJob
from jobx.tools.commands.request_keeping import pin
from jobx.tools.running.on_changes import run_on_changes
from jobx.tools.running.one_request import POLL_S, run_request
from jobx.tools.shared import render
from jobx.tools.shared.command import Call, command
from jobx.tools.shared.parsing import local_paths, parse_arguments, parse_context
from jobx.tools.shared.printed import say_printed
from jobx.tools.shared.results import FORMATS, failed, say_result
from jobx.views import Outcome

T = TypeVar("T")


class _Shown(NamedTuple):
    """How an ended request is shown."""

    form: str
    quiet: bool


@command(
    None,
    "run",
    example="run wordcount/count -a folder=/usr/share/doc --format table",
    flags={"executors": "node.executors"},
)
@click.argument("job", metavar="WORKFLOW/JOB")
@click.option(
    "-a",
    "--argument",
    "arguments",
    multiple=True,
    metavar="NAME=VALUE",
    help="An argument; VALUE is JSON, or else text.",
)
@click.option("--format", "form", type=FORMATS, default="json", show_default=True)
@click.option(
    "--time-limit",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Fail the request if it takes longer.",
)
@click.option("--context", metavar="JSON", help="A map that is shown with the request.")
@click.option("--executors", type=int, help="Executor processes; 0: one for each processor.")
@click.option(
    "--watch",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Apply DIR, run, and do both again whenever a file in it changes.",
)
@click.option("--quiet", is_flag=True, help="Do not show what the handlers print.")
@click.option("--keep", is_flag=True, help="Keep the request for ever; see request keep.")
def run(
    call: Call,
    *,
    job: str,
    arguments: tuple[str, ...],
    form: str,
    time_limit: float | None,
    context: str | None,
    watch: Path | None,
    quiet: bool,
    keep: bool,
) -> int:
    """Run one request and write its result to stdout.

    What its handlers print goes to stderr. The node on the data folder does the work. If none
    runs, the command starts one. Ctrl-C cancels the request.
    """
    shown = {} if context is None else parse_context(context)
    how = _Shown(form, quiet)
    submission = _submission(job, arguments, time_limit, shown)
    for hint in local_paths(parse_arguments("-a", arguments)):
        render.complain(hint)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            if watch is not None:
                again = partial(_run_and_tell, call, submission, how)
                runner.run(_until_told(run_on_changes(call, watch, again)))
            outcome = runner.run(_until_told(run_request(call, submission)))
        except (KeyboardInterrupt, asyncio.CancelledError):
            return meanings.INTERRUPTED
    if keep:
        with call.store() as store:
            pin(store, submission.workflow, (outcome.request.request_id,))
    _say(call, outcome, how)
    return meanings.OK


def _say(call: Call, outcome: Outcome, how: _Shown) -> None:
    """Write the result of an ended request to stdout.

    Raises:
        RequestFailed: It has none.
    """
    request, result = outcome.request, outcome.result
    if not how.quiet:
        say_printed(call, request.workflow_name, request.request_id, request.counts)
    if result is None:
        raise failed(request.request_id, request.state, request.failure)
    say_result(call, result, how.form)


async def _until_told(work: Coroutine[Any, Any, T]) -> T:
    """Do something until it is done, or somebody ends it with SIGTERM, which is as Ctrl-C."""
    # Without this the next node would continue the request.
    if task := asyncio.current_task():
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work


async def _run_and_tell(call: Call, submission: SubmitJob, how: _Shown) -> None:
    """Run a request, and show its result or its error with the author's lines."""
    submission = msgspec.structs.replace(submission, request_id=_new_id())
    try:
        outcome = await run_request(call, submission)
    except JobxError as error:
        await asyncio.to_thread(render.complain, str(error))
    else:
        await asyncio.to_thread(_tell, call, outcome, how)  # it may ask the node of this loop


def _tell(call: Call, outcome: Outcome, how: _Shown) -> None:
    failure = outcome.request.failure
    if failure is not None and failure.traceback:
        click.echo(printable.lines(failure.traceback.rstrip()), err=True)
    try:
        _say(call, outcome, how)
    except JobxError as error:
        render.complain(str(error))


def _new_id() -> str:
    return request_entity.new_id(time.time(), os.urandom(10))


def _submission(
    job: str, arguments: tuple[str, ...], time_limit_s: float | None, context: dict[str, Any]
) -> SubmitJob:
    workflow, slash, name = job.partition("/")
    if not slash:
        raise InvalidInput("job", repr(job), "must be WORKFLOW/JOB")
    return SubmitJob(
        workflow=check_name("workflow name", workflow),
        request_id=_new_id(),
        job=check_name("job name", name),
        arguments=root_input.pack(parse_arguments("-a", arguments)),
        context=context,
        wait_s=POLL_S,
        time_limit_s=time_limit_s,
    )
