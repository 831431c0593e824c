"""Notifications as values, and what makes one a repeat of another."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias, cast

from jobx import model
from jobx.actors.request.events import Done, Event, Failed, Retried
from jobx.errors import JobxError
from jobx.setting_types import Level

ChannelName: TypeAlias = Literal["email", "http"]

#: Levels in order.
LEVELS: Final[tuple[Level, ...]] = ("debug", "info", "warning", "error", "critical")
_CAUSE_CHARACTERS: Final = 200
#: Events of which there may be something to tell.
TOLD: Final = frozenset({Done, Failed, Retried})
#: Kinds of failures that are an author's.
_AUTHORS: Final = ("author", "pair", "protocol")
_DIGITS: Final = re.compile(r"\d+")
_CHANNELS: Final[dict[str, ChannelName | None]] = {"NOTIFY": None, "EMAIL": "email", "HTTP": "http"}


@dataclass(frozen=True, slots=True)
class Notification:
    """Something that people should hear of.

    Attributes:
        kind: What it is about: ``request.failed``, ``handler``, …
        level: How much it matters.
        subject: One line.
        cause: With ``kind``, what repeats have in common.
        text: Details, any number of lines.
        channel: The only channel that it is for, None for all.
        failure: What failed, if something of a request did.
        count: How many notifications it represents.
    """

    kind: str
    level: Level
    subject: str
    cause: str
    text: str = ""
    workflow: str | None = None
    request_id: str | None = None
    channel: ChannelName | None = None
    failure: model.Failure | None = None
    count: int = 1


def is_at_least(level: Level, least: Level) -> bool:
    """Tell whether a level is at least another."""
    return LEVELS.index(level) >= LEVELS.index(least)


def node_lost(node_id: str) -> Notification:
    """Return the notification that a node of the cluster died, or is cut off."""
    text = "Other nodes adopt its open requests. It is back when it registers again."
    return _of_node("node.lost", "error", node_id, "is lost: its lease has run out", text)


def store_stalled(node_id: str, error: JobxError) -> Notification:
    """Return the notification that the store takes no writes."""
    text = "Accepted requests wait and resume by themselves. Until then no request is accepted."
    return _of_node("store.stalled", "critical", node_id, f"cannot write: {error}", text)


def store_damaged(node_id: str, error: JobxError) -> Notification:
    """Return the notification that the check of the store failed."""
    return Notification(
        kind="store.damaged",
        level="critical",
        subject=f"the check of the store of node {node_id} failed: {error}",
        cause=node_id,
        text="The node goes on and accepts requests. Restore the store from the backup.",
    )


def store_back(node_id: str) -> Notification:
    """Return the notification that the store takes writes again."""
    return _of_node("store.back", "warning", node_id, "can write again")


def place_away(node_id: str, error: JobxError) -> Notification:
    """Return the notification that the shared place of large values cannot be used."""
    text = "Requests with large values wait and resume by themselves."
    subject = f"cannot use the shared place: {error}"
    return _of_node("blobs.away", "critical", node_id, subject, text)


def place_back(node_id: str) -> Notification:
    """Return the notification that the shared place of large values can be used again."""
    subject = "can use the shared place of large values again"
    return _of_node("blobs.back", "warning", node_id, subject)


def _of_node(kind: str, level: Level, node_id: str, what: str, text: str = "") -> Notification:
    return Notification(kind, level, f"node {node_id} {what}", cause=node_id, text=text)


def request_failed(request: model.Request) -> Notification:
    """Return the notification of a request that failed."""
    failure = request.failure or model.Failure(kind="internal", type="Unknown", message="")
    where = f"{request.workflow_name}/{request.job_name}"
    handler = f" in {failure.handler_name}" if failure.handler_name else ""
    return Notification(
        kind="request.failed",
        level="error",
        subject=f"request {request.request_id} of {where} failed: {_cause_of(failure)}{handler}",
        cause=f"{where}/{failure.handler_name}/{failure.type}",
        text=failure.traceback or failure.message,
        workflow=request.workflow_name,
        request_id=request.request_id,
        failure=request.failure,
    )


def handler_raised(request: model.Request, failure: model.Failure) -> Notification:
    """Return the notification of an author's exception that is tried again."""
    where = f"{request.workflow_name}/{failure.handler_name}"
    return Notification(
        kind="handler.raised",
        level="warning",
        subject=f"handler {where} raised {_cause_of(failure)}; it is tried again",
        cause=f"{where}/{failure.type}",
        text=failure.traceback or failure.message,
        workflow=request.workflow_name,
        request_id=request.request_id,
        failure=failure,
    )


def of_event(request: model.Request, event: Event) -> list[Notification]:
    """Return the notifications of a durable event, except for the end of its request."""
    if isinstance(event, (Done, Failed)):
        return from_notes(request, event.notes) if event.notes else []
    if isinstance(event, Retried) and event.failure.kind in _AUTHORS:
        return [handler_raised(request, event.failure)]
    return []


def from_notes(
    request: model.Request, notes: Mapping[int, Mapping[str, Any]]
) -> list[Notification]:
    """Return the notifications of handlers in the notes of an event; repeats are merged."""
    found: dict[tuple[Any, ...], Notification] = {}
    for note in notes.values():
        for wire in note.get("notifications", ()):
            notification = _from_wire(request, wire)
            same = (notification.channel, notification.level, notification.cause)
            count = found[same].count + 1 if same in found else 1
            found[same] = replace(notification, count=count)
    return list(found.values())


def executor_died(blame: model.Failure, was_ready: bool) -> Notification:
    """Return the notification of an executor that died, at work or before it was ready."""
    return Notification(
        kind="executor.died",
        level="warning" if was_ready else "error",
        subject=f"an executor died {'at work' if was_ready else 'before it was ready'}"
        f" and is replaced: {blame.message}",
        cause=f"{blame.type}/{was_ready}",
    )


def coordinator_died(workflow: str, request_id: str, details: object) -> Notification:
    """Return the notification of a coordinator that died and is rebuilt from its log."""
    return Notification(
        kind="coordinator.died",
        level="error",
        subject=f"the coordinator of request {workflow}/{request_id} died and is rebuilt",
        cause=workflow,
        text=str(details),
        workflow=workflow,
        request_id=request_id,
    )


def coordinator_given_up(workflow: str, request_id: str, failure: model.Failure) -> Notification:
    """Return the notification of a request that is ended because it keeps failing."""
    return Notification(
        kind="coordinator.given_up",
        level="critical",
        subject=f"request {workflow}/{request_id} is given up: {failure.message}",
        cause=f"{workflow}/{failure.type}",
        workflow=workflow,
        request_id=request_id,
    )


def handlers_changed(
    before: Mapping[tuple[str, str], str], after: Mapping[tuple[str, str], str]
) -> list[Notification]:
    """Return a notification for each workflow whose handlers have new versions."""
    changed = sorted(
        name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    )
    by_workflow: dict[str, list[str]] = {}
    for workflow, handler in changed:
        by_workflow.setdefault(workflow, []).append(handler)
    return [_handlers_changed(*item) for item in by_workflow.items()]


def _handlers_changed(workflow: str, handlers: Sequence[str]) -> Notification:
    return Notification(
        kind="handler.changed",
        level="info",
        subject=f"workflow {workflow} runs new code: {_listed(handlers)}",
        cause=workflow,
        workflow=workflow,
    )


def _listed(names: Iterable[str], most: int = 10) -> str:
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more


def _from_wire(request: model.Request, wire: Sequence[Any]) -> Notification:
    channel, level, handler, template, message, text = wire
    where = f"{request.workflow_name}/{handler}"
    # Messages that differ only in their numbers are repeats: "row 17 is bad".
    same = _DIGITS.sub("#", template)[:_CAUSE_CHARACTERS]
    return Notification(
        kind="handler",
        level=cast("Level", level if level in LEVELS else "info"),
        subject=message,
        cause=f"{where}/{same}",
        text=text,
        workflow=request.workflow_name,
        request_id=request.request_id,
        channel=_CHANNELS.get(channel),
    )


def _cause_of(failure: model.Failure) -> str:
    return f"{failure.type}: {failure.message}" if failure.message else failure.type
