"""Why a request is where it is, in words: what its open invocations wait for, or why it ended."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias

from jobx.actors.inspection import log_causes
from jobx.actors.inspection.causes import Causes, commit
from jobx.actors.inspection.log_causes import LogCauses
from jobx.actors.inspection.node_facts import NodeFacts, said_at
from jobx.actors.inspection.view_builders import request_view
from jobx.actors.request.ids import invocation_id
from jobx.actors.request.standing import Group, Standing
from jobx.errors import EntryDamaged
from jobx.kv.requests import deliveries, event_log, request_entity
from jobx.kv.store import Store
from jobx.model import Failure, Plan
from jobx.views import ExplainView, OpenGroup, Reading, RequestView

#: Causes in a log, and how far that has been read, if not to its end.
Found: TypeAlias = tuple[LogCauses, Reading | None]
_ALONE: Final = NodeFacts()


def of_open(request: RequestView, standing: Standing, facts: NodeFacts = _ALONE) -> ExplainView:
    """Return why an open request has not ended, as its coordinator says.

    Args:
        request: Its view.
        standing: What its coordinator says.
        facts: What its node knows besides.
    """
    causes = Causes(request, standing, facts)
    # A sort keeps the order otherwise.
    ordered = sorted(standing.groups, key=lambda group: not causes.is_wrong(group))
    shown = list(map(causes.view, ordered))
    says = _headline(standing, shown, facts)
    if standing.adopted_from:
        says += f"; taken over from node {standing.adopted_from}, from event {standing.adopted} on"
    return ExplainView(request=request, says=says, groups=shown, troubles=list(facts.troubles))


def causes_in(store: Store, workflow: str, request_id: str) -> Found:
    """Return the causes in a log."""
    bodies = event_log.bodies(store, workflow, request_id)
    return log_causes.read(bodies, partial(plan_of, store, workflow)), None


def of_stored(
    store: Store,
    workflow: str,
    request_id: str,
    why_open: str | None,
    by: str | None = None,
    *,
    causes_of: Callable[[Store, str, str], Found] = causes_in,
) -> ExplainView:
    """Return why a request has ended, or what was open of it when its log was read.

    Args:
        store: Where it is.
        workflow: Its workflow.
        request_id: Its id.
        why_open: Why nobody coordinates it here, if it is open.
        by: The command that helps then.
        causes_of: Returns the causes in its log, and how far that has been read.

    Raises:
        NotFound: There is no such request.
    """
    request = request_entity.get(store, workflow, request_id)
    view = request_view(request, deliveries.read(store, request))
    if request.state == "succeeded":
        says, helps = _delivered(view)
        return ExplainView(request=view, says=says, helps=helps)
    causes, reading = causes_of(store, workflow, request_id)
    if not request.is_done:
        says = why_open or "no node coordinates it"
        left = [_left(group, "adoption", f"nobody is at it: {says}") for group in causes.left()]
        return ExplainView(request=view, says=says, groups=left, helps=by, reading=reading)
    failed = view.failure.invocation_id if view.failure is not None else None
    # If the log is still being read, later events may say that these have ended.
    ended = causes.left(failed) if reading is None else []
    open_ones = (group for group in ended if group.cause != "children")
    then = [_left(group, "open", "had no result") for group in open_ones]
    if causes.then:
        then = list(map(_then, causes.then))
    says, helps = _ending(view, causes, then)
    return ExplainView(request=view, says=says, groups=then, helps=helps, reading=reading)


def plan_of(store: Store, workflow: str, digest: str) -> Plan | None:
    """Return the plan of a digest; None: it is gone, damaged, or of a newer form."""
    try:
        return request_entity.plan(store, workflow, digest)
    except EntryDamaged:
        return None


def _left(group: Group, cause: str, says: str) -> OpenGroup:
    return OpenGroup(
        cause=cause,
        kind=group.kind,
        step_name=group.step,
        count=group.count,
        invocation_id=invocation_id(group.kind, group.vertex),
        says=says,
    )


def _then(group: Group) -> OpenGroup:
    """Return what was open when the time of a request was over; ``since`` is an age."""
    says = _THEN[group.cause]
    says += f" on node {group.node}" if group.node else ""
    says += f": {group.error}" if group.error else ""
    says += f", for {group.since:g} s" if group.since is not None else ""
    return _left(group, group.cause, says)


def _headline(standing: Standing, shown: list[OpenGroup], facts: NodeFacts) -> str:
    waits = commit(facts)
    if not standing.is_accepted:
        return f"it is not accepted yet, since its first event is not durable; {waits}"
    if standing.is_ending:
        events = f"{standing.uncommitted} events are not durable, and their commit is outstanding"
        return f"it has ended; {events}" + (f"; {waits}" if waits else "")
    if not shown:
        return "nothing of it is open; its end is being written"
    first = shown[0]
    what = f"{first.count:,} invocations" if first.count > 1 else first.invocation_id
    return f"{what} of step {first.step_name}: {first.says}" if first.step_name else first.says


def _ending(view: RequestView, causes: LogCauses, then: list[OpenGroup]) -> tuple[str, str | None]:
    """Return why a request ended without a result, first cause first, and what helps."""
    failure, path = view.failure, f"{view.workflow_name} {view.request_id}"
    if failure is None:
        return _ENDED[view.state], None
    first = causes.first(failure)
    says = f"it was cancelled: {failure.message}"
    if view.state != "cancelled":
        says = _failed(failure)
        if failure.kind == "internal":
            says += f"; the log of node {view.coordinator or 'local'} names {view.request_id}"
    helps = f"jobx invocation get {path} {failure.invocation_id}" if failure.invocation_id else None
    if first is not None:
        times = "once" if first.retries == 1 else f"{first.retries} times"
        says += f"; first: {first.invocation} failed, and was tried again {times}"
        says += _error(first.failure)
        helps = f"jobx invocation get {path} {first.invocation}"
    elif failure.invocation_id is None and failure.kind != "internal" and then:
        open_then = then[0]
        says += f"; open then: {open_then.count:,} of step {open_then.step_name or '(several)'}, "
        says += f"first {open_then.invocation_id}, {open_then.says}"
        helps = f"jobx invocation get {path} {open_then.invocation_id}"
    return says, helps


def _failed(failure: Failure) -> str:
    where = ""
    if failure.invocation_id:
        place = "/".join(name for name in (failure.step_name, failure.handler_name) if name)
        where = f" in {failure.invocation_id} ({place})"
    tries = f", attempt {failure.attempt}" if failure.attempt and failure.attempt > 1 else ""
    on = f", on {failure.input}" if failure.input else ""
    what = _FAILED.get(failure.kind, f"it failed ({failure.kind})")
    if failure.kind == "timeout" and not failure.invocation_id:
        what = "its time was over"
    return f"{what}{where}{tries}{on}{_error(failure)}"


def _error(failure: Failure) -> str:
    return "".join(f": {part}" for part in (failure.type, failure.message) if part)


def _delivered(view: RequestView) -> tuple[str, str | None]:
    """Return what became of a result that is sent elsewhere, too, and what helps."""
    late = [one for one in view.deliveries if one.state != "delivered"]
    if not late:
        return _ENDED[view.state], None
    sent = late[0]
    says = f"it has succeeded; its result is sent by {sent.writer} to {sent.place}: "
    if sent.state == "given_up":
        says += f"given up after {sent.attempts} deliveries"
    else:
        at = f", at {said_at(sent.next_at)}" if sent.next_at is not None else ""
        says += f"delivery {sent.attempts + 1} is next{at}"
    says += f"; the last one: {sent.error}" if sent.error else ""
    return says, f"jobx request deliver {view.workflow_name} {view.request_id}"


_ENDED: Final = {
    "succeeded": "it has succeeded",
    "failed": "it has failed",
    "cancelled": "it was cancelled",
}
#: What failed, by the kind of a failure.
_FAILED: Final = {
    "author": "its handler failed",
    "arguments": "its arguments do not fit its handler",
    "pair": "its handler yielded what is no pair",
    "protocol": "its handler broke the rules of handlers",
    "timeout": "its handler took too long",
    "scope": "the scope factory of its workflow failed",
    "memory": "its handler ran out of memory",
    "crash": "its executor died",
    "lost": "its work was lost too often",
    "capability": "nothing can run its handler",
    "blob": "a stored value is gone",
    "full": "a disk has no room",
    "limit": "it exceeded a limit",
    "internal": "JobX itself failed",
}
#: What invocations that were open at the end of a request waited for.
_THEN: Final = {
    "running": "an executor ran it",
    "dying": "its executor was killed",
    "behind": "an executor had it, behind other work",
    "queued": "it waited for an executor",
    "capability": "it waited for a node that can do it",
    "peer": "another node had it",
    "backoff": "it was to be tried again",
    "full": "it waited for room on a disk",
    "ready": "it was not started, since the request had enough at work",
    "window": "it was suspended until enough of its children had ended",
    "remade": "its input was made again",
    "children": "it waited for its children",
}
