"""The timeline of a request, from its columns: bars, or how much ran in parts of the time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from math import ceil
from typing import Final

from msgspec.structs import replace

from jobx import questions, views
from jobx.actors.inspection.folding.activity import PARTS
from jobx.actors.inspection.folding.view_columns import (
    BLOCK,
    MAPPED,
    REPLACED,
    Block,
    Columns,
    stage_of,
    state_of_kind,
)
from jobx.errors import InvalidInput

#: More bars than these, or bars of more blocks, are shown as columns.
MAX_BARS: Final = 10_000
MAX_BLOCKS: Final = 100
#: Instants beyond it are refused: their distances are no numbers.
FARTHEST_S: Final = 1e12


def of(columns: Columns, asked: questions.GetTimeline) -> views.TimelineView:
    """Return what ran when.

    Raises:
        InvalidInput: It ends before it begins, or not in any time.
    """
    for name, at in (("from", asked.from_at), ("to", asked.until_at)):
        if at is not None and not abs(at) <= FARTHEST_S:
            raise InvalidInput(name, str(at), f"must be at most {FARTHEST_S:g} s from 1970")
    from_at = columns.accepted_at if asked.from_at is None else asked.from_at
    until_at = max(_end(columns), from_at) if asked.until_at is None else asked.until_at
    if until_at < from_at:
        raise InvalidInput("to", str(until_at), f"is before from, {from_at}")
    view = views.TimelineView(
        as_of=columns.as_of, from_at=from_at, until_at=until_at,
        lanes=[f"{node} {executor}".strip() for node, executor in columns.places],
        reading=columns.reading,
    )  # fmt: skip
    blocks = _blocks(columns, from_at, until_at)
    most = columns.activity.runs_between(from_at, until_at) + sum(columns.activity.failed)
    if most > MAX_BARS or len(blocks) > MAX_BLOCKS:
        return replace(view, columns=list(_columns(columns, from_at, until_at, asked.width)))
    found = [bar for number in blocks for bar in _bars(columns, number)] + list(_failed(columns))
    shown = [bar for bar in found if _is_within(bar, from_at, until_at)]
    return replace(view, bars=sorted(shown, key=lambda bar: bar.started_at))


def _is_within(bar: views.Bar, from_at: float, until_at: float) -> bool:
    return bar.started_at <= until_at and bar.started_at + bar.duration_s >= from_at


def _end(columns: Columns) -> float:
    blocks = range(ceil(columns.count / BLOCK))
    ends = [columns.extent(number).high_at for number in blocks]
    failed = (one.began_at + one.took_s for one in columns.failed)
    return max([*ends, *failed], default=0.0)


def _blocks(columns: Columns, from_at: float, until_at: float) -> list[int]:
    """Return the blocks something of which ran between two instants."""
    found = []
    for number in range(ceil(columns.count / BLOCK)):
        extent = columns.extent(number)
        if extent.low_at <= until_at and extent.high_at >= from_at:
            found.append(number)
    return found


def _bars(columns: Columns, number: int) -> Iterator[views.Bar]:
    """Yield the runs of a block: of mappers with their trips, and of reducers on their own."""
    block, chunks, first = columns.block(number), columns.chunks, number * BLOCK
    for at, began_at in enumerate(block.began_at):
        if began_at and MAPPED <= stage_of(block.stages[at]) < REPLACED:
            spent_us = sum([column[at] for column in block.spent_us])
            step = columns.totals[chunks.totals[chunks.index(first + at)]].step
            yield views.Bar(
                invocation_id=f"m{first + at}", step_name=step, state=_state(columns, block, at, 0),
                started_at=began_at, duration_s=spent_us / 1e6, lane=block.places[at],
            )  # fmt: skip
    for at, branch in block.branches.items():
        if branch.parts and branch.began_at:
            step = columns.totals[chunks.totals[chunks.index(first + at)]].step
            yield views.Bar(
                invocation_id=f"r{first + at}", step_name=step, state=_state(columns, block, at, 2),
                started_at=branch.began_at, duration_s=branch.us / 1e6, lane=branch.place,
            )  # fmt: skip


def _state(columns: Columns, block: Block, at: int, kind: int) -> views.InvocationState:
    tries = block.tries.get(at)
    return state_of_kind(kind, block.stages[at], tries, is_done=columns.is_done)


def _failed(columns: Columns) -> Iterator[views.Bar]:
    """Yield attempts that failed; what did not run has no length."""
    for one in columns.failed:
        index = columns.chunks.index(int(one.name[1:]))
        step = columns.totals[columns.chunks.totals[index]].step
        yield views.Bar(
            invocation_id=one.name, step_name=step, state="failed", started_at=one.began_at,
            duration_s=one.took_s, lane=one.place,
        )  # fmt: skip


def _columns(
    columns: Columns, from_at: float, until_at: float, width: int
) -> Iterator[views.Column]:
    """Yield at most ``width`` columns, none of them narrower than what is known."""
    activity = columns.activity
    count = max(1, min(width, ceil((until_at - from_at) / activity.width_s)))
    width_s = (until_at - from_at) / count or activity.width_s
    sums = {step: [0.0, *accumulate(one)] for step, one in activity.running().items()}
    failed = [0, *accumulate(activity.failed)]
    edges = [(from_at + n * width_s - activity.from_at) / activity.width_s for n in range(count)]
    for low, high in zip(edges, [*edges[1:], edges[-1] + width_s / activity.width_s], strict=True):
        running = {
            step: round((_until(one, high) - _until(one, low)) / (high - low), 3)
            for step, one in sums.items()
        }
        yield views.Column(
            at=activity.from_at + low * activity.width_s,
            width_s=width_s,
            running={step: ran for step, ran in running.items() if ran},
            failed=failed[_nearest(high)] - failed[_nearest(low)],
        )


def _until(sums: list[float], edge: float) -> float:
    """Return what there is before an edge, which may be within a part."""
    edge = min(max(edge, 0.0), float(PARTS))
    part = min(int(edge), PARTS - 1)
    return sums[part] + (edge - part) * (sums[part + 1] - sums[part])


def _nearest(edge: float) -> int:
    return min(max(ceil(edge - 0.5), 0), PARTS)
