"""Pages of the node: how it is, its executors, its actors."""

from __future__ import annotations

from typing import Final

from falcon.asgi import Request, Response

from jobx.http.pages.ui import Ui
from jobx.questions import GetNode, GetReadiness, ListActors

#: Actors that a page shows.
ACTORS: Final = 500


async def node(ui: Ui, req: Request, resp: Response) -> None:
    """Answer with the node and its executors."""
    ready = await ui.node.call(GetReadiness())
    ui.send(req, resp, "node.html", node=await ui.node.call(GetNode()), ready=ready)


async def actors(ui: Ui, req: Request, resp: Response) -> None:
    """Answer with the live actors, as a tree."""
    ui.send(req, resp, "actors.html", tree=await ui.node.call(ListActors(limit=ACTORS)))
