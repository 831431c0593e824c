"""Writes views of requests to the terminal."""

from __future__ import annotations

from jobx import amounts
from jobx.tools.shared import render
from jobx.views import InvocationPage, SiblingRun, SummaryView, TimelineView, TreePage

_STATES = ("pending", "running", "succeeded", "failed", "cancelled", "retries")


def say_summary(view: SummaryView) -> None:
    """Write counts by step and depth, and failures in groups."""
    request = view.request
    path = f"{request.workflow_name}/{request.request_id}"
    render.say(f"request {path}: {request.state}, as of event {view.as_of}")
    rows = [
        (
            step.step_name,
            step.depth,
            step.mapped,
            *(getattr(step, name) for name in _STATES),
            "" if step.mean_s is None else amounts.duration(step.mean_s),
            "" if step.max_s is None else amounts.duration(step.max_s),
        )
        for step in view.steps
    ]
    render.say_table(("step", "depth", "mapped", *_STATES, "mean", "longest"), rows)
    for group in view.failures:
        where = f" at {group.line}" if group.line else ""
        final = "" if group.is_final else ", tried again"
        render.say(
            f"{group.count:,} x {group.type}{where} in step {group.step_name}{final}; first"
            f" {group.first}: {group.message}"
        )


def say_tree(view: TreePage) -> None:
    """Write the children of a mapper."""
    runs = [*([view.parent] if view.parent else []), *view.runs]
    columns = ("invocations", "count", "step", "state", "children", "took", "error")
    render.say_table(columns, map(_run_row, runs))
    _say_more("--after", view.next)


def say_invocations(view: InvocationPage) -> None:
    """Write a page of invocations."""
    rows = [
        (
            row.invocation_id,
            row.step_name,
            row.state,
            row.attempt,
            f"{row.node_id or ''} {row.executor or ''}".strip(),
            render.instant(row.started_at),
            "" if row.duration_s is None else amounts.duration(row.duration_s),
            "" if row.failure is None else render.failure(row.failure),
        )
        for row in view.invocations
    ]
    columns = ("invocation", "step", "state", "attempt", "executor", "started", "took", "error")
    render.say_table(columns, rows)
    _say_more("--from", view.next)


def say_timeline(view: TimelineView) -> None:
    """Write what ran when, as a table."""
    if view.bars is not None:
        rows = [
            (
                bar.invocation_id,
                bar.step_name,
                bar.state,
                render.instant(bar.started_at),
                amounts.duration(bar.duration_s),
                view.lanes[bar.lane] if bar.lane >= 0 else "",
            )
            for bar in view.bars
        ]
        render.say_table(("invocation", "step", "state", "started", "took", "executor"), rows)
        return
    columns = [
        (render.instant(one.at), sum(one.running.values()), one.failed)
        for one in view.columns or ()
    ]
    render.say_table(("from", "running", "failed"), columns)


def _run_row(run: SiblingRun) -> tuple[object, ...]:
    last = f" to m{int(run.first[1:]) + run.count - 1}" if run.count > 1 else ""
    return (
        f"{run.first}{last}",
        run.count,
        run.step_name,
        run.state,
        run.children,
        "" if run.duration_s is None else amounts.duration(run.duration_s),
        "" if run.failure is None else render.failure(run.failure),
    )


def _say_more(option: str, cursor: str | None) -> None:
    if cursor is not None:
        render.say(f"more: {option} {cursor}")
