"""Lines of invocations that have ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from jobx.actors.inspection.dumps.line_maker import LineMaker, mapper_name, why_absent
from jobx.actors.inspection.dumps.lines import DumpLine
from jobx.actors.inspection.dumps.values import Shown
from jobx.actors.request import events, spans
from jobx.payload import unpack_offsets

_AS_YIELDED: Final = Shown(why="they are the arguments of its children")
_OF_MAPPER: Final = Shown(why="they are the data of its mapper")
_OF_COMBINER: Final = Shown(why="they are the data of its combiner")
_OF_CHILDREN: Final = Shown(why="they are the data of the reducers of its mapper's children")


@dataclass(slots=True)  # frozen ones are slow to make, and there is one for each event
class Batch:
    """What the lines of one event have in common."""

    event: events.Done
    position: int
    step: str
    named: dict[str, tuple[str, str]]
    spent: Sequence[int]
    begun: Sequence[float | None]
    arguments: Sequence[Shown]
    node_id: str | None
    executor: int | None
    #: Why the data of stages is absent if it is.
    why: Shown

    def started_at(self, n: int, before_us: int) -> float | None:
        """Return when a later stage of one of them began."""
        begun = self.begun[n]
        return None if begun is None else begun + before_us / 1e6


def ended_lines(maker: LineMaker, position: int, event: events.Done) -> Sequence[DumpLine]:
    """Return the lines of mappers that have ended, with those of what ran in their trips."""
    batch = batch_of(maker, position, event)
    is_all = maker.top is None
    lines: list[DumpLine] = []
    for n, vertex in enumerate(range(event.first, event.first + event.count)):
        if is_all or maker.is_shown(position, vertex):
            lines += lines_of(maker, batch, n, vertex)
    return lines


def lines_of(maker: LineMaker, batch: Batch, n: int, vertex: int) -> list[DumpLine]:
    """Return the lines of the mapper at a position in its event, and of what ran in its trip."""
    has_combiner = "combine" in batch.named and batch.event.outcome != "mapped"
    is_reduced = batch.event.outcome == "reduced"
    is_last = not (has_combiner or is_reduced)
    lines = [_mapper_line(maker, batch, n, vertex, is_last=is_last)]
    if has_combiner:
        lines.append(_later_line(maker, batch, n, vertex, "combine", is_last=not is_reduced))
    if is_reduced:
        lines.append(_later_line(maker, batch, n, vertex, "reduce", is_last=False))
    return lines


def reduced_line(maker: LineMaker, position: int, event: events.Done) -> DumpLine:
    """Return the line of a reducer that ran by itself, or of one of its partitions."""
    vertex, step = event.first, maker.chunks.steps[position]
    shown = _OF_CHILDREN, maker.values.pairs(event.payloads)
    line = maker.bare_line("reduce", vertex, step, "succeeded", shown)
    line.parent, line.partition = f"m{vertex}", event.partition
    line.node_id = event.node or maker.owner or None
    if vertex in event.notes:
        maker.note(line, event.notes[vertex])
    if event.span is not None:
        line.executor = event.span.executor
        line.ran(None, event.at - event.span.began_us / 1e6, event.span.us)
    return line


def batch_of(maker: LineMaker, position: int, event: events.Done) -> Batch:
    """Return what the lines of an event have in common."""
    count, step = event.count, maker.chunks.steps[position]
    spent: Sequence[int] = unpack_offsets(event.durations)
    if len(spent) != 3 * count:
        spent = [*spent[:1], *[0] * (3 * count)][: 3 * count]
    begun: Sequence[float | None] = (None,) * count
    if event.span is not None and count == 1:
        begun = (event.at - event.span.began_us / 1e6,)
    elif event.span is not None:
        begun = list(spans.starts(event.at, event.span, spent, count))
    at = event.first - maker.chunks.starts[position]
    return Batch(
        event=event,
        position=position,
        step=step,
        named=maker.handlers_of(step),
        spent=spent,
        begun=begun,
        arguments=maker.values.arguments(maker.payload(position), at, count),
        node_id=event.node or maker.owner or None,
        executor=event.span.executor if event.span is not None else None,
        why=why_absent(event.data, sum(spent) / count),
    )


def _mapper_line(maker: LineMaker, batch: Batch, n: int, vertex: int, *, is_last: bool) -> DumpLine:
    event, position = batch.event, batch.position
    if event.outcome == "mapped":
        data = _AS_YIELDED
    elif is_last:
        data = maker.values.pairs(event.payloads)
    else:
        data = maker.staged(event.data, vertex, "map", batch.why)
    line = _line(maker, "map", vertex, batch, (batch.arguments[n], data))
    line.parent = mapper_name(maker.chunks.parents[position])
    line.ran(maker.queued_at(position, vertex), batch.begun[n], batch.spent[n])
    if event.outcome == "mapped":
        line.children = maker.children.pop(vertex, 0)
    return line


def _later_line(
    maker: LineMaker, batch: Batch, n: int, vertex: int, kind: events.Kind, *, is_last: bool
) -> DumpLine:
    """Return the line of a combiner or reducer that ran in the trip of its mapper."""
    event, count, spent = batch.event, batch.event.count, batch.spent
    before_us, own_us = spent[n], spent[count + n]
    arguments = _OF_MAPPER
    if kind == "reduce":
        before_us, own_us = before_us + own_us, spent[2 * count + n]
        arguments = _OF_COMBINER if "combine" in batch.named else _OF_MAPPER
    if is_last:
        data = maker.values.pairs(event.payloads)
    else:
        data = maker.staged(event.data, vertex, kind, batch.why)
    line = _line(maker, kind, vertex, batch, (arguments, data))
    line.parent = f"m{vertex}"
    line.ran(None, batch.started_at(n, before_us), own_us)
    return line


def _line(
    maker: LineMaker, kind: events.Kind, vertex: int, batch: Batch, shown: tuple[Shown, Shown]
) -> DumpLine:
    line = maker.bare_line(kind, vertex, batch.step, "succeeded", shown)
    line.node_id, line.executor = batch.node_id, batch.executor
    notes = batch.event.notes
    if notes and vertex in notes:
        maker.note(line, notes[vertex])
    return line
