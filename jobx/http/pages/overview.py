"""The first page: how the node is, what runs, what failed last, and the workflows."""

from __future__ import annotations

import asyncio
from itertools import chain
from typing import Final

from falcon.asgi import Request, Response

from jobx.errors import JobxError
from jobx.http.pages.ui import ROOT, Ui
from jobx.http.reading import headers
from jobx.http.resources import entities
from jobx.http.writing import answer_memory
from jobx.model import RequestState
from jobx.questions import GetNode, GetReadiness, ListEntities, ListRequests
from jobx.views import RequestView

#: Workflows whose requests are looked at, and how many of each.
LOOKED: Final = 8
SHOWN: Final = 10
_LIMIT: Final = 100
#: How long a node may take to say how it is.
_NODE_S: Final = 2.0


async def redirect(_: Ui, __: Request, resp: Response) -> None:
    """Send a browser to the folder of the pages; the way is relative, because of prefixes."""
    resp.status = 308
    resp.set_header("Location", f"{ROOT.removeprefix('/')}/")


async def overview(ui: Ui, req: Request, resp: Response) -> None:
    """Answer with the overview; a node that does not answer is what it shows then."""
    node, trouble, notice, found, more = None, None, None, [], None
    unreadable: list[str] = []
    headers.check_query(req, "after")
    after = entities.cursor("workflow", req.get_param("after"), None)
    limit = min(_LIMIT, ui.site.settings.max_page)
    answer_memory.hold_page(req, limit)
    try:
        ready = await ui.node.call(GetReadiness(), _NODE_S)
        node = await ui.node.call(GetNode(), _NODE_S)
        trouble, notice = ready.trouble, ready.notice
        page = await ui.node.call(ListEntities(kind="workflow", after=after, limit=limit))
        found, more, unreadable = page.entities, page.next, page.unreadable
        names = [one["workflow_name"] for one in found[:LOOKED]]
        running, failed = await asyncio.gather(
            _latest(ui, names, "running"), _latest(ui, names, "failed")
        )
    except JobxError as error:
        trouble, running, failed = str(error), [], []
    ui.send(
        *(req, resp, "overview.html"),
        node=node,
        trouble=trouble,
        notice=notice,
        workflows=found,
        more=more,
        unreadable=unreadable,
        looked=LOOKED,
        running=running,
        failed=failed,
    )


async def _latest(ui: Ui, workflows: list[str], state: RequestState) -> list[RequestView]:
    """Return the newest requests of several workflows in one state."""
    asked = (ListRequests(workflow=name, state=state, limit=SHOWN) for name in workflows)
    pages = await asyncio.gather(*map(ui.node.call, asked))
    found = chain.from_iterable(page.requests for page in pages)
    return sorted(found, key=lambda one: one.accepted_at, reverse=True)[:SHOWN]
