"""The web application: its routes."""

from __future__ import annotations

from typing import Any

import falcon.asgi
import msgspec

from jobx.config import HttpSettings
from jobx.handlers.pairs.root_input import RootInputs
from jobx.http import errors
from jobx.http.node.client import NodePort
from jobx.http.openapi import document as openapi
from jobx.http.resources import admin, entities, graphs, jobs, requests

App = falcon.asgi.App[falcon.asgi.Request, falcon.asgi.Response]


def create_app(node: NodePort, settings: HttpSettings, inputs: RootInputs | None = None) -> App:
    """Return the ASGI application of a web worker that talks to ``node``.

    Args:
        node: What answers.
        settings: The limits.
        inputs: Where large arguments are kept; without one they go to the node as they are.
    """
    app: App = falcon.asgi.App()
    errors.install(app)
    for path, resource in _routes(node, settings, inputs).items():
        app.add_route(path, resource)
    return app


def _routes(node: NodePort, settings: HttpSettings, inputs: RootInputs | None) -> dict[str, Any]:
    one_request = "/request/{workflow}/{request_id}"
    one_invocation = f"{one_request}/invocation/{{invocation_id}}"
    drawing = graphs.Drawing(node)
    routes = {
        "/job/{workflow}/{job}": jobs.Jobs(node, settings, inputs),
        "/request/{workflow}": requests.RequestList(node, settings),
        one_request: requests.OneRequest(node, settings, drawing),
        f"{one_request}/result": requests.RequestResult(node, settings),
        f"{one_request}/delivery": requests.RequestDelivery(node),
        f"{one_request}/trace": requests.RequestTrace(node),
        one_invocation: requests.OneInvocation(node),
        f"{one_invocation}/output": requests.InvocationOutput(node),
        f"{one_request}/graph": requests.RequestGraph(drawing),
        "/": admin.Root(),
        "/health/live": admin.HealthLive(),
        "/health/ready": admin.HealthReady(node),
        "/node": admin.NodeStatus(node),
        "/actors": admin.Actors(node),
        "/openapi.json": admin.Description(msgspec.json.encode(openapi.document())),
    }
    for kind in entities.KINDS:
        name = "{workflow}" if kind is entities.WORKFLOW else "{name}"
        routes[kind.root] = entities.EntityList(node, settings, kind)
        routes[f"{kind.root}/{name}"] = entities.OneEntity(node, settings, kind)
    return routes
