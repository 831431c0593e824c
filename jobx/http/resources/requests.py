"""Handles requests: list, count, view, result, trace, graph, cancel."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import falcon
from falcon.asgi import Request, Response

from jobx import questions
from jobx.errors import BlobDamaged, InvalidInput, NotEnded, NotFound
from jobx.http.node.polls import Seen
from jobx.http.reading import bodies, filters, headers
from jobx.http.resources import graphs, live
from jobx.http.resources.site import Site
from jobx.http.writing import answer_memory, media, results
from jobx.model import check_name

#: Invocations that a trace shows by default.
TRACE_LIMIT: Final = 1000
MAX_TRACE: Final = 100_000

ID_PATTERN: Final = "^[a-z0-9][a-z0-9_-]{0,62}$"
INVOCATION_PATTERN: Final = "^[mcr](0|[1-9][0-9]{0,17})$"
_ID: Final = re.compile(ID_PATTERN)
_INVOCATION_ID: Final = re.compile(INVOCATION_PATTERN)
MAX_REASON_CHARS: Final = 500


async def list_page(site: Site, req: Request, resp: Response, workflow: str) -> None:
    """Answer with a page of requests, newest first."""
    question = filters.question(req, workflow, headers.page_limit(req, site.settings.max_page))
    answer_memory.hold_page(req, question.limit)
    results.send_json(resp, await site.node.call(question))


async def count(site: Site, req: Request, resp: Response, workflow: str) -> None:
    """Answer with the numbers of requests by job and state."""
    check_name("workflow", workflow)
    question = questions.CountRequests(workflow=workflow, job=filters.job(req))
    results.send_json(resp, await site.node.call(question))


async def read(site: Site, req: Request, resp: Response, workflow: str, request_id: str) -> None:
    """Answer with the state of a request, or its graph if a picture is preferred."""
    key = key_of(workflow, request_id)
    picture = graphs.preferred(req)
    if picture is not None:
        await graphs.send(site, resp, picture, key)
    else:
        resp.set_header("Vary", "Accept")
        results.send_json(resp, await site.node.call(questions.GetRequest(**key)))


async def cancel(site: Site, req: Request, resp: Response, workflow: str, request_id: str) -> None:
    """Cancel a request with all of its tree; 202 while it still ends."""
    reason = req.get_param("reason") or ""
    if len(reason) > MAX_REASON_CHARS:
        limit = f"may have at most {MAX_REASON_CHARS} characters"
        raise InvalidInput("query parameter reason", repr(reason)[:80], limit)
    requester = headers.requester_ip(req, site.settings.forwarded_header)
    reason = reason or f"over HTTP by {requester}"
    request = await site.node.call(
        questions.CancelRequest(**key_of(workflow, request_id), reason=reason)
    )
    if request.state == "running":
        results.send_running(resp, request)
    else:
        results.send_json(resp, request)


async def result(site: Site, req: Request, resp: Response, workflow: str, request_id: str) -> None:
    """Answer with the result or failure of a request; ``Prefer: wait=N`` waits for its end."""
    waiting = headers.waiting_if_preferred(req, site.settings.max_wait_s)
    accepted = media.accepted(req)
    question = questions.AwaitRequest(**key_of(workflow, request_id), wait_s=waiting.wait_s)
    outcome = await site.node.attend(question)
    resp.set_header("X-MR-REQUEST-ID", request_id)
    resp.set_header("Vary", "Accept")
    if waiting.applied:
        resp.set_header("Preference-Applied", waiting.applied)
    if outcome.request.state == "running":
        resp.set_header("Retry-After", "1")
        raise NotEnded(request_id)
    async with reading_blobs(site, workflow, request_id):
        await results.send_outcome(req, resp, outcome, accepted, site.reading)


@asynccontextmanager
async def reading_blobs(site: Site, workflow: str, request_id: str) -> AsyncIterator[None]:
    """Read blobs of a request that may be removed meanwhile, which is no damage.

    Raises:
        NotFound: The request is not there any more.
    """
    try:
        yield
    except BlobDamaged:
        await site.node.call(questions.GetRequest(**key_of(workflow, request_id)))
        raise


async def deliver(site: Site, req: Request, resp: Response, workflow: str, request_id: str) -> None:
    """Deliver the result again, under the same delivery id; 202 with a location."""
    bodies.refuse(req)
    results.send_running(
        resp, await site.node.call(questions.DeliverResult(**key_of(workflow, request_id)))
    )


async def explain(site: Site, _: Request, resp: Response, workflow: str, request_id: str) -> None:
    """Answer with why a request is where it is."""
    question = questions.ExplainRequest(**key_of(workflow, request_id))
    results.send_json(resp, await site.node.call(question))


async def trace(site: Site, req: Request, resp: Response, workflow: str, request_id: str) -> None:
    """Answer with the invocation tree."""
    limit = headers.page_limit(req, MAX_TRACE, TRACE_LIMIT)
    question = questions.GetTrace(**key_of(workflow, request_id), limit=limit)
    answer_memory.hold_trace(req, limit)
    results.send_text(resp, (await site.node.call(question)).json)


async def invocation(site: Site, _: Request, resp: Response, **names: str) -> None:
    """Answer with one invocation."""
    results.send_json(resp, await site.node.call(invocation_of(**names)))


async def output(site: Site, _: Request, resp: Response, **names: str) -> None:
    """Answer with the captured output of an invocation, as text."""
    resp.content_type = falcon.MEDIA_TEXT
    resp.data = ((await site.node.call(invocation_of(**names))).output or "").encode()


async def events(site: Site, req: Request, resp: Response, workflow: str, request_id: str) -> None:
    """Answer with what happens to a request, as it happens."""
    seen = Seen(**key_of(workflow, request_id), after=live.last_event(req))
    try:
        await live.send(site.streams, req, resp, seen)
    except InvalidInput as error:
        raise live.refusal(req, error) from error


async def graph(site: Site, req: Request, resp: Response, workflow: str, request_id: str) -> None:
    """Answer with the invocation tree as a picture, or as text for Graphviz."""
    await graphs.send(site, resp, graphs.chosen(req), key_of(workflow, request_id))


def key_of(workflow: str, request_id: str) -> graphs.RequestPath:
    """Return the names of a request, from its address.

    Raises:
        InvalidInput: It is no name of a workflow.
        NotFound: There is no request of such an id.
    """
    check_name("workflow", workflow)
    if not _ID.fullmatch(request_id):
        raise NotFound("request", request_id[:80])
    return {"workflow": workflow, "request_id": request_id}


def invocation_of(workflow: str, request_id: str, invocation_id: str) -> questions.GetInvocation:
    """Return the question for an invocation.

    Raises:
        InvalidInput: It is no name of a workflow.
        NotFound: There is no request or invocation of such an id.
    """
    key = key_of(workflow, request_id)
    if not _INVOCATION_ID.fullmatch(invocation_id):
        raise NotFound("invocation", invocation_id[:80])
    return questions.GetInvocation(**key, invocation_id=invocation_id)
