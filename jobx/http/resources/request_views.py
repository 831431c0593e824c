"""Handles views of requests: what they have done, page by page."""

from __future__ import annotations

import math
import typing
from typing import Final, cast

from falcon.asgi import Request, Response

from jobx import questions, views
from jobx.errors import InvalidInput, quote
from jobx.http.reading import headers
from jobx.http.resources.graphs import RequestPath
from jobx.http.resources.requests import key_of
from jobx.http.resources.site import Site
from jobx.http.writing import answer_memory, encoding, results
from jobx.model import check_name
from jobx.views import InvocationState

STATES: Final = typing.get_args(InvocationState)
KINDS: Final = ("map", "combine", "reduce")
#: Most columns of a timeline.
MAX_WIDTH: Final = 10_000
WIDTH: Final = 1200
#: A timeline has at most so many bars.
_BARS: Final = 10_000


async def summary(site: Site, req: Request, resp: Response, workflow: str, request_id: str) -> None:
    """Answer with what a request has done so far."""
    view = await site.node.call(questions.GetSummary(**key_of(workflow, request_id)))
    _send(req, resp, view)


async def tree(site: Site, req: Request, resp: Response, workflow: str, request_id: str) -> None:
    """Answer with the children of a mapper, in runs of one state."""
    question = tree_question(site, req, key_of(workflow, request_id))
    answer_memory.hold_page(req, question.limit)
    view = await site.node.call(question)
    _send(req, resp, view)


async def invocations(
    site: Site, req: Request, resp: Response, workflow: str, request_id: str
) -> None:
    """Answer with a page of invocations."""
    question = invocations_question(site, req, key_of(workflow, request_id))
    answer_memory.hold_page(req, question.limit)
    view = await site.node.call(question)
    _send(req, resp, view)


async def timeline(
    site: Site, req: Request, resp: Response, workflow: str, request_id: str
) -> None:
    """Answer with what ran when."""
    question = timeline_question(req, key_of(workflow, request_id))
    answer_memory.hold_page(req, _BARS)
    view = await site.node.call(question)
    _send(req, resp, view)


def _send(
    req: Request,
    resp: Response,
    view: views.SummaryView | views.TreePage | views.InvocationPage | views.TimelineView,
) -> None:
    """Answer with a view, tagged with its last event; one of a part of a log has a tag of its own.

    A view that ends there may have been of all of the log, when that was shorter.
    """
    results.send_json(resp, view)
    tag = view.as_of if view.reading is None else f"{view.as_of}-{view.reading.of}"
    encoding.tag_as(req, resp, tag)


def tree_question(site: Site, req: Request, key: RequestPath) -> questions.GetTree:
    """Return the question for the children of a mapper; raises InvalidInput for a wrong query."""
    return questions.GetTree(
        **key,
        of=req.get_param("of") or "m0",
        after=req.get_param("after"),
        limit=headers.page_limit(req, site.settings.max_page),
    )


def invocations_question(site: Site, req: Request, key: RequestPath) -> questions.ListInvocations:
    """Return the question for a page of invocations; raises InvalidInput for a wrong query."""
    step = req.get_param("step")
    return questions.ListInvocations(
        **key,
        state=cast("InvocationState | None", _one_of(req, "state", STATES)),
        step=None if step is None else check_name("query parameter step", step),
        kind=cast("typing.Any", _one_of(req, "kind", KINDS)),
        start=req.get_param("from"),
        limit=headers.page_limit(req, site.settings.max_page),
    )


def timeline_question(req: Request, key: RequestPath) -> questions.GetTimeline:
    """Return the question for what ran when; raises InvalidInput for a wrong query."""
    return questions.GetTimeline(
        **key,
        from_at=_instant(req, "from"),
        until_at=_instant(req, "to"),
        width=headers.number(req, "width", MAX_WIDTH, WIDTH),
    )


def _one_of(req: Request, name: str, known: tuple[str, ...]) -> str | None:
    """Return a parameter that is one of several words, or None where it is missing.

    Raises:
        InvalidInput: It is something else.
    """
    word: str | None = req.get_param(name)
    if word is None or word in known:
        return word
    reason = f"must be one of {', '.join(known)}"
    raise InvalidInput(f"query parameter {name}", quote(word), reason)


def _instant(req: Request, name: str) -> float | None:
    """Return a parameter that is an instant in seconds, or None where it is missing.

    Raises:
        InvalidInput: It is something else.
    """
    text: str | None = req.get_param(name)
    if text is None:
        return None
    try:
        instant = float(text)
    except ValueError:
        instant = math.nan
    if not math.isfinite(instant):
        reason = "must be seconds since 1970, such as started_at"
        raise InvalidInput(f"query parameter {name}", quote(text), reason)
    return instant
