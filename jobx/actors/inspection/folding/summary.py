"""What a request has done so far, from its columns."""

from __future__ import annotations

from collections.abc import Collection

from msgspec.structs import replace

from jobx import model, views
from jobx.actors.inspection.folding.view_columns import (
    ENDED,
    REPLACED,
    WITH_COMBINER,
    Columns,
    Total,
    stage_of,
    state_of,
)


def summarize(columns: Columns, request: views.RequestView) -> views.SummaryView:
    """Return what a request has done so far."""
    steps = sorted(columns.totals, key=lambda total: (total.depth, total.step))
    groups = sorted(columns.groups, key=lambda group: -group.count)
    return views.SummaryView(
        request=request if columns.is_done else replace(request, counts=counts(columns)),
        as_of=columns.as_of,
        reading=columns.reading,
        steps=[_step(total, columns) for total in steps],
        failures=[
            views.FailureGroup(
                type=group.type, line=group.line, step_name=group.step, count=group.count,
                first=group.first, message=group.message, is_final=group.is_final,
            )
            for group in groups
        ],
    )  # fmt: skip


def counts(columns: Columns) -> model.Counts:
    """Return how much was done so far."""
    return model.Counts(
        mapped=sum(map(_mapped, columns.totals)),
        finished=sum(_in(total, "succeeded", columns) for total in columns.totals),
        retried=sum(total.retries for total in columns.totals),
        invocations=sum(total.timed + total.combined + total.reduced for total in columns.totals),
    )


def _step(total: Total, columns: Columns) -> views.StepSummary:
    names = ("pending", "running", "succeeded", "failed", "cancelled")
    return views.StepSummary(
        step_name=total.step,
        depth=total.depth,
        mapped=_mapped(total),
        **{name: _in(total, name, columns) for name in names},
        retries=total.retries,
        combined=_at(total, WITH_COMBINER) if total.has_combiner else 0,
        reduced=_at(total, ENDED),
        mean_s=total.sum_us / total.timed / 1e6 if total.timed else None,
        max_s=total.max_us / 1e6 if total.timed else None,
    )


def _mapped(total: Total) -> int:
    return sum(count for code, count in total.stages.items() if stage_of(code) != REPLACED)


def _at(total: Total, stages: Collection[int]) -> int:
    return sum(count for code, count in total.stages.items() if stage_of(code) in stages)


def _in(total: Total, state: str, columns: Columns) -> int:
    is_done = columns.is_done
    return sum(
        count for code, count in total.stages.items() if state_of(code, is_done=is_done) == state
    )
