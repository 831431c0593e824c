"""The web worker of the skeleton: it asks the node, and answers what the node says."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
from typing import Any

import falcon.asgi

from tests.bench.peers.frames import Frames
from tests.bench.peers.http_client import argument

SOCKET = "SKELETON_SOCKET"


class Node:
    """The connection to the node; a middleware, so that it opens before the first request."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[int]] = {}

    async def process_startup(self, _scope: dict[str, Any], _event: dict[str, Any]) -> None:
        self._loop = asyncio.get_running_loop()
        _, self._frames = await self._loop.create_unix_connection(
            lambda: Frames(self._answered), os.environ[SOCKET]
        )

    async def ask(self, number: int) -> int:
        request = next(self._numbers)
        answer = self._waiting[request] = self._loop.create_future()
        self._frames.send(request, number)
        return await answer

    def _answered(self, _frames: Frames, request: int, number: int) -> None:
        self._waiting.pop(request).set_result(number)


class Job:
    def __init__(self, node: Node) -> None:
        self._node = node

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        asked = json.loads(await req.stream.read())
        resp.data = argument(await self._node.ask(asked["arguments"]["number"]))


def create() -> falcon.asgi.App:
    """Return the application; called by gunicorn."""
    node = Node()
    app = falcon.asgi.App(middleware=[node])
    app.add_route("/", Job(node))
    return app
