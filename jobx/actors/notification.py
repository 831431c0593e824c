"""Notifications as values: what there is to tell, and what of it is the same again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias, cast

from jobx import model
from jobx.actors.request.events import Done, Event, Failed, Retried
from jobx.config import Level
from jobx.errors import JobxError

Channel: TypeAlias = Literal["email", "http"]

#: Levels in order.
LEVELS: Final[tuple[Level, ...]] = ("debug", "info", "warning", "error", "critical")
_CAUSE_CHARACTERS: Final = 200
#: Kinds of failures that are an author's.
_AUTHORS: Final = ("author", "pair", "protocol")
_DIGITS: Final = re.compile(r"\d+")
_CHANNELS: Final[dict[str, Channel | None]] = {"NOTIFY": None, "EMAIL": "email", "HTTP": "http"}


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that somebody should hear of.

    Attributes:
        kind: What it is about: ``request.failed``, ``handler``, …
        level: How much it matters.
        subject: It in a line.
        cause: With ``kind``, what a repeat shares with the first.
        text: More of it, in lines.
        channel: The only channel that it is for, None for all.
        count: How many it stands for.
    """

    kind: str
    level: Level
    subject: str
    cause: str
    text: str = ""
    workflow: str | None = None
    request_id: str | None = None
    channel: Channel | None = None
    count: int = 1


def is_at_least(level: Level, least: Level) -> bool:
    """Tell whether a level reaches another."""
    return LEVELS.index(level) >= LEVELS.index(least)


def store_stalled(node_id: str, error: JobxError) -> Notice:
    """Return the notification that nothing can be written."""
    return Notice(
        kind="store.stalled",
        level="critical",
        subject=f"node {node_id} cannot write: {error}",
        cause=node_id,
        text="What was accepted waits and goes on by itself; nothing new is accepted until then.",
    )


def store_back(node_id: str) -> Notice:
    """Return the notification that everything can be written again."""
    return Notice(
        kind="store.back",
        level="warning",
        subject=f"node {node_id} can write again",
        cause=node_id,
    )


def request_failed(request: model.Request) -> Notice:
    """Return the notification of a request that failed."""
    failure = request.failure or model.Failure(kind="internal", type="Unknown", message="")
    where = f"{request.workflow_name}/{request.job_name}"
    handler = f" in {failure.handler_name}" if failure.handler_name else ""
    return Notice(
        kind="request.failed",
        level="error",
        subject=f"request {request.request_id} of {where} failed: {_cause_of(failure)}{handler}",
        cause=f"{where}/{failure.handler_name}/{failure.type}",
        text=failure.traceback or failure.message,
        workflow=request.workflow_name,
        request_id=request.request_id,
    )


def handler_raised(request: model.Request, failure: model.Failure) -> Notice:
    """Return the notification of an author's exception that is tried again."""
    where = f"{request.workflow_name}/{failure.handler_name}"
    return Notice(
        kind="handler.raised",
        level="warning",
        subject=f"handler {where} raised {_cause_of(failure)}; it is tried again",
        cause=f"{where}/{failure.type}",
        text=failure.traceback or failure.message,
        workflow=request.workflow_name,
        request_id=request.request_id,
    )


def of_event(request: model.Request, event: Event) -> list[Notice]:
    """Return what there is to tell when an event is durable, but for the end of its request."""
    if isinstance(event, (Done, Failed)):
        return from_notes(request, event.notes) if event.notes else []
    if isinstance(event, Retried) and event.failure.kind in _AUTHORS:
        return [handler_raised(request, event.failure)]
    return []


def from_notes(request: model.Request, notes: Mapping[int, Mapping[str, Any]]) -> list[Notice]:
    """Return what handlers had to tell, from the notes of an event; repeats are counted."""
    found: dict[tuple[Any, ...], Notice] = {}
    for note in notes.values():
        for wire in note.get("notices", ()):
            notice = _from_wire(request, wire)
            same = (notice.channel, notice.level, notice.cause)
            count = found[same].count + 1 if same in found else 1
            found[same] = replace(notice, count=count)
    return list(found.values())


def executor_died(blame: model.Failure, was_ready: bool) -> Notice:
    """Return the notification of an executor that died at work, or before it could take any."""
    return Notice(
        kind="executor.died",
        level="warning" if was_ready else "error",
        subject=f"an executor died {'at work' if was_ready else 'before it was ready'}"
        f" and is replaced: {blame.message}",
        cause=f"{blame.type}/{was_ready}",
    )


def coordinator_died(workflow: str, request_id: str, details: object) -> Notice:
    """Return the notification of a coordinator that is rebuilt from its log."""
    return Notice(
        kind="coordinator.died",
        level="error",
        subject=f"the coordinator of request {workflow}/{request_id} died and is started anew",
        cause=workflow,
        text=str(details),
        workflow=workflow,
        request_id=request_id,
    )


def coordinator_given_up(workflow: str, request_id: str, failure: model.Failure) -> Notice:
    """Return the notification of a request that ends since going on with it is the fault."""
    return Notice(
        kind="coordinator.given_up",
        level="critical",
        subject=f"request {workflow}/{request_id} is not gone on with: {failure.message}",
        cause=f"{workflow}/{failure.type}",
        workflow=workflow,
        request_id=request_id,
    )


def handlers_changed(
    before: Mapping[tuple[str, str], str], after: Mapping[tuple[str, str], str]
) -> list[Notice]:
    """Return a notification for each workflow whose handlers have other versions than before."""
    changed = sorted(
        name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    )
    by_workflow: dict[str, list[str]] = {}
    for workflow, handler in changed:
        by_workflow.setdefault(workflow, []).append(handler)
    return [_handlers_changed(*item) for item in by_workflow.items()]


def _handlers_changed(workflow: str, handlers: Sequence[str]) -> Notice:
    return Notice(
        kind="handler.changed",
        level="info",
        subject=f"workflow {workflow} runs other code: {_listed(handlers)}",
        cause=workflow,
        workflow=workflow,
    )


def _listed(names: Iterable[str], most: int = 10) -> str:
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more


def _from_wire(request: model.Request, wire: Sequence[Any]) -> Notice:
    channel, level, handler, template, message, text = wire
    where = f"{request.workflow_name}/{handler}"
    # What differs in its numbers only is the same: "row 17 is bad".
    same = _DIGITS.sub("#", template)[:_CAUSE_CHARACTERS]
    return Notice(
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
