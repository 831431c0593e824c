"""Requests as they stand: listing, view, result, trace, graph, cancel."""

from __future__ import annotations

import re
import typing
from typing import Final, cast

import falcon
from falcon.asgi import Request, Response

from jobx.config import HttpSettings
from jobx.errors import InvalidInput, NotEnded, NotFound
from jobx.http.node.client import NodePort
from jobx.http.reading import bodies, headers
from jobx.http.resources import graphs
from jobx.http.writing import held, media, results
from jobx.model import RequestState, check_name
from jobx.questions import (
    AwaitRequest,
    CancelRequest,
    DeliverResult,
    GetInvocation,
    GetRequest,
    GetTrace,
    ListRequests,
)

STATES: Final = typing.get_args(RequestState)
#: Invocations that a trace shows unless the client asks for more.
TRACE_LIMIT: Final = 1000
MAX_TRACE: Final = 100_000

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_INVOCATION_ID: Final = re.compile(r"[mcr](0|[1-9][0-9]{0,17})")
_MAX_REASON_CHARS: Final = 500


class RequestList:
    """``/request/{workflow}``."""

    def __init__(self, node: NodePort, settings: HttpSettings) -> None:
        self._node = node
        self._max_page = settings.max_page

    async def on_get(self, req: Request, resp: Response, workflow: str) -> None:
        """Answer with a page of requests, newest first."""
        asked = headers.query(req, "state", "limit", "after")
        state = asked.get("state")
        if state is not None and state not in STATES:
            reason = f"must be one of {', '.join(STATES)}"
            raise InvalidInput("query parameter state", repr(state)[:80], reason)
        question = ListRequests(
            workflow=check_name("workflow", workflow),
            state=cast("RequestState | None", state),
            after=asked.get("after"),
            limit=headers.page_limit(asked, self._max_page),
        )
        held.hold_page(req, question.limit)
        results.send_json(resp, await self._node.call(question))

    on_head = on_get


class OneRequest:
    """``/request/{workflow}/{request_id}``."""

    def __init__(self, node: NodePort, settings: HttpSettings, drawing: graphs.Drawing) -> None:
        self._node = node
        self._forwarded_header = settings.forwarded_header
        self._drawing = drawing

    async def on_get(self, req: Request, resp: Response, workflow: str, request_id: str) -> None:
        """Answer with the request as it stands; with its graph if a picture is preferred."""
        headers.query(req)
        key = _key(workflow, request_id)
        picture = graphs.preferred(req)
        if picture is not None:
            await self._drawing.send(resp, picture, key)
        else:
            results.send_json(resp, await self._node.call(GetRequest(**key)))

    on_head = on_get

    async def on_delete(self, req: Request, resp: Response, workflow: str, request_id: str) -> None:
        """Cancel the request and all of its tree; 202 while that goes on."""
        reason = headers.query(req, "reason").get("reason", "")
        if len(reason) > _MAX_REASON_CHARS:
            limit = f"may have at most {_MAX_REASON_CHARS} characters"
            raise InvalidInput("query parameter reason", repr(reason)[:80], limit)
        requester = headers.requester_ip(req, self._forwarded_header)
        reason = reason or f"over HTTP by {requester}"
        question = CancelRequest(**_key(workflow, request_id), reason=reason)
        request = await self._node.call(question)
        if request.state == "running":
            results.send_running(resp, request)
        else:
            results.send_json(resp, request)


class RequestResult:
    """``/request/{workflow}/{request_id}/result``."""

    def __init__(self, node: NodePort, settings: HttpSettings) -> None:
        self._node = node
        self._settings = settings

    async def on_get(self, req: Request, resp: Response, workflow: str, request_id: str) -> None:
        """Answer with what the request ended with; ``Prefer: wait=N`` waits for its end."""
        headers.query(req)
        waiting = headers.waiting_if_preferred(req, self._settings.max_wait_s)
        accepted = media.accepted(req)
        question = AwaitRequest(**_key(workflow, request_id), wait_s=waiting.wait_s)
        outcome = await self._node.attend(question)
        resp.set_header("X-MR-REQUEST-ID", request_id)
        if waiting.applied:
            resp.set_header("Preference-Applied", waiting.applied)
        if outcome.request.state == "running":
            resp.set_header("Retry-After", "1")
            raise NotEnded(request_id)
        await results.send_outcome(req, resp, outcome, accepted, self._settings.max_inline_pairs)

    on_head = on_get


class RequestDelivery:
    """``/request/{workflow}/{request_id}/delivery``."""

    def __init__(self, node: NodePort) -> None:
        self._node = node

    async def on_post(self, req: Request, resp: Response, workflow: str, request_id: str) -> None:
        """Deliver the result once more, under the same delivery id; 202 and where to look."""
        headers.query(req)
        bodies.refuse(req)
        question = DeliverResult(**_key(workflow, request_id))
        results.send_running(resp, await self._node.call(question))


class RequestTrace:
    """``/request/{workflow}/{request_id}/trace``."""

    def __init__(self, node: NodePort) -> None:
        self._node = node

    async def on_get(self, req: Request, resp: Response, workflow: str, request_id: str) -> None:
        """Answer with the invocation tree."""
        limit = headers.page_limit(headers.query(req, "limit"), MAX_TRACE, TRACE_LIMIT)
        question = GetTrace(**_key(workflow, request_id), limit=limit)
        held.hold_trace(req, limit)
        results.send_text(resp, (await self._node.call(question)).json)

    on_head = on_get


class OneInvocation:
    """``/request/{workflow}/{request_id}/invocation/{invocation_id}``."""

    def __init__(self, node: NodePort) -> None:
        self._node = node

    async def on_get(
        self, req: Request, resp: Response, workflow: str, request_id: str, invocation_id: str
    ) -> None:
        """Answer with one invocation."""
        headers.query(req)
        question = _invocation(workflow, request_id, invocation_id)
        results.send_json(resp, await self._node.call(question))

    on_head = on_get


class InvocationOutput:
    """``/request/{workflow}/{request_id}/invocation/{invocation_id}/output``."""

    def __init__(self, node: NodePort) -> None:
        self._node = node

    async def on_get(
        self, req: Request, resp: Response, workflow: str, request_id: str, invocation_id: str
    ) -> None:
        """Answer with what an invocation wrote, as text."""
        headers.query(req)
        found = await self._node.call(_invocation(workflow, request_id, invocation_id))
        resp.content_type = falcon.MEDIA_TEXT
        resp.text = found.output or ""

    on_head = on_get


class RequestGraph:
    """``/request/{workflow}/{request_id}/graph``."""

    def __init__(self, drawing: graphs.Drawing) -> None:
        self._drawing = drawing

    async def on_get(self, req: Request, resp: Response, workflow: str, request_id: str) -> None:
        """Answer with the invocation tree as a picture, or as text for Graphviz."""
        headers.query(req)
        await self._drawing.send(resp, graphs.chosen(req), _key(workflow, request_id))

    on_head = on_get


def _key(workflow: str, request_id: str) -> graphs.Key:
    check_name("workflow", workflow)
    if not _ID.fullmatch(request_id):
        raise NotFound("request", request_id[:80])
    return {"workflow": workflow, "request_id": request_id}


def _invocation(workflow: str, request_id: str, invocation_id: str) -> GetInvocation:
    key = _key(workflow, request_id)
    if not _INVOCATION_ID.fullmatch(invocation_id):
        raise NotFound("invocation", invocation_id[:80])
    return GetInvocation(**key, invocation_id=invocation_id)
