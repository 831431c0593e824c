"""The page of one request: how it stands, why, and what can be done; and one invocation of it."""

from __future__ import annotations

from typing import Final

from falcon.asgi import Request, Response

from jobx.errors import InvalidInput, JobxError, quote
from jobx.http.pages import forms
from jobx.http.pages.ui import Ui
from jobx.http.reading import headers
from jobx.http.resources import requests
from jobx.http.resources.graphs import RequestPath
from jobx.meanings import meaning_of
from jobx.questions import (
    CancelRequest,
    DeliverResult,
    ExplainRequest,
)

#: Characters of a reason for a cancellation.
_ACTIONS: Final = ("cancel", "deliver")


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


async def invocation(ui: Ui, req: Request, resp: Response, **names: str) -> None:
    """Answer with one invocation: its input, output, session and error, with its code."""
    one = await ui.node.call(requests.invocation_of(**names))
    ui.send(req, resp, "invocation.html", one=one, key=names, code=[])


async def _send(
    ui: Ui,
    req: Request,
    resp: Response,
    key: RequestPath,
    error: JobxError | None = None,
) -> None:
    explained = await ui.node.call(ExplainRequest(**key))
    ui.send(
        *(req, resp, "request.html", 200 if error is None else meaning_of(type(error)).status),
        explained=explained,
        request=explained.request,
        error=error,
        token=forms.token(req, resp),
    )
