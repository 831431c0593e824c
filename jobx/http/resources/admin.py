"""Liveness, readiness, the node, its actors, and the description of the interface."""

from __future__ import annotations

import msgspec
from falcon.asgi import Request, Response

import jobx
from jobx.errors import DeadlineExceeded, Draining, Unavailable
from jobx.http.resources.site import Site
from jobx.http.writing import results
from jobx.questions import GetActorTree, GetNode, GetReadiness, ListNotifications

#: How long readiness waits for the node.
READY_S = 2.0


class Health(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer of a healthy part; the notice is for its operator."""

    status: str
    notice: str | None = None


async def root(_: Site, __: Request, resp: Response) -> None:
    """Answer that the web worker lives, in one line for people."""
    resp.content_type = "text/plain; charset=utf-8"
    resp.data = f"JobX {jobx.__version__} is here; see /ui/ and /openapi.json\n".encode()


async def live(_: Site, __: Request, resp: Response) -> None:
    """Answer that the web worker lives."""
    results.send_json(resp, Health("live"))


async def ready(site: Site, _: Request, resp: Response) -> None:
    """Answer that the node takes requests, or 503 with the reason."""
    try:
        node = await site.node.call(GetReadiness(), READY_S)
    except DeadlineExceeded as error:
        raise Unavailable(f"the node does not answer: {error}") from error
    if node.state == "draining":
        raise Draining("the node is stopping")
    if node.trouble is not None:
        raise Unavailable(node.trouble)
    results.send_json(resp, Health("ready", node.notice))


async def node_status(site: Site, _: Request, resp: Response) -> None:
    """Answer with the node's state."""
    results.send_json(resp, await site.node.call(GetNode()))


async def notifications(site: Site, _: Request, resp: Response) -> None:
    """Answer with what the node has told people."""
    results.send_json(resp, await site.node.call(ListNotifications()))


async def actors(site: Site, _: Request, resp: Response) -> None:
    """Answer with the tree of live actors."""
    results.send_json(resp, await site.node.call(GetActorTree()))


async def description(site: Site, _: Request, resp: Response) -> None:
    """Answer with the OpenAPI document."""
    resp.content_type = "application/json"
    resp.data = site.description
