"""Columns in memory that grow, and change: what a fold keeps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from jobx.actors.inspection.folding.activity import Activity
from jobx.actors.inspection.folding.view_columns import (
    BLOCK,
    REDUCED,
    REPLACED,
    Block,
    Branch,
    Chunks,
    Columns,
    Extent,
    Total,
    Tries,
    parts,
    stage_of,
)
from jobx.views import Reading

#: About what a mapper takes that has mapped on, or failed.
_OBJECT_BYTES: Final = 700
#: No failure of any kind, in ``Tries``.
NO_KIND: Final = (-1, -1, -1)


class OpenColumns(Columns):
    """The columns of a request whose log is being folded; see ``Columns``."""

    def __init__(self) -> None:
        self.as_of = -1
        self.is_done = False
        self.accepted_at = 0.0
        self.count = 0
        self.chunks = Chunks()
        self.totals: list[Total] = []
        self.places: list[tuple[str, int]] = [("", 0)]
        self.activity = Activity()
        self.reading: Reading | None = None
        self._blocks: list[Block] = []
        self._objects = 0
        #: Mappers that have mapped on, and whose reducer is still to come.
        self._begun: set[int] = set()

    @property
    def size_bytes(self) -> int:
        """About how much memory it takes."""
        columns = len(self._blocks) * 32 * BLOCK + 64 * len(self.chunks.starts)
        return 4096 + columns + _OBJECT_BYTES * self._objects

    def block(self, number: int) -> Block:
        """See ``Columns.block``."""
        return self._blocks[number]

    def stages(self, number: int) -> dict[tuple[int, int], int]:
        """See ``Columns.stages``."""
        found: dict[tuple[int, int], int] = {}
        for total, codes in self._parts(number):
            for code in set(codes):
                key = total, code
                found[key] = found.get(key, 0) + codes.count(code)
        return found

    def extent(self, number: int) -> Extent:
        """See ``Columns.extent``."""
        block = self._blocks[number]
        children = sum(branch.children for branch in block.branches.values())
        return Extent(block.low_at, block.high_at, children)

    def _parts(self, number: int) -> Iterable[tuple[int, bytes]]:
        """Yield the vertices of a block chunk by chunk: their total, and their codes."""
        chunks, low = self.chunks, number * BLOCK
        stages, stop = self._blocks[number].stages, min(low + BLOCK, self.count)
        index = chunks.index(low)
        if index >= 0 and len(alike := set(chunks.totals[index : chunks.index(stop - 1) + 1])) == 1:
            yield alike.pop(), bytes(stages[: stop - low])
            return
        while low < stop:
            end = min(chunks.starts[index] + chunks.counts[index], stop)
            yield chunks.totals[index], bytes(stages[low % BLOCK : low % BLOCK + end - low])
            low, index = end, index + 1

    def _code(self, vertex: int) -> int:
        return self._blocks[vertex // BLOCK].stages[vertex % BLOCK]

    def _set(self, vertex: int, code: int) -> None:
        while len(self._blocks) * BLOCK <= vertex:
            self._blocks.append(Block())
        self._blocks[vertex // BLOCK].stages[vertex % BLOCK] = code

    def _move(self, vertex: int, code: int) -> None:
        """Give a vertex another code."""
        stages, at = self._blocks[vertex // BLOCK].stages, vertex % BLOCK
        total = self.totals[self.chunks.totals[self.chunks.index(vertex)]]
        count_in(total, stages[at], -1)
        count_in(total, code, 1)
        stages[at] = code

    def _fill(self, low: int, stop: int, code: int, total: Total) -> None:
        """Give vertices of one block and one chunk another code."""
        block, at = self._blocks[low // BLOCK], low % BLOCK
        size = stop - low
        if size == 1:
            count_in(total, block.stages[at], -1)
            block.stages[at] = code
        else:
            before = block.stages[at : at + size]
            for one in set(before):
                count_in(total, one, -before.count(one))
            block.stages[at : at + size] = bytes((code,)) * size
        count_in(total, code, size)

    def _branch(self, vertex: int) -> Branch:
        branches = self._blocks[vertex // BLOCK].branches
        found = branches.get(vertex % BLOCK)
        if found is None:
            found = branches[vertex % BLOCK] = Branch()
            self._objects += 1
        return found

    def _tries(self, vertex: int) -> Tries:
        tries = self._blocks[vertex // BLOCK].tries
        found = tries.get(vertex % BLOCK)
        if found is None:
            found = tries[vertex % BLOCK] = Tries([1, 1, 1], [*NO_KIND])
            self._objects += 1
        return found

    def _leave_branches(self, first: int, count: int) -> None:
        """Drop what vertices mapped in earlier attempts."""
        for low, stop in parts(first, first + count):
            branches = self._blocks[low // BLOCK].branches
            if not branches:
                continue
            for at in sorted(branches.keys() & range(low % BLOCK, low % BLOCK + stop - low)):
                branch = branches[at]
                self._begun.discard(low // BLOCK * BLOCK + at)
                branch.earlier.extend(reversed(branch.current))
                branch.current = []
                self._drop_earlier(branch)

    def _drop_earlier(self, branch: Branch) -> None:
        """Drop the children that the current attempt did not yield again, and all below."""
        waiting = branch.earlier
        if not waiting:
            return
        dropped = set(waiting)
        branch.chunks = [index for index in branch.chunks if index not in dropped]
        branch.children -= sum(self.chunks.counts[index] for index in waiting)
        branch.earlier = []
        while waiting:
            index = waiting.pop()
            start, total = self.chunks.starts[index], self.totals[self.chunks.totals[index]]
            for low, stop in parts(start, start + self.chunks.counts[index]):
                block = self._blocks[low // BLOCK]
                for at in block.branches.keys() & range(low % BLOCK, low % BLOCK + stop - low):
                    below = block.branches[at]
                    if stage_of(block.stages[at]) < REDUCED:
                        waiting.extend((*below.current, *below.earlier))
                        below.current, below.earlier = [], []
                    self._begun.discard(low // BLOCK * BLOCK + at)
                self._fill(low, stop, REPLACED, total)


def count_in(total: Total, code: int, count: int) -> None:
    """Count vertices of a total at a code, or fewer if ``count`` is negative."""
    total.stages[code] = total.stages.get(code, 0) + count
