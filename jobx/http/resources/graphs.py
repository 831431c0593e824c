"""Draws the invocation trees of requests, with Graphviz in the web worker."""

from __future__ import annotations

import asyncio
from typing import Final, TypedDict

import falcon
from falcon.asgi import Request, Response

from jobx.actors.inspection import graph
from jobx.errors import Overloaded, UnsupportedMedia
from jobx.http.resources.site import MAX_DRAWN, Site
from jobx.http.writing.media import MEDIA_JSON
from jobx.questions import GetGraph

#: Media types of graphs; the first is the default.
MEDIA: Final[dict[str, graph.GraphFormat]] = {
    "image/svg+xml": "svg",
    "image/png": "png",
    "text/vnd.graphviz": "dot",
}
# A picture that is opened by itself must not be able to run anything.
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; sandbox"


class RequestPath(TypedDict):
    """The names of a request in questions about it."""

    workflow: str
    request_id: str


async def send(site: Site, resp: Response, media_type: str, key: RequestPath) -> None:
    """Make ``resp`` the graph of a request.

    Raises:
        falcon.HTTPNotAcceptable: Graphviz is not installed.
        Overloaded: Too many graphs are being drawn.
        JobxError: An error of the node or of ``graph.draw``.
    """
    if site.drawing.locked():
        raise Overloaded(f"{MAX_DRAWN} graphs are being drawn", 2.0)
    form = MEDIA[media_type]
    async with site.drawing:
        answer = await site.node.call(GetGraph(**key, limit=graph.LIMITS[form]))
        try:
            resp.data = await asyncio.to_thread(graph.draw, answer.dot, form)
        except UnsupportedMedia as error:
            raise falcon.HTTPNotAcceptable(description=str(error)) from error
    resp.content_type = media_type
    resp.set_header("Vary", "Accept")
    resp.set_header("Content-Security-Policy", _POLICY)
    resp.set_header("X-Content-Type-Options", "nosniff")


def chosen(req: Request) -> str:
    """Return the media type of a graph for a client.

    Raises:
        falcon.HTTPNotAcceptable: It accepts none of them.
    """
    media_type = req.client_prefers(tuple(MEDIA))
    if media_type is None:
        raise falcon.HTTPNotAcceptable(description=f"graphs come as {', '.join(MEDIA)}")
    return media_type


def preferred(req: Request) -> str | None:
    """Return the media type of a picture that a client prefers to JSON, or None."""
    if "image/" not in (req.get_header("Accept") or ""):
        return None
    media_type = req.client_prefers((MEDIA_JSON, *MEDIA))
    return None if media_type == MEDIA_JSON else media_type
