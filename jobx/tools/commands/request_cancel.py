"""``jobx request cancel``: on the running node, or else in the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import click

from jobx.actors.coordination import endings
from jobx.actors.inspection import view_builders
from jobx.errors import NodeUnreachable
from jobx.kv import opening
from jobx.kv.data_folder import check_usable
from jobx.kv.folder_lock import FolderLock
from jobx.kv.requests import deliveries, request_entity
from jobx.kv.store import Store
from jobx.questions import CancelRequest
from jobx.tools.shared import render
from jobx.tools.shared.command import Call, command, takes
from jobx.tools.shared.results import REASON
from jobx.views import RequestView

#: How long a cancel may take: its node may wait until another one has taken the request over.
CANCEL_S: Final = 30.0


def add_to(group: click.Group) -> None:
    """Add the command to a group."""
    group.add_command(cancel)


@command(None, "cancel", example="request cancel wordcount REQUEST_ID")
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
