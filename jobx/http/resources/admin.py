"""Liveness, readiness, the node, its actors, and the description of the interface."""

from __future__ import annotations

import msgspec
from falcon.asgi import Request, Response

import jobx
from jobx.errors import DeadlineExceeded, Draining, Unavailable
from jobx.http.node.client import NodePort
from jobx.http.reading import headers
from jobx.http.writing import results
from jobx.questions import GetNode, GetReadiness, ListActors

#: How long readiness waits for the node.
READY_S = 2.0


class Health(msgspec.Struct, frozen=True):
    """That something is well."""

    status: str


class Root:
    """``/``: one line for people."""

    async def on_get(self, req: Request, resp: Response) -> None:
        """Say that the web worker lives."""
        headers.query(req)
        resp.content_type = "text/plain; charset=utf-8"
        resp.data = f"JobX {jobx.__version__} is here; see /openapi.json\n".encode()

    on_head = on_get


class HealthLive:
    """``/health/live``: the web worker answers."""

    async def on_get(self, req: Request, resp: Response) -> None:
        """Say so."""
        headers.query(req)
        results.send_json(resp, Health("live"))

    on_head = on_get


class HealthReady:
    """``/health/ready``: the node answers and takes requests."""

    def __init__(self, node: NodePort) -> None:
        self._node = node

    async def on_get(self, req: Request, resp: Response) -> None:
        """Say so, or 503 and why not."""
        headers.query(req)
        try:
            node = await self._node.call(GetReadiness(), READY_S)
        except DeadlineExceeded as error:
            raise Unavailable(f"the node does not answer: {error}") from error
        if node.state == "draining":
            raise Draining("the node is stopping")
        if node.trouble is not None:
            raise Unavailable(node.trouble)
        results.send_json(resp, Health("ready"))

    on_head = on_get


class NodeStatus:
    """``/node``."""

    def __init__(self, node: NodePort) -> None:
        self._node = node

    async def on_get(self, req: Request, resp: Response) -> None:
        """Answer with the node's state."""
        headers.query(req)
        results.send_json(resp, await self._node.call(GetNode()))

    on_head = on_get


class Actors:
    """``/actors``."""

    def __init__(self, node: NodePort) -> None:
        self._node = node

    async def on_get(self, req: Request, resp: Response) -> None:
        """Answer with the tree of live actors."""
        headers.query(req)
        results.send_json(resp, await self._node.call(ListActors()))

    on_head = on_get


class Description:
    """``/openapi.json``."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def on_get(self, req: Request, resp: Response) -> None:
        """Answer with the OpenAPI document."""
        headers.query(req)
        resp.content_type = "application/json"
        resp.data = self._body

    on_head = on_get
