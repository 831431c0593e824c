"""Columns that say what invocations took, when and where they ran."""

from __future__ import annotations

from array import array

from jobx.actors.inspection.folding import glance
from jobx.actors.inspection.folding.open_columns import NO_KIND, OpenColumns
from jobx.actors.inspection.folding.view_columns import BLOCK, Total, parts
from jobx.actors.request import spans
from jobx.payload import unpack_offsets


class TimedColumns(OpenColumns):
    """Columns of which a fold sets the times and places; see ``Columns``."""

    def __init__(self) -> None:
        super().__init__()
        #: The node that coordinates the request.
        self._owner = ""
        self._place_of: dict[tuple[str, int], int] = {("", 0): 0}

    def _timed(self, event: glance.Done, total: Total) -> None:
        """Keep what mappers took, and forget what failed of them before."""
        count, spent = event.count, unpack_offsets(event.durations)
        place, began_at = self._ran(event)
        if spent:
            total.timed += count
            total.sum_us += spent[0] if count == 1 else sum(spent[:count])
            total.max_us = max(total.max_us, spent[0] if count == 1 else max(spent[:count]))
        ended_at = began_at
        if event.span is not None:
            ended_at += event.span.us / 1e6
            self.activity.add(total.step, began_at, ended_at, count)
        if count == 1:
            self._timed_one(event.first, place, began_at, ended_at, spent)
            return
        self._timed_many(event, spent, place, ended_at)

    def _timed_many(
        self, event: glance.Done, spent: array[int], place: int, ended_at: float
    ) -> None:
        count = event.count
        columns = [spent[n * count : (n + 1) * count] for n in range(len(spent) // count)]
        begun = array("d", bytes(8 * count))
        if event.span is not None:
            begun = array("d", spans.starts(event.at, event.span, spent, count))
        for low, stop in parts(event.first, event.first + count):
            block, at, size = self._blocks[low // BLOCK], low % BLOCK, stop - low
            skip = low - event.first
            block.began_at[at : at + size] = begun[skip : skip + size]
            block.places[at : at + size] = array("I", [place]) * size
            for column, values in zip(block.spent_us, columns, strict=False):
                column[at : at + size] = values[skip : skip + size]
            if event.span is not None:
                block.saw(begun[skip], begun[skip + size] if skip + size < count else ended_at)
            for vertex in block.tries.keys() & range(at, at + size) if block.tries else ():
                block.tries[vertex].failures = [*NO_KIND]

    def _timed_one(
        self, vertex: int, place: int, began_at: float, ended_at: float, spent: array[int]
    ) -> None:
        block, at = self._blocks[vertex // BLOCK], vertex % BLOCK
        block.places[at] = place
        for column, value in zip(block.spent_us, spent, strict=False):
            column[at] = value
        if ended_at:
            block.began_at[at] = began_at
            block.saw(began_at, ended_at)
        if block.tries and (tries := block.tries.get(at)) is not None:
            tries.failures = [*NO_KIND]

    def _ran(self, event: glance.Done | glance.Retried | glance.Failed) -> tuple[int, float]:
        """Return the place of an event's invocations, and when the first began; 0: unknown."""
        span = event.span
        where = event.node or self._owner, span.executor if span is not None else 0
        place = self._place_of.get(where)
        if place is None:
            place = self._place_of[where] = len(self.places)
            self.places.append(where)
        return place, event.at - span.began_us / 1e6 if span is not None else 0.0
