"""Lines of invocations that have not ended, or failed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from jobx.actors.inspection.dumps.line_maker import STAGES, LineMaker, mapper_name, why_absent
from jobx.actors.inspection.dumps.lines import DumpLine
from jobx.actors.inspection.dumps.values import Shown

_OWN: Final = Shown(why="they are the data of its mapper or combiner, if that mapped no further")
_UNENDED: Final = Shown(why="it has not ended")


def open_lines(
    maker: LineMaker, position: int, vertex: int, *, is_mapped: bool
) -> Iterator[DumpLine]:
    """Yield the lines of a vertex that has not ended; those before what failed succeeded."""
    named = maker.handlers_of(maker.chunks.steps[position])
    kinds = [kind for kind in STAGES if kind in named or kind != "combine"]
    blamed = [kind for kind in kinds if (vertex, kind) in maker.failed]
    if is_mapped:
        yield _open_line(maker, position, vertex, "reduce")
        return
    for kind in kinds[: kinds.index(blamed[0]) + 1] if blamed else kinds[:1]:
        yield _open_line(maker, position, vertex, kind, is_before=kind not in blamed[:1] != [])


def _open_line(
    maker: LineMaker, position: int, vertex: int, kind: str, *, is_before: bool = False
) -> DumpLine:
    step, number = maker.chunks.steps[position], maker.failed.get((vertex, kind))
    arguments = _OWN
    if kind == "map":
        at = vertex - maker.chunks.starts[position]
        (arguments,) = maker.values.arguments(maker.payload(position), at, 1)
    state = "succeeded" if is_before else _open_state(maker, vertex, kind, number)
    line = maker.bare_line(kind, vertex, step, state, (arguments, _UNENDED))
    line.parent = f"m{vertex}"
    if kind == "map":
        line.parent = mapper_name(maker.chunks.parents[position])
        line.queued_at = maker.queued_at(position, vertex)
    if is_before:
        _note_data_before(maker, line, vertex, kind)
    elif number is not None:
        _note_failure(maker, line, number, vertex)
    return line


def _open_state(maker: LineMaker, vertex: int, kind: str, number: int | None) -> str:
    if number is not None:
        return "failed"
    if maker.request.is_done:
        return "cancelled"
    return "running" if kind == "map" and vertex in maker.children else "pending"


def _note_data_before(maker: LineMaker, line: DumpLine, vertex: int, kind: str) -> None:
    """Give the line of a stage before one that failed what it yielded."""
    numbers = [maker.failed[vertex, k] for k in STAGES if (vertex, k) in maker.failed]
    event = maker.log.attempt(numbers[0])
    shown = maker.staged(event.data, vertex, kind, why_absent(event.data, 0.0))
    line.data = shown.value
    line.absent.pop("data", None)
    if shown.why:
        line.absent = {**line.absent, "data": shown.why}


def _note_failure(maker: LineMaker, line: DumpLine, number: int, vertex: int) -> None:
    found = maker.shown_attempt(number, vertex, line.kind)
    line.failure, line.attempt = found.failure, found.attempt
    line.output, line.run_s = found.output, found.run_s
    line.node_id, line.executor = found.node_id, found.executor
    line.started_at = found.started_at
    line.absent = {**line.absent, "data": "it failed"}
