"""The pages of one request: how it stands and why, its tree, its times, one invocation of it."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from falcon.asgi import Request, Response

from jobx.errors import InvalidInput, JobxError, NotFound, quote
from jobx.http.pages import forms, result_shown, source_lines, timelines
from jobx.http.pages.ui import Ui, asked
from jobx.http.reading import headers
from jobx.http.resources import request_views, requests
from jobx.http.resources.graphs import RequestPath
from jobx.http.writing import answer_memory
from jobx.meanings import meaning_of
from jobx.model import Failure
from jobx.questions import (
    CancelRequest,
    DeliverResult,
    ExplainRequest,
    GetEntity,
    GetRequest,
    GetSummary,
)
from jobx.views import SummaryView

#: Parameters of the pages of views.
TREE: Final = ("of", "after", "limit")
INVOCATIONS: Final = ("state", "step", "kind", "from", "limit")
_ACTIONS: Final = ("cancel", "deliver")
#: Items that are believed to take the memory of a page of a view.
_ITEMS: Final = 1000


async def show(ui: Ui, req: Request, resp: Response, workflow: str, request_id: str) -> None:
    """Answer with how a request stands."""
    await _send(ui, req, resp, requests.key_of(workflow, request_id))


async def act(ui: Ui, req: Request, resp: Response, workflow: str, request_id: str) -> None:
    """Cancel a request, or deliver its result again, and show how it stands then."""
    key = requests.key_of(workflow, request_id)
    given = await forms.fields(req, ui.site.settings)
    action = given.get("do", "")
    try:
        if action == "cancel":
            requester = headers.requester_ip(req, ui.site.settings.forwarded_header)
            reason = given.get("reason", "")[: requests.MAX_REASON_CHARS]
            reason = reason or f"on its page by {requester}"
            await ui.node.call(CancelRequest(**key, reason=reason))
        elif action == "deliver":
            await ui.node.call(DeliverResult(**key))
        else:
            raise InvalidInput("field do", quote(action), f"must be one of {', '.join(_ACTIONS)}")
    except JobxError as error:
        await _send(ui, req, resp, key, error)
        return
    resp.status = 303
    resp.set_header("Location", request_id)


async def tree(ui: Ui, req: Request, resp: Response, workflow: str, request_id: str) -> None:
    """Answer with the children of a mapper, in runs of one state."""
    key = requests.key_of(workflow, request_id)
    answer_memory.hold_page(req, _ITEMS)
    page = await ui.node.call(request_views.tree_question(ui.site, req, key))
    shown = {"page": page, "asked": asked(req, TREE), "reading": page.reading}
    await _send_view(ui, req, resp, "tree.html", key, **shown)


async def invocations(ui: Ui, req: Request, resp: Response, workflow: str, request_id: str) -> None:
    """Answer with a list of invocations, filtered."""
    key = requests.key_of(workflow, request_id)
    answer_memory.hold_page(req, _ITEMS)
    page = await ui.node.call(request_views.invocations_question(ui.site, req, key))
    states, kinds = request_views.STATES, request_views.KINDS
    await _send_view(
        *(ui, req, resp, "invocations.html", key),
        page=page,
        asked=asked(req, INVOCATIONS),
        reading=page.reading,
        states=states,
        kinds=kinds,
    )


async def timeline(ui: Ui, req: Request, resp: Response, workflow: str, request_id: str) -> None:
    """Answer with what ran when: a picture for scripts to draw, and its table."""
    key = requests.key_of(workflow, request_id)
    answer_memory.hold_page(req, timelines.MAX_BARS)
    view = await ui.node.call(timelines.question(req, key))
    shown = timelines.table(view)
    await _send_view(
        *(ui, req, resp, "timeline.html", key), view=view, table=shown, reading=view.reading
    )


async def invocation(ui: Ui, req: Request, resp: Response, **names: str) -> None:
    """Answer with one invocation: its input, output, session and error, with its code."""
    one = await ui.node.call(requests.invocation_of(**names))
    code = await _code(ui, names["workflow"], one.failure) if one.failure else []
    ui.send(req, resp, "invocation.html", one=one, key=names, code=code)


async def result(ui: Ui, req: Request, resp: Response, workflow: str, request_id: str) -> None:
    """Answer with the first pairs of a result."""
    key = requests.key_of(workflow, request_id)
    async with requests.reading_blobs(ui.site, workflow, request_id):
        first = await result_shown.first_pairs(ui.site, req, key)
    await _send_view(ui, req, resp, "result.html", key, first=first)


async def _send(
    ui: Ui, req: Request, resp: Response, key: RequestPath, error: JobxError | None = None
) -> None:
    # Each of them may read a long log for a second.
    explained, (summary, unseen) = await asyncio.gather(
        ui.node.call(ExplainRequest(**key)), _summary(ui, key)
    )
    ui.send(
        *(req, resp, "request.html", 200 if error is None else meaning_of(type(error)).status),
        explained=explained,
        request=explained.request,
        summary=summary,
        reading=explained.reading or (summary.reading if summary is not None else None),
        unseen=unseen,
        error=error,
        token=forms.token(req, resp),
    )


async def _summary(ui: Ui, key: RequestPath) -> tuple[SummaryView | None, JobxError | None]:
    """Return what a request has done, or why that cannot be shown."""
    try:
        return await ui.node.call(GetSummary(**key)), None
    except JobxError as failed:  # how the request stands is shown all the same
        return None, failed


async def _send_view(
    ui: Ui, req: Request, resp: Response, template: str, key: RequestPath, **values: Any
) -> None:
    request = await ui.node.call(GetRequest(**key))
    ui.send(req, resp, template, request=request, **{"reading": None, **values})


async def _code(ui: Ui, workflow: str, failure: Failure) -> list[source_lines.Line]:
    """Return the lines around an error, of the handler as it is now; empty if they do not fit."""
    if not failure.handler_name or not failure.traceback:
        return []
    try:
        asked = GetEntity(kind="handler", workflow=workflow, name=failure.handler_name)
        found = await ui.node.call(asked)
    except NotFound:
        return []
    return source_lines.around(found.entity["source_code"], failure.traceback)
