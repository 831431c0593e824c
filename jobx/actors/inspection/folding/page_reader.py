"""Reads what one page of a request shows, so that how long it takes has a limit."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import groupby
from math import inf
from typing import Final

from msgspec import Struct

from jobx import model, views
from jobx.actors.inspection.folding.view_columns import (
    BLOCK,
    KINDS,
    MAPPED,
    REDUCED,
    Block,
    Columns,
    Extent,
    Tries,
    has_run,
    parts,
    stage_of,
    state_of,
)
from jobx.actors.request.ids import invocation_id

#: Blocks that one page reads at most; it may have fewer entries than asked for, and a ``next``.
MAX_BLOCKS: Final = 64
#: Chunks of siblings that one page looks at; a slow mapper leaves one for each child.
MAX_CHUNKS: Final = 2000


class SiblingRange(Struct, frozen=True):
    """Siblings in a row: from a vertex on, so many, of one total and code."""

    first: int
    count: int
    total: int
    code: int


class Reader:
    """Reads what one page shows, at most ``MAX_BLOCKS`` blocks in search of it.

    Attributes:
        stopped_at: The vertex at which the search ended early; None: it has not.
    """

    def __init__(self, columns: Columns) -> None:
        self.stopped_at: int | None = None
        self._columns = columns
        self._blocks: dict[int, Block] = {}
        #: Those of the block that was looked at last.
        self._last_stages: tuple[int, dict[tuple[int, int], int]] = -1, {}

    def block(self, number: int) -> Block:
        """Return the block of that number."""
        found = self._blocks.get(number)
        if found is None:
            found = self._blocks[number] = self._columns.block(number)
        return found

    def search(self, number: int, low: int) -> Block | None:
        """Return a block in which the search goes on, None when it has read enough."""
        if number not in self._blocks and len(self._blocks) >= MAX_BLOCKS:
            self.stopped_at = low
            return None
        return self.block(number)

    def _stages(self, number: int) -> dict[tuple[int, int], int]:
        if self._last_stages[0] != number:
            self._last_stages = number, self._columns.stages(number)
        return self._last_stages[1]

    def runs(self, chunks: list[int], after: int) -> Iterator[SiblingRange]:
        """Yield the vertices of chunks behind ``after`` in runs of one code."""
        known = self._columns.chunks
        begin = max(bisect_right(chunks, after + 1, key=known.starts.__getitem__) - 1, 0)
        for place in range(begin, len(chunks)):
            start, total = known.starts[chunks[place]], known.totals[chunks[place]]
            if place - begin == MAX_CHUNKS:
                self.stopped_at = start
                return
            stop = start + known.counts[chunks[place]]
            for low, end in parts(max(start, after + 1), stop):
                number = low // BLOCK
                stages = self._stages(number)
                if len(stages) == 1:
                    yield SiblingRange(low, end - low, total, next(iter(stages))[1])
                    continue
                block = self.search(number, low)
                if block is None:
                    return
                first, codes = low, block.stages[low % BLOCK : low % BLOCK + end - low]
                for code, same in groupby(codes):
                    size = len(list(same))
                    yield SiblingRange(first, size, total, code)
                    first += size

    def run(self, run: SiblingRange) -> views.SiblingRun:
        """Return a run as it is shown."""
        columns, stop = self._columns, run.first + run.count
        found = [self._extent(low, end) for low, end in parts(run.first, stop)]
        low_at = min(one.low_at for one in found)
        state = state_of(run.code, is_done=columns.is_done)
        ended_at = max(one.high_at for one in found) if state == "succeeded" else 0.0
        tries = self.block(run.first // BLOCK).tries.get(run.first % BLOCK)
        return views.SiblingRun(
            first=f"m{run.first}",
            count=run.count,
            state=state,
            step_name=columns.totals[run.total].step,
            children=sum(one.children for one in found),
            failure=self._failure_of(run, tries) if state == "failed" else None,
            queued_at=self._queued_at(run.first, tries),
            started_at=None if low_at == inf else low_at,
            duration_s=ended_at - low_at if ended_at and low_at != inf else None,
        )

    def row(self, vertex: int, kind: int, state: views.InvocationState) -> views.InvocationRow:
        """Return an invocation as it is shown."""
        columns, block, at = self._columns, self.block(vertex // BLOCK), vertex % BLOCK
        total = columns.totals[columns.chunks.totals[columns.chunks.index(vertex)]]
        tries = block.tries.get(at)
        place, began_at, spent_us = _ran(block, at, kind)
        node, executor = columns.places[place]
        return views.InvocationRow(
            invocation_id=invocation_id(KINDS[kind], vertex),
            kind=KINDS[kind],
            step_name=total.step,
            state=state,
            attempt=tries.attempts[kind] if tries is not None else 1,
            node_id=node or None,
            executor=executor or None,
            queued_at=None if kind else self._queued_at(vertex, tries),
            started_at=began_at or None,
            duration_s=None if spent_us is None else spent_us / 1e6,
            failure=self._failure(tries, kind, vertex, total.step),
        )

    def _extent(self, low: int, stop: int) -> Extent:
        number = low // BLOCK
        if stop - low == BLOCK:
            return self._columns.extent(number)
        block, low_at, high_at, children = self.block(number), inf, 0.0, 0
        for at in range(low % BLOCK, low % BLOCK + stop - low):
            began_at, branch = block.began_at[at], block.branches.get(at)
            if began_at and has_run(block.stages[at]):
                low_at = min(low_at, began_at)
                spent_us = sum(column[at] for column in block.spent_us)
                high_at = max(high_at, began_at + spent_us / 1e6)
            if branch is not None:
                children += branch.children
                high_at = max(high_at, branch.began_at + branch.us / 1e6)
        return Extent(low_at, high_at, children)

    def _queued_at(self, vertex: int, tries: Tries | None) -> float:
        if tries is not None and tries.queued_at:
            return tries.queued_at
        return self._columns.chunks.ats[self._columns.chunks.index(vertex)]

    def _failure_of(self, run: SiblingRange, tries: Tries | None) -> model.Failure | None:
        step = self._columns.totals[run.total].step
        found = (self._failure(tries, kind, run.first, step) for kind in range(len(KINDS)))
        return next(filter(None, found), None)

    def _failure(
        self, tries: Tries | None, kind: int, vertex: int, step: str
    ) -> model.Failure | None:
        if tries is None or tries.failures[kind] < 0:
            return None
        short = self._columns.failures[tries.failures[kind]]
        return model.Failure(
            kind=short.kind, type=short.type, message=short.message, step_name=step,
            invocation_id=invocation_id(KINDS[kind], vertex), handler_name=short.handler_name,
            attempt=short.attempt,
        )  # fmt: skip


def _ran(block: Block, at: int, kind: int) -> tuple[int, float, int | None]:
    """Return where an invocation ran, when it began (0: unknown), and what it took."""
    branch, code = block.branches.get(at), block.stages[at]
    if kind == 2 and branch is not None and branch.parts:
        return branch.place, branch.began_at, branch.us
    is_mapped = stage_of(code) >= MAPPED
    if not has_run(code) or (kind and not is_mapped) or (kind == 2 and stage_of(code) != REDUCED):
        return 0, 0.0, None
    spent, began_at = [column[at] for column in block.spent_us], block.began_at[at]
    if not is_mapped and not began_at:
        return 0, 0.0, None
    began_at += sum(spent[:kind]) / 1e6 if began_at else 0.0
    return block.places[at], began_at, spent[kind] if spent[kind] or not kind else None
