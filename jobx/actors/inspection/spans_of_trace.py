"""The spans of an ended request, for OpenTelemetry: it, and its first invocations."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

from jobx.actors.egress.otlp import Span
from jobx.traceparent import Traceparent
from jobx.views import RequestView, TraceNode, TraceView

#: Most spans of a request.
MOST_SPANS: Final = 1_000


def spans(view: TraceView, parent: Traceparent) -> list[Span]:
    """Return the spans of a request: the same each time, so that a collector can tell repeats.

    Args:
        view: Its trace, whose invocations may be cut off.
        parent: What it was asked for with.
    """
    request = view.request
    root = _of_request(request, parent)
    below = _below(view.root, parent.trace_id, root.span_id, request) if view.root else iter(())
    found = [root]
    for span in below:
        if len(found) >= MOST_SPANS:
            root.attributes["jobx.is_cut"] = 1
            break
        found.append(span)
    return found


def _of_request(request: RequestView, parent: Traceparent) -> Span:
    failure = request.failure
    attributes: dict[str, str | int | float] = {
        "jobx.workflow": request.workflow_name,
        "jobx.job": request.job_name,
        "jobx.request": request.request_id,
        "jobx.state": request.state,
        "jobx.invocations": request.counts.invocations,
    }
    return Span(
        parent.trace_id,
        _id(request, ""),
        parent.span_id,
        f"job {request.workflow_name}/{request.job_name}",
        request.accepted_at,
        request.finished_at or request.accepted_at,
        attributes,
        f"{failure.type}: {failure.message}" if failure is not None else None,
    )


def _below(root: TraceNode, trace_id: int, parent_id: int, request: RequestView) -> Iterator[Span]:
    """Yield the spans of a tree, level by level: what did not begin has none."""
    level = [(root, parent_id)]
    while level:
        deeper: list[tuple[TraceNode, int]] = []
        for node, above in level:
            own = _id(request, node.invocation_id)
            if node.started_at is not None:
                yield _of_invocation(node, node.started_at, trace_id, own, above)
            else:
                own = above
            deeper += [(child, own) for child in node.children]
        level = deeper


def _of_invocation(node: TraceNode, began_at: float, trace_id: int, own: int, above: int) -> Span:
    attributes: dict[str, str | int | float] = {
        "jobx.invocation": node.invocation_id,
        "jobx.step": node.step_name,
        "jobx.kind": node.kind,
        "jobx.handler": node.handler_name,
        "jobx.attempt": node.attempt,
        "jobx.state": node.state,
    }
    if node.node_id is not None:
        attributes["jobx.node"] = node.node_id
    if node.executor is not None:
        attributes["jobx.executor"] = node.executor
    if node.queued_at is not None:
        attributes["jobx.queued_s"] = max(0.0, began_at - node.queued_at)
    failure = node.failure
    return Span(
        trace_id,
        own,
        above,
        f"{node.kind} {node.step_name}",
        began_at,
        began_at + (node.duration_s or 0.0),
        attributes,
        f"{failure.type}: {failure.message}" if failure is not None else None,
    )


def _id(request: RequestView, invocation_id: str) -> int:
    """Return the id of a span: never 0, and nothing that a caller can choose to collide."""
    name = f"{request.workflow_name}/{request.request_id}/{invocation_id}".encode()
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest()) or 1
