"""Makes lines of a dump of what its fold has noted."""

from __future__ import annotations

from typing import Any, Final

from jobx.actors.inspection.dumps.lines import Chunks, DumpAttempt, DumpLine
from jobx.actors.inspection.dumps.log import DumpLog
from jobx.actors.inspection.dumps.values import DumpValues, Shown
from jobx.actors.request import events
from jobx.actors.request.ids import invocation_id
from jobx.errors import BlobDamaged, JobxError
from jobx.model import Plan, Request
from jobx.payload import Payload, StageData
from jobx.work import QUICK_NS

STAGES: Final[dict[str, str]] = {"map": "mapper", "combine": "combiner", "reduce": "reducer"}
_OUTPUTS: Final = {"map": "output", "combine": "combiner_output", "reduce": "reducer_output"}

_QUICK: Final = Shown(why="it took under 0.25 ms, or its batch did for each")
_FULL: Final = Shown(why="there was no room for it on the disk or within retention.data_bytes")
_UNKEPT: Final = Shown(
    why="retention.data was none, retention.data_bytes was reached, to keep it would have taken "
    "longer than its batch took, or an older version ran it"
)
_DROPPED: Final = Shown(why="it was removed when the request had succeeded (retention.data)")


class LineMaker:
    """What a fold notes of a request, and the lines that are made of it.

    Attributes:
        request: Its entity.
        values: Shows values.
        chunks: All that were mapped.
        log: Its events.
        owner: The node that coordinates it.
        plan: Its plan, if it is there.
        top: The vertex that is wanted, with all below it; None: all are.
        children: How many children open mappers have.
        tries: Numbers of the events of failed attempts, by vertex and kind, of what has not ended.
        failed: The same of those that were not tried again.
    """

    def __init__(self, request: Request, values: DumpValues, log: DumpLog) -> None:
        self.request = request
        self.values = values
        self.log = log
        self.chunks = Chunks()
        self.owner = ""
        self.plan: Plan | None = None
        self.top: int | None = None
        self.children: dict[int, int] = {}
        self.tries: dict[tuple[int, str], list[int]] = {}
        self.failed: dict[tuple[int, str], int] = {}
        self._named: dict[str, dict[str, tuple[str, str]]] = {}

    def payload(self, position: int) -> Payload | None:
        """Return the payload of a chunk."""
        return self.log.payload(self.chunks.numbers[position])

    def handlers_of(self, step: str) -> dict[str, tuple[str, str]]:
        """Return the names and versions of the handlers of a step, by kind."""
        found = self._named.get(step)
        if found is None:
            found = self._named[step] = {}
            planned = self.plan.steps.get(step) if self.plan is not None else None
            if planned is not None:
                refs = planned.mapper, planned.combiner, planned.reducer
                for kind, ref in zip(STAGES, refs, strict=True):
                    if ref is not None:
                        found[kind] = ref.handler_name, ref.version
        return found

    def is_shown(self, position: int, vertex: int) -> bool:
        """Tell whether a vertex is wanted: of the top's chunk the top alone is."""
        if not self.chunks.is_wanted[position]:
            return False
        return self.top in (None, vertex) or self.top not in self.chunks.vertices(position)

    def bare_line(
        self, kind: str, vertex: int, step: str, state: str, shown: tuple[Shown, Shown]
    ) -> DumpLine:
        """Return a line with what is known of any invocation."""
        (arguments, arguments_why), (data, data_why) = shown
        name, version = self.handlers_of(step).get(kind, ("", ""))
        line = DumpLine(f"{kind[0]}{vertex}", kind, state, step, name, version, 1)
        line.arguments, line.data = arguments, data
        if arguments_why:
            line.absent = {"arguments": arguments_why}
        if data_why:
            line.absent = {**line.absent, "data": data_why}
        if self.tries:
            self.note_attempts(line, vertex, kind)
        return line

    def note(self, line: DumpLine, notes: dict[str, Any]) -> None:
        """Give a line what its invocation left beside its pairs."""
        text = notes.get(_OUTPUTS[line.kind])
        if text is None and line.partition is not None:
            text = notes.get("output")
        if text is not None:
            line.output = self.values.text(text)
        if line.kind == "map" and notes.get("session"):
            line.session = self.values.show(notes["session"])

    def note_attempts(self, line: DumpLine, vertex: int, kind: str) -> None:
        """Give a line the attempts before it; that of a mapper failed with its later stages."""
        of = ("map", "combine", "reduce") if kind == "map" else (kind,)
        numbers = sorted(n for one in of for n in self.tries.get((vertex, one), ()))
        if numbers:
            line.attempts = [self.shown_attempt(n, vertex, kind) for n in numbers]
            line.attempt = line.attempts[-1].attempt + 1

    def shown_attempt(self, number: int, vertex: int, kind: str) -> DumpAttempt:
        """Return a failed attempt, by the number of its event."""
        event = self.log.attempt(number)
        is_retried = isinstance(event, events.Retried)
        notes = event.notes.get(vertex, {})
        text = notes.get(_OUTPUTS[kind], notes.get("output"))
        span = event.span
        return DumpAttempt(
            attempt=event.attempt - is_retried,
            failed_at=event.at,
            failure=self.values.failure(event.failure),
            node_id=event.node or self.owner or None,
            executor=span.executor if span else None,
            started_at=round(event.at - span.began_us / 1e6, 6) if span else None,
            run_s=span.us / 1e6 if span else None,
            output=None if text is None else self.values.text(text),
        )

    def queued_at(self, position: int, vertex: int) -> float:
        """Return since when a mapper could run, in its present attempt."""
        numbers = self.tries.get((vertex, "map")) if self.tries else None
        event = self.log.attempt(numbers[-1]) if numbers else None
        if isinstance(event, events.Retried):
            return event.at + event.delay_s
        return self.chunks.at[position]

    def staged(self, data: StageData | None, vertex: int, kind: str, why: Shown) -> Shown:
        """Return what a stage yielded, or why it is absent."""
        if data is None or not data.blob:
            return why
        try:
            return self.values.stage(data, vertex, STAGES[kind]) or why
        except BlobDamaged:
            is_dropped = self.request.state == "succeeded"
            return _DROPPED if is_dropped else Shown(why="its blob is gone, or damaged")
        except JobxError as error:
            return Shown(why=f"it cannot be read: {error}")


def why_absent(data: StageData | None, mean_us: float) -> Shown:
    """Return why what a stage yielded is not in the blob of its batch."""
    if mean_us * 1000 < QUICK_NS:
        return _QUICK
    return _UNKEPT if data is None else _FULL


def mapper_name(vertex: int) -> str | None:
    """Return the name of a mapper by its vertex; None: there is none."""
    return None if vertex < 0 else invocation_id("map", vertex)
