"""``jobx run``: one request without HTTP, on the running node or on its own node."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path, PurePath
from typing import Any, Final, NamedTuple, NoReturn, Protocol, TypeVar

import click
import msgspec
import uvloop
from rich.console import Console

from jobx import logs, meanings, printable
from jobx.errors import (
    Draining,
    InUse,
    InvalidInput,
    JobxError,
    NodeLost,
    NodeUnreachable,
    OutcomeUnknown,
)
from jobx.handlers.authoring import workflow_folder
from jobx.handlers.pairs import root_input
from jobx.kv.requests import request_entity
from jobx.meanings import may_have_happened
from jobx.model import check_name
from jobx.questions import AwaitRequest, CancelRequest, Question, SubmitJob, WatchRequest
from jobx.tools.commands.request import FORMATS, REASON, failed, pin, say_result
from jobx.tools.serving import checks
from jobx.tools.shared import live, render, watching
from jobx.tools.shared.applying import apply_folder
from jobx.tools.shared.command import Call, command
from jobx.tools.shared.parsing import local_paths, parse_arguments, parse_context
from jobx.tools.shared.printed import say_printed
from jobx.tools.shared.watching import Stamps
from jobx.views import Outcome, View

A = TypeVar("A", bound=View)
T = TypeVar("T")

#: How often progress is shown; the end shows at once.
_POLL_S: Final = 0.2
#: What has ended by then shows no bars.
_SHOWN_AFTER_S: Final = 0.5

#: How long a run looks for a node after its own has ended.
HANDOVER_S: Final = 60.0


class _Shown(NamedTuple):
    """How an ended request is shown."""

    form: str
    quiet: bool


class Ask(Protocol):
    """Asks a node; gives its answer or raises its error."""

    async def __call__(self, question: Question[A]) -> A:
        """See ``NodePort.call``."""


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
                runner.run(_until_told(_watch(call, watch, submission, how)))
            outcome = runner.run(_until_told(_request(call, submission)))
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


async def _watch(call: Call, folder: Path, submission: SubmitJob, how: _Shown) -> NoReturn:
    """Apply a folder and run a request, again whenever a file in the folder changes."""
    named: Collection[PurePath] = ()

    def look() -> Stamps:
        return watching.look(folder, call.settings.data_dir)

    def code(stamps: Stamps) -> Stamps:
        return watching.code(stamps, folder, named)

    seen = await asyncio.to_thread(look)
    async with AsyncExitStack() as stack:
        has_node = False
        while True:
            files = await _applied(call, folder)
            if files is not None:
                named = files
                if not has_node:  # for all runs, which find it as any other
                    with suppress(InUse):  # another command is just starting one
                        await stack.enter_async_context(_node(call))
                        has_node = True
                again = msgspec.structs.replace(submission, request_id=_new_id())
                await _until_changed(_told(call, again, how), lambda: code(look()), code(seen))
                # What a run itself leaves in the folder is no change.
                now = await asyncio.to_thread(look)
                seen = {**dict(now.items() - code(now).items()), **code(seen)}
            sys.stdout.flush()  # somebody looks on, perhaps through a pipe
            seen = await watching.changed(look, seen)


async def _until_changed(
    work: Coroutine[Any, Any, None], look: Callable[[], Stamps], seen: Stamps
) -> None:
    """Do something to its end, or until something looks otherwise."""
    tasks = [asyncio.create_task(work), asyncio.create_task(watching.changed(look, seen))]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def _applied(call: Call, folder: Path) -> set[PurePath] | None:
    """Apply a folder; return what its declaration names, None after telling what is wrong."""
    try:
        await asyncio.to_thread(apply_folder, call, folder)
        return await asyncio.to_thread(workflow_folder.named_files, folder)
    except JobxError as error:
        for line in str(error).splitlines():
            render.complain(line)
        return None


async def _told(call: Call, submission: SubmitJob, how: _Shown) -> None:
    """Run a request, and show its result or its error with the author's lines."""
    try:
        outcome = await _request(call, submission)
        if (failure := outcome.request.failure) is not None and failure.traceback:
            click.echo(printable.lines(failure.traceback.rstrip()), err=True)
        await asyncio.to_thread(_say, call, outcome, how)  # it may ask the node of this loop
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
        wait_s=_POLL_S,
        time_limit_s=time_limit_s,
    )


async def _request(call: Call, submission: SubmitJob) -> Outcome:
    """Return the ended request; cancelling this coroutine cancels it."""
    # The node may belong to another run and end with it; then the request is found by its id.
    until, lost = 0.0, ""
    while True:
        until = until or time.monotonic() + HANDOVER_S
        try:
            return await _on_a_node(call, submission)
        except _HandedOver as error:
            until = until if lost == str(error) else 0.0  # the same failure again and again ends
            lost = str(error)
            render.complain(f"the node has ended ({lost}); the request continues")
        except (NodeUnreachable, Draining, InUse):
            if time.monotonic() > until and not lost:
                raise
        if until and time.monotonic() > until:
            raise OutcomeUnknown(_named(submission), lost)
        await asyncio.sleep(_POLL_S)


async def _on_a_node(call: Call, submission: SubmitJob) -> Outcome:
    """Return the ended request.

    Raises:
        _HandedOver: The node went before, and may have the request.
    """
    workflow, request_id = submission.workflow, submission.request_id
    wait = AwaitRequest(workflow=workflow, request_id=request_id, wait_s=_POLL_S)
    async with _node(call) as ask:
        is_there = False
        submitted = asyncio.ensure_future(ask(submission))
        try:
            outcome = await asyncio.shield(submitted)
            is_there = True
            async with _bars(ask, submission):
                while outcome.request.state == "running":
                    outcome = await ask(wait)
        except asyncio.CancelledError:
            # Else the cancellation might come first, and would find no request.
            await asyncio.gather(submitted, return_exceptions=True)
            await _cancel(ask, submission)
            raise
        except (NodeUnreachable, Draining, NodeLost) as error:
            raise _HandedOver(str(error)) from error
        except JobxError as error:
            if is_there or may_have_happened(error):
                raise OutcomeUnknown(_named(submission), str(error)) from error
            raise
    return outcome


class _HandedOver(Exception):
    """The node that was asked is gone, or goes."""


async def _cancel(ask: Ask, submission: SubmitJob) -> None:
    workflow, request_id = submission.workflow, submission.request_id
    try:
        await ask(CancelRequest(workflow=workflow, request_id=request_id, reason=REASON))
        line = "was cancelled"
    except JobxError as error:
        line = f"was not cancelled: {error}"
    render.complain(f"{_named(submission)} {line}")


def _named(submission: SubmitJob) -> str:
    return f"request {submission.workflow}/{submission.request_id}"


@asynccontextmanager
async def _node(call: Call) -> AsyncIterator[Ask]:
    """Give the way to ask the running node, or one that is started here and stopped after."""

    def ask_running(question: Question[A]) -> A:
        # A connection for each, so that one that is still waiting is in nobody's way.
        with call.gateway() as gateway:
            return gateway.call(question)

    async def ask(question: Question[A]) -> A:
        return await asyncio.to_thread(ask_running, question)

    if await asyncio.to_thread(_runs, call):
        yield ask
        return
    from jobx.actors.node import Node  # noqa: PLC0415 - most commands need no actors

    checks.check(call.settings, os.environ)
    logs.write_to(logging.StreamHandler(), "warning")
    logging.getLogger("jobx.notify").addFilter(_is_news)
    node = Node(call.settings, os.environ)
    await node.start()
    try:
        yield node.call
    finally:
        await node.stop(call.settings.node.drain_s)


def _is_news(record: logging.LogRecord) -> bool:
    """Pass over the notification of the one request's failure, which the command itself tells."""
    return not (isinstance(record.args, tuple) and record.args[:1] == ("request.failed",))


def _runs(call: Call) -> bool:
    try:
        call.gateway().close()
    except NodeUnreachable:
        call.find_store()
        return False
    return True


@asynccontextmanager
async def _bars(ask: Ask, submission: SubmitJob) -> AsyncIterator[None]:
    """Show how far a request is for the length of a ``with``, on stderr if that is a terminal."""
    console = render.console(stderr=True)
    if not console.is_terminal:
        yield
        return
    showing = asyncio.create_task(_show(ask, submission, console))
    try:
        yield
    finally:
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)


async def _show(ask: Ask, submission: SubmitJob, console: Console) -> None:
    workflow, request_id, after = submission.workflow, submission.request_id, -1
    await asyncio.sleep(_SHOWN_AFTER_S)
    with live.bars(console) as show:
        while True:
            asked = WatchRequest(
                workflow=workflow, request_id=request_id, after=after, wait_s=_POLL_S
            )
            try:
                view = await ask(asked)
                after = view.as_of
                show(view)
            except JobxError:  # who waits for the end of the request tells of it
                await asyncio.sleep(_POLL_S)
