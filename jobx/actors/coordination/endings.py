"""How a request ends: its last entity, who hears of it, and the end without a running node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from jobx import model
from jobx.actors import notification
from jobx.actors.clock import ServiceClock, boot_id
from jobx.actors.messages import RequestKey
from jobx.actors.request.events import Accepted, Cancelled, Event, Finished, from_record, to_record
from jobx.errors import EntryDamaged, InUse
from jobx.kv.requests import event_log, lives, request_entity
from jobx.kv.store import Store

if TYPE_CHECKING:
    from jobx.actors.ports import Services


def ended(request: model.Request, finished: Finished) -> model.Request:
    """Return a request's entity after its last event."""
    failure = finished.failure
    succeeded = finished.state == "succeeded"
    return replace(
        request,
        state=finished.state,
        is_done=True,
        finished_at=finished.at,
        failure=failure,
        failed_invocation_id=failure.invocation_id if failure else None,
        result=finished.result if succeeded else None,
        result_pairs=sum([item.pair_count for item in finished.result]) if succeeded else None,
    )


def tell(node: Services, request: model.Request) -> None:
    """Count a request that ended, and start the delivery of its outcome."""
    took_s = (request.finished_at or request.accepted_at) - request.accepted_at
    names = request.workflow_name, request.job_name
    node.metrics.request_ended(*names, request.state, took_s)
    node.trace(request)
    if request.state == "failed":
        node.notify(notification.request_failed(request))
    elif request.destination is not None and request.result is not None:
        node.deliver(RequestKey(request.workflow_name, request.request_id))


def cancel(
    store: Store, node_id: str, workflow: str, request_id: str, reason: str
) -> model.Request:
    """Cancel a request of a stopped node; the caller holds the lock of its folder.

    A request that has ended is not changed.

    Raises:
        NotFound: There is no such request.
        InUse: Another node coordinates it by now.
        Conflict: Somebody else has written its next event meanwhile.
        StoreFull: No room left; the request stays open, as after any error of the store.
    """
    number = event_log.next_number(store, workflow, request_id)
    request = request_entity.get_whole(store, workflow, request_id)  # no older than that event
    if request.is_done:
        return request
    if request.coordinator not in (None, node_id):
        raise InUse("request", request_id, f"node {request.coordinator}, which has adopted it")
    now_at = ServiceClock(lives.last(store, node_id), boot_id()).now_at()
    failure = model.Failure(kind="cancelled", type="Cancelled", message=reason)
    finished = Finished(now_at, "cancelled", failure)
    events: tuple[Event, Event] = (Cancelled(now_at, reason), finished)
    request = ended(request, finished)
    # One event a unit, so that what a coordinator may still write is refused, or refuses this.
    cancelled, last = (
        event_log.event_write(workflow, request_id, number + n, to_record(event))
        for n, event in enumerate(events)
    )
    plan = _plan(store, workflow, request_id)
    finish = request_entity.finish_writes(request, node_id, plan, number + len(events))
    (outcome,) = store.commit_many([[[cancelled], [*finish, last]]])
    if outcome.error is not None:
        raise outcome.error
    return request


def _plan(store: Store, workflow: str, request_id: str) -> str:
    """Return the plan that a request refers to; ``''`` if its log does not name one."""
    try:
        _, record = next(event_log.read(store, workflow, request_id, page=1))
        first = from_record(record)
    except (StopIteration, EntryDamaged):
        return ""
    return first.plan if isinstance(first, Accepted) else ""
