"""The lines of a dump, and the mapped chunks that it knows."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from typing import Any

from msgspec import Struct

from jobx.actors.request.events import Mapped
from jobx.model import Failure


class DumpAttempt(Struct, omit_defaults=True, kw_only=True):
    """An attempt that failed."""

    attempt: int
    failed_at: float
    failure: Failure
    node_id: str | None = None
    executor: int | None = None
    started_at: float | None = None
    run_s: float | None = None
    output: str | None = None


class DumpLine(Struct, omit_defaults=True):
    """One invocation; a reducer that ran by itself has a line for each of its partitions.

    Attributes:
        parent: Of a combiner or reducer its mapper.
        queue_s: How long it could have run and did not.
        arguments: Of a mapper [key, value], of the first one a list of these.
        children: How many mappers it mapped to.
        data: What it yielded: a list of [key, values].
        attempts: Those that failed before this one.
        absent: By the name of a field, why it is not here.
        rerun: The handler has run again for this line; the request did not change.
    """

    invocation_id: str
    kind: str
    state: str
    step_name: str
    handler_name: str
    version: str
    attempt: int
    parent: str | None = None
    partition: int | None = None
    node_id: str | None = None
    executor: int | None = None
    queued_at: float | None = None
    started_at: float | None = None
    queue_s: float | None = None
    run_s: float | None = None
    arguments: Any = None
    children: int | None = None
    data: Any = None
    session: Any = None
    output: str | None = None
    failure: Failure | None = None
    attempts: list[DumpAttempt] = []
    absent: dict[str, str] = {}
    rerun: bool = False

    def ran(self, queued_at: float | None, started_at: float | None, us: int) -> None:
        """Note how long it waited and ran."""
        self.run_s = us / 1e6
        self.queued_at = queued_at
        if started_at is not None:
            self.started_at = round(started_at, 6)
            if queued_at is not None:
                self.queue_s = round(max(started_at - queued_at, 0.0), 6)


class Chunks:
    """All mapped chunks, in few bytes each: there may be as many as invocations."""

    def __init__(self) -> None:
        self.starts = array("q")
        self.counts = array("q")
        self.parents = array("q")
        self.numbers = array("q")
        self.at = array("d")
        self.steps: list[str] = []
        self.is_wanted = bytearray()
        self._last = 0

    def add(self, number: int, event: Mapped, *, is_wanted: bool) -> bool:
        """Add the chunk of event ``number``; False if a later attempt yielded one again."""
        if self.starts and event.start <= self.starts[-1]:
            return False
        self.starts.append(event.start)
        self.counts.append(event.count)
        self.parents.append(event.parent)
        self.numbers.append(number)
        self.at.append(event.at)
        self.steps.append(event.step)
        self.is_wanted.append(is_wanted)
        return True

    @property
    def stop(self) -> int:
        """The vertex behind the last one."""
        return self.starts[-1] + self.counts[-1] if self.starts else 0

    def of(self, vertex: int) -> int:
        """Return the position of a vertex' chunk; -1 if there is none."""
        last, starts = self._last, self.starts
        if last < len(starts) and starts[last] <= vertex < starts[last] + self.counts[last]:
            return last
        position = bisect_right(starts, vertex) - 1
        if position < 0 or vertex >= starts[position] + self.counts[position]:
            return -1
        self._last = position
        return position

    def vertices(self, position: int) -> range:
        """Return the vertices of a chunk."""
        start = self.starts[position]
        return range(start, start + self.counts[position])

    def is_below(self, top: int, vertex: int) -> bool:
        """Tell whether a vertex is a mapper's, or one of those below it."""
        while vertex > top:
            position = self.of(vertex)
            if position < 0:
                return False
            vertex = self.parents[position]
        return vertex == top
