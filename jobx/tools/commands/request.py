"""``jobx request``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from jobx import meanings, model
from jobx.actors.coordination import endings
from jobx.actors.inspection import explain as explaining
from jobx.actors.inspection import graph as graphs
from jobx.actors.inspection import sessions, view_builders
from jobx.actors.inspection import trace as traces
from jobx.errors import (
    Conflict,
    InUse,
    NodeUnreachable,
    NotEnded,
    RequestCancelled,
    RequestFailed,
)
from jobx.handlers.blobs.opening import shared_blobs
from jobx.handlers.pairs import run_merger
from jobx.kv import opening
from jobx.kv.blobs import BlobFolder
from jobx.kv.data_folder import check_usable
from jobx.kv.entities.entities import Entities
from jobx.kv.folder_lock import FolderLock
from jobx.kv.requests import deliveries, kept_requests, request_entity
from jobx.kv.store import Store
from jobx.payload import Payload
from jobx.questions import (
    CancelRequest,
    DeliverResult,
    ExplainRequest,
    GetRequest,
)
from jobx.tools.commands import request_dump, request_lists, request_views
from jobx.tools.shared import following, live, render
from jobx.tools.shared.command import Call, command, takes
from jobx.tools.shared.entity_commands import done
from jobx.tools.shared.output import replace_file
from jobx.values import to_jsonable
from jobx.views import RequestView, ResultView, WatchView

#: The reason of a request that is cancelled here.
REASON: Final = "on the command line"
#: How long a cancel may take: its node may wait until another one has taken the request over.
CANCEL_S: Final = 30.0
_PAGE: Final = 100
#: How often a request is looked for that a node postpones, indexes or removes at the same time.
_TRIES: Final = 5
FORMATS: Final = click.Choice(("json", "ndjson", "table"))


@click.group("request")
def request() -> None:
    """Requests: their states, results and traces."""


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
    folder = _blobs(call).name(workflow, request_id)
    say_result(call, view_builders.result_view(entity, folder), form)


@command(request, "cancel", example="request cancel wordcount REQUEST_ID")
@takes("workflow", "request_id")
def cancel(call: Call, workflow: str, request_id: str) -> None:
    """Cancel a request and all its invocations. One that has ended is not changed.

    If no node runs, the request is cancelled in the store.
    """
    question = CancelRequest(workflow=workflow, request_id=request_id, reason=REASON)
    try:
        with call.gateway() as gateway:
            view = gateway.call(question, CANCEL_S)
    except NodeUnreachable:
        view = _cancel_stored(call, workflow, request_id)
    if call.as_json:
        render.say_json(view)
    else:
        render.say(f"request {workflow}/{request_id} is {view.state}")


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


@command(request, "cleanup", example="request cleanup wordcount REQUEST_ID --simulate")
@click.argument("workflow")
@click.argument("request_ids", nargs=-1, metavar="[REQUEST_ID]...")
@click.option("--simulate", is_flag=True, help="Remove nothing; show what would be removed.")
def cleanup(call: Call, workflow: str, request_ids: tuple[str, ...], simulate: bool) -> None:
    """Remove finished requests: those named, or all of the workflow.

    Their logs and blobs are removed too.
    """
    removed = []
    with call.store() as store:
        Entities(store).get(model.Workflow, workflow)
        for entity in _finished(store, workflow, request_ids):
            if not request_ids and kept_requests.find(store, entity).is_pinned:
                continue
            if not simulate:
                _remove(call, store, entity)
            removed.append(entity.request_id)
    if call.as_json:
        render.say_json({"simulated": simulate, "requests": removed})
        return
    for request_id in removed:
        render.say(f"{'would remove' if simulate else 'removed'} request {workflow}/{request_id}")


@command(request, "keep", example="request keep wordcount REQUEST_ID")
@click.argument("workflow")
@click.argument("request_ids", nargs=-1, metavar="REQUEST_ID...", required=True)
@click.option("--release", is_flag=True, help="Keep them as long as others again.")
def keep(call: Call, workflow: str, request_ids: tuple[str, ...], release: bool) -> None:
    """Keep finished requests for ever.

    Neither age nor number nor size removes them; `jobx request cleanup` does if it names them.
    """
    with call.store() as store:
        pin(store, workflow, request_ids, is_pinned=not release)
    if call.as_json:
        render.say_json({"requests": request_ids, "is_pinned": not release})
        return
    for request_id in request_ids:
        render.say(f"{'released' if release else 'kept'} request {workflow}/{request_id}")


def pin(store: Store, workflow: str, request_ids: Sequence[str], *, is_pinned: bool = True) -> None:
    """Keep finished requests for ever, or as long as others again.

    Raises:
        NotEnded: One of them still runs; nothing was changed.
        Conflict: One of them was removed meanwhile.
    """
    named = [request_entity.get(store, workflow, request_id) for request_id in request_ids]
    for entity in named:
        if not entity.is_done:
            raise NotEnded(entity.request_id)
    for entity in named:
        found = kept_requests.find(store, entity)
        if writes := kept_requests.pin_writes(store, found, is_pinned=is_pinned):
            store.commit(writes)


@command(request, "trace", example="request trace wordcount REQUEST_ID --limit 50")
@takes("workflow", "request_id")
@click.option(
    "--limit", type=click.IntRange(min=1), default=1000, show_default=True, help="Invocations."
)
@click.option("--detail", is_flag=True, help="Also show inputs, sessions, output and tracebacks.")
def trace(call: Call, workflow: str, request_id: str, limit: int, detail: bool) -> None:
    """Show the invocation tree of a request.

    It has state, kind, step, attempt, duration and error of each invocation.
    """
    with call.store() as store:
        view = traces.read(store, workflow, request_id, limit)
    if call.as_json:
        render.say_json(view)
    else:
        render.say_trace(view, detail=detail)


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
            view = gateway.call(question)
    except NodeUnreachable:
        with call.store() as store:
            view = explaining.of_stored(store, workflow, request_id, "no node runs here")
    if call.as_json:
        render.say_json(view)
    else:
        render.say_explanation(view)


@command(request, "graph", example="request graph wordcount REQUEST_ID --format svg -o tree.svg")
@takes("workflow", "request_id")
@click.option(
    "--format",
    "form",
    type=click.Choice(tuple(graphs.LIMITS)),
    default="dot",
    show_default=True,
    help="svg and png need Graphviz.",
)
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(path_type=Path), help="Not to stdout."
)
def graph(
    call: Call, workflow: str, request_id: str, form: graphs.GraphFormat, output: Path | None
) -> None:
    """Draw the invocation tree of a request."""
    limit = graphs.LIMITS[form]
    with call.store() as store:
        view = traces.read(store, workflow, request_id, limit)
    image = graphs.draw(graphs.dot_text(view, limit), form)
    if output is None:
        sys.stdout.buffer.write(image)
        return
    replace_file(output, image)
    done(call, "drew", "request", f"{workflow}/{request_id}")


@command(request, "sessions", example="request sessions wordcount REQUEST_ID")
@takes("workflow", "request_id")
def show_sessions(call: Call, workflow: str, request_id: str) -> None:
    """Show what each mapper invocation left in its session."""
    with call.store() as store:
        found = dict(sessions.read(store, workflow, request_id))
    if call.as_json:
        render.say_json({"sessions": {name: to_jsonable(one) for name, one in found.items()}})
        return
    rows = [
        (name, key, to_jsonable(value))
        for name, pairs in found.items()
        for key, value in pairs.items()
    ]
    render.say_table(("invocation", "key", "value"), rows)


request_dump.add_to(request)
request_lists.add_to(request)
request_views.add_to(request)


def say_result(call: Call, result: ResultView, form: str) -> None:
    """Write the pairs of a result to stdout, from the store or from blobs."""
    payloads = list(map(Payload.from_wire, result.payloads))
    folder = _blobs(call).readable(result.blob_dir)
    render.say_pairs(run_merger.pairs(payloads, folder), form, result.request_id)


def failed(request_id: str, state: str, failure: model.Failure | None) -> RequestFailed:
    """Return the error of a request that ended without a result."""
    if failure is None:
        return RequestFailed(request_id, state, "it has no result")
    if state == "cancelled":
        return RequestCancelled(request_id, failure.message)
    return RequestFailed(request_id, failure.type, render.cause(failure))


def _cancel_stored(call: Call, workflow: str, request_id: str) -> RequestView:
    """Cancel a request whose node does not run, and keep that from starting meanwhile."""
    call.find_store()
    check_usable(call.settings.data_dir)
    lock = FolderLock(call.settings.data_dir, "request cancel")
    lock.acquire()
    try:
        with call.store() as store:
            found = request_entity.get(store, workflow, request_id)
            node_id = found.coordinator or call.settings.node.id
            with _instead_of(node_id, call, store):
                entity = endings.cancel(store, node_id, workflow, request_id, REASON)
            return view_builders.request_view(entity, deliveries.read(store, entity))
    finally:
        lock.release()


@contextmanager
def _instead_of(node_id: str, call: Call, store: Store) -> Iterator[None]:
    """Keep a node on other machines from the store for the length of a ``with``.

    Raises:
        InUse: It runs.
    """
    lease = opening.lease_of(store, call.settings, node_id)
    if lease is None:
        yield
        return
    lease.acquire()
    try:
        yield
    finally:
        lease.release()


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


def _finished(store: Store, workflow: str, request_ids: Sequence[str]) -> Iterator[model.Request]:
    """Yield the requests of these ids; without ids all finished requests of the workflow.

    Raises:
        NotEnded: One of the named requests still runs; nothing was yielded.
        InUse: The result of one is being delivered; nothing was yielded.
    """
    named = [request_entity.get(store, workflow, request_id) for request_id in request_ids]
    for entity in named:
        if not entity.is_done:
            raise NotEnded(entity.request_id)
        if deliveries.is_pending(store, workflow, entity.request_id):
            raise InUse("request", entity.request_id, "its delivery, which is in progress")
    yield from named
    after = None
    while not request_ids:
        found, after = request_entity.page(store, workflow, None, after, _PAGE)
        for entity in found:
            if entity.is_done and not deliveries.is_pending(store, workflow, entity.request_id):
                yield entity
        if after is None:
            return


def _remove(call: Call, store: Store, entity: model.Request) -> None:
    workflow, request_id = entity.workflow_name, entity.request_id
    for left in reversed(range(_TRIES)):
        try:
            store.commit(kept_requests.purge_writes(kept_requests.find(store, entity)))
            break
        except Conflict:
            if not left:
                raise
    _blobs(call).remove_everywhere(workflow, request_id)


def _blobs(call: Call) -> BlobFolder:
    return BlobFolder(call.settings.blob_path, shared_blobs(call.settings.blobs))
