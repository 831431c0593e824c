"""What failed: the kind of an invocation, its handler, its input, and what it had written. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from jobx import values
from jobx.actors.request.branches import COMBINER, MAPPER, Chunk, Target
from jobx.actors.request.decisions import Dispatch, RunReducer
from jobx.actors.request.events import Kind, Notes
from jobx.actors.request.ids import invocation_id
from jobx.errors import InvalidInput
from jobx.model import Failure, HandlerRef, PlanStep
from jobx.payload import cut

#: Most characters of an invocation's input that a failure quotes.
QUOTED_CHARACTERS: Final = 200
_OUTPUTS: Final = ("output", "combiner_output", "reducer_output")
#: What is tried, by the stage of a mapper's trip.
_TRIED: Final[dict[str, tuple[Kind, int]]] = {
    "mapper": ("map", MAPPER),
    "combiner": ("combine", COMBINER),
    "reducer": ("reduce", 0),
}


def tried(work: Dispatch, vertex: int, stage: str) -> tuple[Kind, Target]:
    """Return what was tried of a vertex; ``stage`` is that of a mapper's trip."""
    if isinstance(work, RunReducer):
        return "reduce", (vertex, work.partition)
    kind, part = _TRIED[stage]
    return kind, (vertex, part)


def handler(step: PlanStep, kind: Kind) -> HandlerRef:
    """Return the handler of a step for a kind of invocation."""
    if kind == "combine" and step.combiner is not None:
        return step.combiner
    return step.reducer if kind == "reduce" else step.mapper


def complete(
    failure: Failure, chunk: Chunk, ref: HandlerRef, kind: Kind, vertex: int, *, attempt: int
) -> Failure:
    """Return a failure with the invocation that failed, and its input."""
    quoted = failure.input
    if quoted is None and kind == "map":
        quoted = _quote(chunk, vertex)
    return msgspec.structs.replace(
        failure,
        invocation_id=failure.invocation_id or invocation_id(kind, vertex),
        handler_name=failure.handler_name or ref.handler_name,
        step_name=chunk.step,
        attempt=attempt,
        input=quoted,
    )


def outputs(notes: Notes) -> Notes:
    """Return of notes what a failed attempt wrote: nothing else of it counts."""
    found = {
        vertex: {name: text for name, text in note.items() if name in _OUTPUTS}
        for vertex, note in notes.items()
    }
    return {vertex: note for vertex, note in found.items() if note}


def _quote(chunk: Chunk, vertex: int) -> str | None:
    """Return the shortened input of a mapper, if it is at hand."""
    if chunk.payload.inline is None:
        return None
    position = vertex - chunk.start
    start, stop = cut(chunk.payload, position, position + 1)
    try:
        text = repr(values.unpack(chunk.payload.inline[start:stop]))
    except InvalidInput:
        return None
    return text if len(text) <= QUOTED_CHARACTERS else f"{text[: QUOTED_CHARACTERS - 3]}..."
