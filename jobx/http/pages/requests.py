"""The list of requests of a workflow."""

from __future__ import annotations

from typing import Final

from falcon.asgi import Request, Response

from jobx.http.pages.ui import Ui, asked
from jobx.http.reading import filters, headers
from jobx.http.writing import answer_memory
from jobx.questions import CountRequests

#: Parameters of the list.
FILTERS: Final = ("state", "job", "since", "until", "error", filters.ARGUMENT, "after", "limit")
_LIMIT: Final = 50


async def list_page(ui: Ui, req: Request, resp: Response, workflow: str) -> None:
    """Answer with a page of requests, newest first, filtered; and with their numbers."""
    given = asked(req, FILTERS)
    limit = headers.number(req, "limit", ui.site.settings.max_page, _LIMIT)
    question = filters.question(req, workflow, limit)
    answer_memory.hold_page(req, question.limit)
    counts = await ui.node.call(CountRequests(workflow=workflow))
    ui.send(
        *(req, resp, "requests.html"),
        workflow=workflow,
        states=filters.STATES,
        asked=given,
        arguments=[name for name in given if name.startswith(filters.ARGUMENT)],
        is_filtered=any(value for name, value in given.items() if name != "limit"),
        counts=counts,
        page=await ui.node.call(question),
    )
