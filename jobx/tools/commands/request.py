"""``jobx request``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from jobx import meanings, model
from jobx.actors.inspection import explain as explaining
from jobx.actors.inspection import view_builders
from jobx.errors import NodeUnreachable
from jobx.kv.entities.entities import Entities
from jobx.kv.requests import deliveries, request_entity
from jobx.questions import DeliverResult, ExplainRequest, GetRequest
from jobx.tools.commands import (
    request_cancel,
    request_dump,
    request_keeping,
    request_lists,
    request_views,
)
from jobx.tools.shared import following, live, render, render_trees, whole
from jobx.tools.shared.command import Call, command, takes
from jobx.tools.shared.results import FORMATS, blob_folder, failed, say_result
from jobx.views import RequestView, WatchView


@click.group("request")
def request() -> None:
    """Requests: their states, results and traces."""


for _more in (request_cancel, request_dump, request_keeping, request_lists, request_views):
    _more.add_to(request)


@command(request, "get", example="request get wordcount REQUEST_ID")
@takes("workflow", "request_id")
def get(call: Call, workflow: str, request_id: str) -> None:
    """Show a request; its counts are live while a node runs."""
    view = _live(call, workflow, request_id) or _stored(call, workflow, request_id)
    if call.as_json:
        render.say_json(view)
        return
    fields = {name: getattr(view, name) for name in RequestView.__struct_fields__}
    fields["state"] = request_lists.state_of(view, waits=request_lists.waits(call))
    fields["accepted_at"] = render.instant(view.accepted_at)
    fields["finished_at"] = render.instant(view.finished_at) or None
    fields["counts"] = render.progress(view.counts)
    fields["failure"] = view.failure and render.failure(view.failure)
    fields["deliveries"] = "\n".join(map(render.delivery, view.deliveries)) or None
    render.say_fields(fields)
    if view.failure and view.failure.traceback:
        render.say(f"\n{view.failure.traceback.rstrip()}")


@command(request, "result", example="request result wordcount REQUEST_ID --format ndjson")
@takes("workflow", "request_id")
@click.option("--format", "form", type=FORMATS, default="json", show_default=True)
def result(call: Call, workflow: str, request_id: str, form: str) -> None:
    """Write the result of a request to stdout."""
    with call.store() as store:
        entity = request_entity.get(store, workflow, request_id)
    if entity.is_done and entity.result is None:
        raise failed(request_id, entity.state, entity.failure)
    folder = blob_folder(call).name(workflow, request_id)
    say_result(call, view_builders.result_view(entity, folder), form)


@command(request, "deliver", example="request deliver wordcount REQUEST_ID")
@click.argument("workflow")
@click.argument("request_ids", nargs=-1, metavar="[REQUEST_ID]...")
def deliver(call: Call, workflow: str, request_ids: tuple[str, ...]) -> None:
    """Deliver results again: those named, or all that were given up.

    The delivery ids stay the same. It needs the running node.
    """
    views, count = [], 0
    with call.gateway() as gateway, call.store() as store:
        if not request_ids:
            Entities(store).get(model.Workflow, workflow)
        for request_id in request_ids or deliveries.given_up(store, workflow):
            view = gateway.call(DeliverResult(workflow=workflow, request_id=request_id))
            if call.as_json:
                views.append(view)
                continue
            count += 1
            sent = ", ".join(map(render.delivery, view.deliveries))
            render.say(f"request {workflow}/{request_id}: {sent}")
    if call.as_json:
        render.say_json({"requests": views})
    elif not count:
        render.say("nothing was given up")


@command(request, "watch", example="request watch wordcount REQUEST_ID")
@takes("workflow", "request_id")
def watch(call: Call, workflow: str, request_id: str) -> int | None:
    """Show how a request goes on, up to its end: a bar for each step.

    Where stdout is no terminal, it writes a line for each failure, and the counts once a second at
    most; with --json what happens to the request, an object a line. Ctrl-C leaves the request
    running.
    """
    last: WatchView | None = None
    try:
        with _shown(call) as show:
            for last in following.follow(call, workflow, request_id):
                show(last)
    except KeyboardInterrupt:
        path = f"{workflow} {request_id}"
        render.complain(f"the request goes on; to watch it again: jobx request watch {path}")
        return meanings.INTERRUPTED
    ended = last.summary.request if last is not None and last.summary is not None else None
    if ended is not None and ended.state != "succeeded":
        raise failed(request_id, ended.state, ended.failure)
    return meanings.OK


@contextmanager
def _shown(call: Call) -> Iterator[live.Show]:
    """Give what shows how a request stands: bars on a terminal, else lines or JSON."""
    console = render.console()
    if call.as_json:
        yield live.as_json
    elif not console.is_terminal:
        yield live.Lines()
    else:
        with live.bars(render.terminal(), is_kept=True) as show:
            yield show


@command(request, "explain", example="request explain wordcount REQUEST_ID")
@takes("workflow", "request_id")
def explain(call: Call, workflow: str, request_id: str) -> None:
    """Say why a request is where it is.

    It shows what its open invocations wait for, first what others wait for; of one that has ended,
    why.
    """
    question = ExplainRequest(workflow=workflow, request_id=request_id)
    try:
        with call.gateway() as gateway:
            view = whole.ask(gateway, question)
    except NodeUnreachable:
        with call.store() as store:
            view = explaining.of_stored(store, workflow, request_id, "no node runs here")
    if call.as_json:
        render.say_json(view)
    else:
        render_trees.say_explanation(view)
        whole.say_rest(view)


def _stored(call: Call, workflow: str, request_id: str) -> RequestView:
    with call.store() as store:
        entity = request_entity.get(store, workflow, request_id)
        sent = deliveries.read(store, entity)
        as_stored = None if entity.is_done else f"no node runs on {call.settings.data_dir}"
        return view_builders.request_view(entity, sent, as_stored=as_stored)


def _live(call: Call, workflow: str, request_id: str) -> RequestView | None:
    try:
        with call.gateway() as gateway:
            return gateway.call(GetRequest(workflow=workflow, request_id=request_id))
    except NodeUnreachable:
        return None
