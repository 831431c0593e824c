"""Why a request is where it is, in words: what its open invocations wait for, or why it ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from jobx.actors.coordination.coordinator import MAX_UNCOMMITTED
from jobx.actors.inspection.view_builders import request_view
from jobx.actors.request import events
from jobx.actors.request.ids import invocation_id
from jobx.actors.request.standing import Group, Standing, groups
from jobx.actors.request.state import RequestState
from jobx.errors import FormUnknown
from jobx.kv import keys
from jobx.kv.entries import decoded
from jobx.kv.requests import deliveries, event_log, request_entity
from jobx.kv.store import Store
from jobx.model import Failure, Plan
from jobx.views import ExplainView, OpenGroup, RequestView

#: Turns an instant of the node's monotonic clock into one of its wall clock.
Wall = Callable[[float], float]


def of_open(
    request: RequestView, standing: Standing, wall: Wall, troubles: Sequence[str] = ()
) -> ExplainView:
    """Return why an open request has not ended, as its coordinator says.

    Args:
        request: Its view.
        standing: What its coordinator says.
        wall: Turns monotonic instants into those of the wall clock.
        troubles: What is wrong with the node.
    """
    shown = [_shown(group, standing, request, wall) for group in standing.groups]
    return ExplainView(
        request=request, says=_headline(standing, shown), groups=shown, troubles=list(troubles)
    )


def of_stored(store: Store, workflow: str, request_id: str, why_open: str | None) -> ExplainView:
    """Return why a request has ended, or what was open of it when its log was read.

    Args:
        store: Where it is.
        workflow: Its workflow.
        request_id: Its id.
        why_open: Why nobody coordinates it here, if it is open.

    Raises:
        NotFound: There is no such request.
    """
    request = request_entity.get(store, workflow, request_id)
    view = request_view(request, deliveries.read(store, request))
    if request.state == "succeeded":
        return ExplainView(request=view, says=_delivered(view))
    says = why_open or "no node coordinates it"
    if request.is_done:
        says = _ending(request.state, request.failure)
    found = _left(store, workflow, request_id)
    shown = [_left_open(group) for group in found if group.cause != "children"]
    return ExplainView(request=view, says=says, groups=shown)


def _left(store: Store, workflow: str, request_id: str) -> list[Group]:
    """Return what a log leaves open: nobody is at it."""
    state: RequestState | None = None
    for _, record in event_log.read(store, workflow, request_id):
        event = events.known_part(record)
        if isinstance(event, events.Accepted):
            entry = store.get(keys.plan(workflow, event.plan))
            try:
                state = RequestState(decoded(Plan, entry)) if entry else None
            except FormUnknown:
                return []
        if state is not None and event is not None:
            state.apply(event)
    return groups(state, (), {}) if state is not None else []


def _left_open(group: Group) -> OpenGroup:
    says = "had not ended" if group.cause == "ready" else _SAYS.get(group.cause, "had not ended")
    return OpenGroup(
        cause="open", kind=group.kind, step_name=group.step, count=group.count,
        invocation_id=invocation_id(group.kind, group.vertex), says=says,
    )  # fmt: skip


def _shown(group: Group, standing: Standing, request: RequestView, wall: Wall) -> OpenGroup:
    name = invocation_id(group.kind, group.vertex)
    return OpenGroup(
        cause=group.cause,
        kind=group.kind,
        step_name=group.step,
        count=group.count,
        invocation_id=name,
        since_at=None if group.since is None else wall(group.since),
        until_at=None if group.until is None else wall(group.until),
        node_id=group.node or None,
        executor=group.executor or None,
        attempt=group.attempt,
        error=group.error or None,
        says=_says(group, standing),
        helps=_helps(group, request),
    )


def _headline(standing: Standing, shown: Sequence[OpenGroup]) -> str:
    if standing.is_ending:
        return f"it has ended, and waits until {standing.uncommitted} events are durable"
    if not shown:
        return "nothing of it is open; its end is being written"
    first = shown[0]
    what = f"{first.count:,} invocations" if first.count > 1 else first.invocation_id
    return f"{what} of step {first.step_name}: {first.says}" if first.step_name else first.says


def _says(group: Group, standing: Standing) -> str:
    """Return what invocations wait for, and what ends it."""
    if group.cause == "ready":
        return _not_started(standing)
    text = _SAYS[group.cause]
    if group.cause in ("running", "behind"):
        text = text.format(f"executor {group.executor}" if group.executor else "an executor")
    elif group.cause == "peer":
        text = text.format(group.node)
    elif group.cause == "capability":
        text = text.format(group.error)
    elif group.cause == "backoff":
        text = text.format(group.attempt - 1, group.error or "an error")
    elif group.cause == "queued" and standing.busy:
        others = ", ".join(f"{name} ({count})" for name, count in standing.busy)
        text = f"{text}; executors are at other requests: {others}"
    return text


def _not_started(standing: Standing) -> str:
    if standing.phase == "closed":
        return "the node is stopping and starts nothing more; the next node goes on"
    if standing.uncommitted > MAX_UNCOMMITTED:
        return f"starts once the store has written; {standing.uncommitted} events are not durable"
    return "starts when some of what the request has at work ends"


def _helps(group: Group, request: RequestView) -> str | None:
    """Return the command that helps, or shows more."""
    path = f"{request.workflow_name} {request.request_id}"
    if group.cause == "backoff":
        return f"jobx invocation get {path} {invocation_id(group.kind, group.vertex)}"
    if group.cause == "running":
        return f"jobx request cancel {path}"
    return _HELPS.get(group.cause)


def _ending(state: str, failure: Failure | None) -> str:
    """Return why a request ended without a result: the first cause."""
    if failure is None:
        return f"it {state}"
    if state == "cancelled":
        return f"it was cancelled: {failure.message}"
    where = ""
    if failure.invocation_id:
        place = "/".join(name for name in (failure.step_name, failure.handler_name) if name)
        where = f" in {failure.invocation_id} ({place})"
    tries = f", attempt {failure.attempt}" if failure.attempt and failure.attempt > 1 else ""
    on = f", on {failure.input}" if failure.input else ""
    return f"it failed by {failure.kind}{where}{tries}{on}: {failure.type}: {failure.message}"


def _delivered(view: RequestView) -> str:
    """Return what became of a result that is sent elsewhere, too."""
    late = [one for one in view.deliveries if one.state != "delivered"]
    if not late:
        return "it succeeded"
    sent = late[0]
    error = f": {sent.error}" if sent.error else ""
    what = f"{sent.state.replace('_', ' ')} after {sent.attempts} tries{error}"
    return f"it succeeded; its result is sent by {sent.writer} to {sent.place}, {what}"


#: What ``{}`` stands for is filled in by ``_says``.
_SAYS: Final = {
    "running": "{} runs it",
    "behind": "{} has it, behind what it runs",
    "queued": "waits for an executor",
    "peer": "node {} has it; it comes back if that node is lost",
    "capability": "waits for a node that offers {}; this one does not",
    "backoff": "is tried again; attempt {} ended with {}",
    "window": "is suspended until enough of its children have ended",
    "remade": "its input is gone from its blob, and is made again",
    "children": "waits for its children",
    "other": "waits for one of several causes, which are too many to tell apart",
}
_HELPS: Final = {
    "queued": "jobx node status",
    "behind": "jobx node status",
    "peer": "jobx cluster status",
    "capability": "jobx cluster status",
}
