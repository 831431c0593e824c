"""The least that Falcon can do with a request: what gunicorn loads for the peer hello."""

from __future__ import annotations

import falcon.asgi


class Hello:
    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        resp.data = await req.stream.read()


app = falcon.asgi.App()
app.add_route("/", Hello())
