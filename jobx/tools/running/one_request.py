"""Runs one request to its end, whichever node has it, and shows how far it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from rich.console import Console

from jobx.errors import Draining, InUse, JobxError, NodeLost, NodeUnreachable, OutcomeUnknown
from jobx.meanings import may_have_happened
from jobx.questions import AwaitRequest, CancelRequest, SubmitJob, WatchRequest
from jobx.tools.running.asked_node import AskNode, asked_node
from jobx.tools.shared import live, render
from jobx.tools.shared.command import Call
from jobx.tools.shared.results import REASON
from jobx.views import Outcome

#: How often progress is shown; the end shows at once.
POLL_S: Final = 0.2
#: What has ended by then shows no bars.
_SHOWN_AFTER_S: Final = 0.5
#: How long a run looks for a node after its own has ended.
HANDOVER_S: Final = 60.0


async def run_request(call: Call, submission: SubmitJob) -> Outcome:
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
            line = f"the node has ended ({lost}); the request continues"
            await asyncio.to_thread(render.complain, line)
        except (NodeUnreachable, Draining, InUse):
            if time.monotonic() > until and not lost:
                raise
        if until and time.monotonic() > until:
            raise OutcomeUnknown(_named(submission), lost)
        await asyncio.sleep(POLL_S)


async def _on_a_node(call: Call, submission: SubmitJob) -> Outcome:
    """Return the ended request.

    Raises:
        _HandedOver: The node went before, and may have the request.
    """
    workflow, request_id = submission.workflow, submission.request_id
    wait = AwaitRequest(workflow=workflow, request_id=request_id, wait_s=POLL_S)
    async with asked_node(call) as ask:
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


async def _cancel(ask: AskNode, submission: SubmitJob) -> None:
    workflow, request_id = submission.workflow, submission.request_id
    try:
        await ask(CancelRequest(workflow=workflow, request_id=request_id, reason=REASON))
        line = "was cancelled"
    except JobxError as error:
        line = f"was not cancelled: {error}"
    await asyncio.to_thread(render.complain, f"{_named(submission)} {line}")


def _named(submission: SubmitJob) -> str:
    return f"request {submission.workflow}/{submission.request_id}"


@asynccontextmanager
async def _bars(ask: AskNode, submission: SubmitJob) -> AsyncIterator[None]:
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


async def _show(ask: AskNode, submission: SubmitJob, console: Console) -> None:
    workflow, request_id, after = submission.workflow, submission.request_id, -1
    await asyncio.sleep(_SHOWN_AFTER_S)
    with live.bars(console) as show:
        while True:
            asked = WatchRequest(
                workflow=workflow, request_id=request_id, after=after, wait_s=POLL_S
            )
            try:
                view = await ask(asked)
                after = view.as_of
                await asyncio.to_thread(show, view)  # a terminal may be stopped
            except JobxError:  # who waits for the end of the request tells of it
                await asyncio.sleep(POLL_S)
