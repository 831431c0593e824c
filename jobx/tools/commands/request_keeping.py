"""``jobx request cleanup`` and ``keep``: how long finished requests stay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import click

from jobx import model
from jobx.errors import Conflict, InUse, NotEnded
from jobx.kv.entities.entities import Entities
from jobx.kv.requests import deliveries, kept_requests, removal, request_entity, request_pages
from jobx.kv.store import Store
from jobx.tools.shared import render
from jobx.tools.shared.command import Call, command
from jobx.tools.shared.results import blob_folder

_PAGE: Final = 100
#: How often a request is looked for that a node postpones, indexes or removes at the same time.
_TRIES: Final = 5


def add_to(group: click.Group) -> None:
    """Add the commands to a group."""
    group.add_command(cleanup)
    group.add_command(keep)


@command(None, "cleanup", example="request cleanup wordcount REQUEST_ID --simulate")
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


@command(None, "keep", example="request keep wordcount REQUEST_ID")
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
        NotFound: There is no such request, or it was removed meanwhile.
        Conflict: One of them was changed again and again meanwhile.
    """
    named = [request_entity.get(store, workflow, request_id) for request_id in request_ids]
    for entity in named:
        if not entity.is_done:
            raise NotEnded(entity.request_id)
    for entity in named:
        _pin(store, entity, is_pinned=is_pinned)


def _pin(store: Store, entity: model.Request, *, is_pinned: bool) -> None:
    for left in reversed(range(_TRIES)):
        try:
            found = kept_requests.find(store, entity)
            if writes := kept_requests.pin_writes(store, found, is_pinned=is_pinned):
                store.commit(writes)
            return
        except Conflict:
            entity = request_entity.get(store, entity.workflow_name, entity.request_id)
            if not left:
                raise


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
        found, after = request_pages.page(store, workflow, after=after, limit=_PAGE)
        for entity in found:
            if entity.is_done and not deliveries.is_pending(store, workflow, entity.request_id):
                yield entity
        if after is None:
            return


def _remove(call: Call, store: Store, entity: model.Request) -> None:
    workflow, request_id = entity.workflow_name, entity.request_id
    for left in reversed(range(_TRIES)):
        try:
            store.commit(removal.purge_writes(kept_requests.find(store, entity)))
            break
        except Conflict:
            if not left:
                raise
    blob_folder(call).remove_everywhere(workflow, request_id)
