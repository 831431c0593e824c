"""The web application: every operation at its address."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import falcon.asgi
import msgspec
from falcon.asgi import Request, Response

from jobx.config import HttpSettings
from jobx.handlers.pairs.root_input import RootInputs
from jobx.http import errors
from jobx.http.node.client import NodePort
from jobx.http.openapi.document import document
from jobx.http.openapi.operations import Operation, operations
from jobx.http.reading import headers
from jobx.http.resources.site import Responder, Site
from jobx.http.writing import held

App = falcon.asgi.App[Request, Response]


def create_app(node: NodePort, settings: HttpSettings, inputs: RootInputs | None = None) -> App:
    """Return the ASGI application of a web worker that talks to ``node``.

    Args:
        node: The node.
        settings: The limits.
        inputs: Where large arguments are stored; without it they go to the node as they are.
    """
    site = Site(node, settings, inputs, msgspec.json.encode(document()))
    resources: dict[str, dict[str, Responder]] = {}
    for operation in operations():
        methods = resources.setdefault(operation.path, {})
        methods[f"on_{operation.method}"] = respond = _responder(site, operation)
        if operation.method == "get":
            methods["on_head"] = respond
    app: App = falcon.asgi.App()
    errors.install(app)
    for path, methods in resources.items():
        app.add_route(path, SimpleNamespace(**methods))
    return app


def _responder(site: Site, operation: Operation) -> Responder:
    known, answer = operation.query_names, operation.respond
    is_change = operation.method != "get"

    async def respond(req: Request, resp: Response, **names: Any) -> None:
        headers.check_query(req, *known)
        await answer(site, req, resp, **names)
        held.settle(req, resp, must_be_given=is_change)

    return respond
