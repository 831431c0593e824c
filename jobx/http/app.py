"""The web application: every operation at its address."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import falcon
import falcon.asgi
import msgspec
from falcon.asgi import Request, Response

from jobx.config_sections import HttpSettings
from jobx.errors import JobxError, quote
from jobx.handlers.pairs.root_input import RootInputs
from jobx.http import errors
from jobx.http.metering import EXCHANGE
from jobx.http.node.client import NodePort
from jobx.http.node.reporter import Reporter
from jobx.http.openapi.document import document
from jobx.http.openapi.nearest import nearest
from jobx.http.openapi.operation import Operation
from jobx.http.openapi.operations import operations
from jobx.http.pages.addresses import PAGES, Page
from jobx.http.pages.ui import ROOT, Ui
from jobx.http.reading import headers
from jobx.http.resources.live import Streams
from jobx.http.resources.site import Responder, Site
from jobx.http.writing import answer_memory, encoding

App = falcon.asgi.App[Request, Response]


def create_app(
    node: NodePort,
    settings: HttpSettings,
    inputs: RootInputs | None = None,
    reporter: Reporter | None = None,
    streams: Streams | None = None,
) -> App:
    """Return the ASGI application of a web worker that talks to ``node``.

    Args:
        node: The node.
        settings: The limits.
        inputs: Where large arguments are stored; without it they go to the node as they are.
        reporter: Reports what this web worker counts, if it does.
        streams: The streams of events; None: its own.
    """
    streams = streams or Streams(node, settings.max_watchers)
    site = Site(node, settings, streams, inputs, msgspec.json.encode(document(settings)))
    if reporter is not None:
        site = replace(site, report=reporter.report)
    ui = Ui(site)
    interface = _routes((one.path, one.method, _responder(site, one)) for one in operations())
    pages = _routes((one.path, one.method, _page_responder(ui, one)) for one in PAGES)
    app: App = falcon.asgi.App()
    errors.install(app)
    for path, methods in {**interface, **pages}.items():
        methods["on_options"] = _options(methods)
        routed = {name: _counted(path, respond) for name, respond in methods.items()}
        app.add_route(path, SimpleNamespace(**routed))
    app.add_error_handler(falcon.HTTPRouteNotFound, _nowhere(list(interface), ui))
    app.add_error_handler(falcon.HTTPMethodNotAllowed, _on_wrong_method)
    return app


def _routes(
    answered: Iterable[tuple[str, str, Responder]],
) -> dict[str, dict[str, Responder]]:
    """Return what answers the methods of each path, by the names that Falcon gives them."""
    found: dict[str, dict[str, Responder]] = {}
    for path, method, respond in answered:
        methods = found.setdefault(path, {})
        methods[f"on_{method}"] = respond
        if method == "get":
            methods["on_head"] = respond
    return found


def _counted(route: str, respond: Responder) -> Responder:
    """Return what answers at an address, and says so to the meter."""

    async def counted(req: Request, resp: Response, **names: Any) -> None:
        exchange = req.scope.get(EXCHANGE)
        if exchange is not None:
            exchange.route = route
        await respond(req, resp, **names)

    return counted


def _options(methods: Iterable[str]) -> Any:
    """Return what answers OPTIONS: 204, and Allow with the methods of an address."""
    allowed = ", ".join([*(name.removeprefix("on_").upper() for name in methods), "OPTIONS"])

    async def on_options(_: Request, resp: Response, **__: Any) -> None:
        resp.set_header("Allow", allowed)
        resp.status = 204

    return on_options


def _nowhere(known: list[str], ui: Ui) -> Any:
    """Return what answers for an address that does not exist."""

    async def on_nowhere(req: Request, resp: Response, _: Any, __: dict[str, Any]) -> None:
        if req.path.startswith(f"{ROOT}/"):
            detail = f"there is no page {quote(req.path)}"
            ui.send_problem(req, resp, 404, "There is no such page", detail)
            return
        near = nearest(req.path, known)
        hint = f"; is it {near}?" if near else ""
        detail = (
            f"there is no address {quote(req.path)}{hint or ';'} /openapi.json lists all addresses"
        )
        errors.send_problem(resp, 404, "There is no such address", detail, "no-route")

    return on_nowhere


async def _on_wrong_method(req: Request, resp: Response, error: Any, _: dict[str, Any]) -> None:
    allowed = dict(error.headers)["Allow"]
    resp.set_header("Allow", allowed)
    detail = f"{quote(req.path)} does not take {req.method}; it takes {allowed}"
    title = "The address does not take this method"
    errors.send_problem(resp, 405, title, detail, "method-not-allowed")


def _responder(site: Site, operation: Operation) -> Responder:
    known, answer = operation.query_names, operation.respond
    is_change = operation.method != "get"

    async def respond(req: Request, resp: Response, **names: Any) -> None:
        headers.check_query(req, *known)
        await answer(site, req, resp, **names)
        if operation.has_tag and resp.get_header("ETag") is None:
            encoding.tag(req, resp)
        await encoding.compress(req, resp)
        answer_memory.settle(req, resp, must_be_given=is_change)

    return respond


def _page_responder(ui: Ui, page: Page) -> Responder:
    """Return what answers a page; its errors are pages, too."""
    known, answer = page.query_names, page.respond
    is_change = page.method != "get"

    async def respond(req: Request, resp: Response, **names: Any) -> None:
        try:
            if "" in req.params.values():
                ui.redirect(resp, req.path, req.params)
                return
            headers.check_query(req, *known)
            await answer(ui, req, resp, **names)
        except JobxError as error:
            ui.send_error(req, resp, error)
        await encoding.compress(req, resp)
        answer_memory.settle(req, resp, must_be_given=is_change)

    return respond
