"""The causes of open invocations in words: what they wait for, what ends it, what helps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from jobx.actors.inspection.node_facts import NodeFacts
from jobx.actors.request.ids import invocation_id
from jobx.actors.request.standing import MAX_UNCOMMITTED, Group, Standing
from jobx.views import OpenGroup, RequestView

#: An invocation is slow that has run so many times as long as usual, and so much longer.
SLOW: Final = 3.0
SLOW_S: Final = 1.0
#: Requests that are named as having the executors.
MOST_BUSY: Final = 3


class Causes:
    """Says what groups of open invocations of one request wait for.

    Args:
        request: The request.
        standing: What its coordinator says.
        facts: What its node knows besides.
    """

    def __init__(self, request: RequestView, standing: Standing, facts: NodeFacts) -> None:
        self._path = f"{request.workflow_name} {request.request_id}"
        self._workflow = request.workflow_name
        self._standing = standing
        self._facts = facts
        self._cluster = "jobx node status" if facts.peer is None else "jobx cluster status"

    def view(self, group: Group) -> OpenGroup:
        """Return the view of a group."""
        cause = self._cause(group)
        says = _SAYS[cause](self, group)
        until = self._until(group)
        return OpenGroup(
            cause=cause,
            kind=group.kind,
            step_name=group.step,
            count=group.count,
            invocation_id=invocation_id(group.kind, group.vertex),
            since_at=None if group.since is None else self._facts.wall(group.since),
            until_at=None if until is None else self._facts.wall(until),
            node_id=group.node or None,
            executor=group.executor or None,
            attempt=group.attempt,
            error=group.error or None,
            usual_s=group.usual_s or None,
            limit_s=group.limit_s or None,
            part=group.part if group.parts else None,
            awaits=None if group.first_open < 0 else f"m{group.first_open}",
            says=says,
            helps=self._helps(cause, group),
        )

    def is_wrong(self, group: Group) -> bool:
        """Whether invocations wait for what does not come by itself as things are now."""
        if group.cause == "running":
            return group.is_still
        if group.cause == "peer" and self._facts.peer is not None and group.node:
            return self._facts.is_silent(self._facts.peer(group.node, self._workflow))
        return group.cause in ("remade", "full", "capability") or self._cause(group) == "starting"

    def _cause(self, group: Group) -> str:
        """Return the cause of a group, with what the node knows."""
        if group.cause == "queued" and self._facts.starts is not None:
            return "starting"
        if group.cause != "ready":
            return group.cause
        if self._standing.is_ending:
            return "ending"
        if self._standing.phase == "closed":
            return "stopping"
        return "store" if self._standing.uncommitted > MAX_UNCOMMITTED else "ready"

    def _until(self, group: Group) -> float | None:
        if group.cause == "running" and group.since is not None and group.limit_s:
            return group.since + group.limit_s
        if group.cause == "peer" and self._facts.peer is not None and group.node:
            peer = self._facts.peer(group.node, self._workflow)
            return peer.given_up_at if self._facts.is_silent(peer) else None
        return group.until

    def _running(self, group: Group) -> str:
        who = f"executor {group.executor}" if group.executor else "an executor"
        text = f"{who} runs {_part(group)}"
        if group.is_still:
            killed = f", and is killed after {group.limit_s:g} s" if group.limit_s else ""
            return f"{text}, but shows no sign of life: a signal has stopped it{killed}"
        ran_s = self._facts.now - group.since if group.since is not None else 0.0
        if group.usual_s and ran_s > max(SLOW * group.usual_s, group.usual_s + SLOW_S):
            text += f", for {ran_s:.1f} s: longer than its version usually takes"
            text += f" ({group.usual_s:.3g} s), and at most {group.limit_s:g} s"
        return text

    def _dying(self, group: Group) -> str:
        return f"executor {group.executor} ran it, and was killed: {group.error}"

    def _behind(self, group: Group) -> str:
        who = f"executor {group.executor}" if group.executor else "an executor"
        if not group.ahead:
            return f"{who} has {_part(group)}, and is about to begin it"
        return f"{who} has {_part(group)}, behind {group.ahead}"

    def _queued(self, _: Group) -> str:
        standing = self._standing
        if not standing.busy:
            return "waits for an executor"
        named = ", ".join(
            f"request {one.request_id} ({one.count}: {one.invocation})"
            for one in standing.busy[:MOST_BUSY]
        )
        more = len(standing.busy) - MOST_BUSY
        named += f" and {more} more requests" if more > 0 else ""
        if standing.share:
            share = f"this one has {standing.share}"
            return f"waits for an executor; requests take turns: {share}, others have {named}"
        return f"waits for an executor, behind {named}"

    def _starting(self, _: Group) -> str:
        starts = self._facts.starts
        text = "waits for an executor: none can take work, they are starting"
        if starts is None or not starts.deaths:
            return text
        times = "once" if starts.deaths == 1 else f"{starts.deaths} times in a row"
        return f"{text}; one died {times}, the last time: {starts.last}"

    def _peer(self, group: Group) -> str:
        text = f"node {group.node or 'several'} has it"
        if self._facts.peer is None or not group.node:
            return f"{text}; it comes back if that node is lost"
        peer = self._facts.peer(group.node, self._workflow)
        if not self._facts.is_silent(peer):
            return f"{text}; it comes back if that node is lost"
        text += f", but has not answered since {self._facts.said(peer.heard_at)}"
        if not peer.is_member:
            text += ", and its lease has ended"
        if peer.undelivered:
            text += f"; {peer.undelivered} messages to it are not delivered"
        if not peer.is_reached:
            text += ", and the nsqd of its queues is not reached"
        return f"{text}; the work comes back when its lease ends or it is given up"

    def _capability(self, group: Group) -> str:
        return f"waits for a node that can do it: {group.error}"

    def _backoff(self, group: Group) -> str:
        which = f"attempt {group.attempt - 1}"
        if group.faults and group.tries >= group.faults:
            which = f"error {group.faults} of {group.tries}"
        error = group.error or "an error"
        return (
            f"is tried again after {which}: {error}; a corrected handler is for new requests only"
        )

    def _full(self, group: Group) -> str:
        free = f" ({self._facts.free})" if self._facts.free else ""
        return f"found no room, and is tried again: {group.error or 'a disk is full'}{free}"

    def _ready(self, _: Group) -> str:
        return "starts when some of what the request has at work ends"

    def _store(self, _: Group) -> str:
        waiting = f"{self._standing.uncommitted} events are not durable"
        return f"starts once the store has written; {waiting}{_behind(commit(self._facts))}"

    def _ending(self, _: Group) -> str:
        return "had not ended, and is started no more: the end of the request is being written"

    def _stopping(self, _: Group) -> str:
        return "the node is stopping and starts nothing more; the next node goes on"

    def _window(self, group: Group) -> str:
        text = "is suspended until enough of its children have ended"
        if group.first_open < 0:
            return text
        return f"{text}: its window is full, from m{group.first_open} of step {group.opens} on"

    def _remade(self, group: Group) -> str:
        text = "its input is gone from its blob, and is made again"
        return text if group.first_open < 0 else f"{text} by m{group.first_open}"

    def _children(self, group: Group) -> str:
        text = "waits for its children"
        return text if group.first_open < 0 else f"{text}, first m{group.first_open}"

    def _helps(self, cause: str, group: Group) -> str | None:
        """Return the command that helps, or shows more."""
        if cause in ("running", "backoff"):
            name = invocation_id(group.kind, group.vertex)
            return None if group.is_still else f"jobx invocation get {self._path} {name}"
        if cause == "remade" and group.first_open >= 0:
            return f"jobx invocation get {self._path} m{group.first_open}"
        if cause == "queued" and self._standing.busy and not self._standing.share:
            other = self._standing.busy[0]
            return f"jobx request cancel {other.workflow} {other.request_id}"
        if cause in ("peer", "capability"):
            return self._cluster
        return {
            "behind": f"jobx request explain {self._path}",
            "window": f"jobx request summary {self._path}",
            "queued": "jobx node status",
            "starting": "jobx node status",
            "dying": f"jobx request trace {self._path}",
            "full": "df",
            "store": "jobx node status",
        }.get(cause)


def commit(facts: NodeFacts) -> str:
    """Return since when the store has written nothing, and what waits; empty: nothing does."""
    outstanding = facts.outstanding
    if outstanding is None:
        return ""
    since = facts.said(outstanding.since)
    text = f"the store has been silent since {since}; {outstanding.appends} appends wait"
    if outstanding.fault is not None:
        text += f": {outstanding.fault}"
    return f"{text} ({facts.free})" if facts.free else text


def _behind(text: str) -> str:
    return f"; {text}" if text else ""


def _part(group: Group) -> str:
    return f"part {group.part} of its {group.parts} parts" if group.parts else "it"


_SAYS: Final[dict[str, Callable[[Causes, Group], str]]] = {
    "running": Causes._running,
    "dying": Causes._dying,
    "behind": Causes._behind,
    "queued": Causes._queued,
    "starting": Causes._starting,
    "peer": Causes._peer,
    "capability": Causes._capability,
    "backoff": Causes._backoff,
    "full": Causes._full,
    "ready": Causes._ready,
    "store": Causes._store,
    "ending": Causes._ending,
    "stopping": Causes._stopping,
    "window": Causes._window,
    "remade": Causes._remade,
    "children": Causes._children,
}
