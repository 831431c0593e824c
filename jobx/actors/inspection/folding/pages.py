"""Pages of a request, from its columns: how long one takes does not grow with the request."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator
from itertools import groupby
from math import inf
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from jobx import model, questions, views
from jobx.actors.inspection.folding import cursors
from jobx.actors.inspection.folding.columns import (
    ABSENT,
    BLOCK,
    ENDED,
    KINDS,
    MAPPED,
    REDUCED,
    REPLACED,
    WITH_COMBINER,
    Block,
    Branch,
    Columns,
    Extent,
    Total,
    Tries,
    kinds_of,
    parts,
    stage_of,
    state_of,
    state_of_kind,
)
from jobx.actors.request.ids import invocation_id
from jobx.errors import InvalidInput, NotFound, quote

#: Blocks that one page reads at most; it may have fewer entries than asked for, and a ``next``.
MAX_BLOCKS: Final = 64
#: Chunks of siblings that one page looks at; a slow mapper leaves one for each child.
MAX_CHUNKS: Final = 2000
_NO_BRANCH: Final = Branch()


def summary(columns: Columns, request: views.RequestView) -> views.SummaryView:
    """Return what a request has done so far."""
    steps = sorted(columns.totals, key=lambda total: (total.depth, total.step))
    groups = sorted(columns.groups, key=lambda group: -group.count)
    counts = model.Counts(
        mapped=sum(map(_mapped, columns.totals)),
        finished=sum(_in(total, "succeeded", columns) for total in columns.totals),
        retried=sum(total.retries for total in columns.totals),
        invocations=sum(total.timed + total.combined + total.reduced for total in columns.totals),
    )
    return views.SummaryView(
        request=request if columns.is_done else replace(request, counts=counts),
        as_of=columns.as_of,
        steps=[_step(total, columns) for total in steps],
        failures=[
            views.FailureGroup(
                type=group.type, line=group.line, step_name=group.step, count=group.count,
                first=group.first, message=group.message, is_final=group.is_final,
            )
            for group in groups
        ],
    )  # fmt: skip


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


class _Run(Struct, frozen=True):
    """Siblings in a row: from a vertex on, so many, of one total and code."""

    first: int
    count: int
    total: int
    code: int


def tree(columns: Columns, asked: questions.GetTree) -> views.TreePage:
    """Return the children of a mapper in runs of one state.

    Raises:
        NotFound: There is no such mapper.
        InvalidInput: It is no mapper, or the cursor is of another question.
    """
    of = _mapper(asked)
    if columns.chunks.index(of) < 0:
        raise NotFound("invocation", f"{asked.workflow}/{asked.request_id}/{asked.of}")
    after = -1
    if asked.after is not None:
        after = cursors.position("after", asked.after, asked, asked.of)
    reader = _Reader(columns)
    branch = reader.block(of // BLOCK).branches.get(of % BLOCK, _NO_BRANCH)
    runs: list[views.SiblingRun] = []
    following: str | None = None
    for run in _joined(reader.runs(branch.chunks, after), is_done=columns.is_done):
        if len(runs) == asked.limit:
            following = cursors.cursor(run.first - 1, asked, asked.of)
            break
        runs.append(reader.run(run))
    if following is None and reader.stopped_at is not None:
        following = cursors.cursor(reader.stopped_at - 1, asked, asked.of)
    code = reader.block(of // BLOCK).stages[of % BLOCK]
    total = columns.chunks.totals[columns.chunks.index(of)]
    return views.TreePage(
        request_id=asked.request_id, as_of=columns.as_of, of=asked.of,
        parent=reader.run(_Run(of, 1, total, code)), runs=runs, next=following,
    )  # fmt: skip


def _mapper(asked: questions.GetTree) -> int:
    found = cursors.invocation("of", asked.of)
    if found is None or found[1]:
        reason = "must be a mapper, whose id is m and a number"
        raise InvalidInput("of", quote(asked.of), reason)
    return found[0]


def _joined(runs: Iterator[_Run], *, is_done: bool) -> Iterator[_Run]:
    """Yield runs with those that follow each other, and are in one state, as one."""
    whole: _Run | None = None
    for run in runs:
        state = state_of(run.code, is_done=is_done)
        if whole is not None and (
            (whole.first + whole.count, whole.total) == (run.first, run.total)
            and state_of(whole.code, is_done=is_done) == state
            and state != "failed"
        ):
            whole = replace(whole, count=whole.count + run.count)
            continue
        if whole is not None:
            yield whole
        whole = run
        if state == "failed":
            yield from (replace(run, first=run.first + n, count=1) for n in range(run.count))
            whole = None
    if whole is not None:
        yield whole


class _Reader:
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

    def runs(self, chunks: list[int], after: int) -> Iterator[_Run]:
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
                    yield _Run(low, end - low, total, next(iter(stages))[1])
                    continue
                block = self.search(number, low)
                if block is None:
                    return
                first, codes = low, block.stages[low % BLOCK : low % BLOCK + end - low]
                for code, same in groupby(codes):
                    size = len(list(same))
                    yield _Run(first, size, total, code)
                    first += size

    def run(self, run: _Run) -> views.SiblingRun:
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
        tries, stage = block.tries.get(at), stage_of(block.stages[at])
        place, began_at, spent_us = _ran(block, at, kind, stage)
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
            if began_at and stage_of(block.stages[at]) >= MAPPED:
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

    def _failure_of(self, run: _Run, tries: Tries | None) -> model.Failure | None:
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


def _ran(block: Block, at: int, kind: int, stage: int) -> tuple[int, float, int | None]:
    """Return where an invocation ran, when it began (0: unknown), and what it took."""
    branch = block.branches.get(at)
    if kind == 2 and branch is not None and branch.parts:
        return branch.place, branch.began_at, branch.us
    if stage < MAPPED or stage == REPLACED or (kind == 2 and stage != REDUCED):
        return 0, 0.0, None
    spent, began_at = [column[at] for column in block.spent_us], block.began_at[at]
    began_at += sum(spent[:kind]) / 1e6 if began_at else 0.0
    return block.places[at], began_at, spent[kind] if spent[kind] or not kind else None


def invocations(columns: Columns, asked: questions.ListInvocations) -> views.InvocationPage:
    """Return a page of invocations, by number.

    Raises:
        InvalidInput: The start is no invocation, or a cursor of another question.
    """
    filters = asked.state, asked.step, asked.kind
    first = 0
    if asked.start is not None:
        name = cursors.invocation("from", asked.start)
        if name is None:
            first = cursors.position("from", asked.start, asked, *filters)
        else:
            first = name[0] * len(KINDS) + name[1]
    reader = _Reader(columns)
    rows: list[views.InvocationRow] = []
    following: str | None = None
    for place, row in _rows(columns, reader, asked, first):
        if len(rows) == asked.limit:
            following = cursors.cursor(place, asked, *filters)
            break
        rows.append(row)
    if following is None and reader.stopped_at is not None:
        following = cursors.cursor(reader.stopped_at * len(KINDS), asked, *filters)
    return views.InvocationPage(as_of=columns.as_of, invocations=rows, next=following)


def _rows(
    columns: Columns, reader: _Reader, asked: questions.ListInvocations, first: int
) -> Iterator[tuple[int, views.InvocationRow]]:
    """Yield what a question asks for, from a position on, each with its position."""
    kinds = [n for n, kind in enumerate(KINDS) if asked.kind in (None, kind)]
    chunks, low = columns.chunks, first // len(KINDS)
    while low < columns.count:
        number = low // BLOCK
        stop = min((number + 1) * BLOCK, columns.count)
        wanted = {key for key in columns.stages(number) if _may_be(columns, asked, kinds, *key)}
        block = reader.search(number, low) if wanted else None
        if reader.stopped_at is not None:
            return
        while low < stop and block is not None:
            index = chunks.index(low)
            end, total = chunks.starts[index] + chunks.counts[index], chunks.totals[index]
            for vertex in range(low, min(end, stop)):
                code = block.stages[vertex % BLOCK]
                if (total, code) in wanted:
                    yield from _rows_of(columns, reader, asked, kinds, (vertex, code, first))
            low = end
        low = stop


def _may_be(
    columns: Columns, asked: questions.ListInvocations, kinds: list[int], total: int, code: int
) -> bool:
    """Whether a vertex of a total and a code may have an invocation that is asked for."""
    step = columns.totals[total]
    if code == ABSENT or asked.step not in (None, step.step):
        return False
    if asked.state is None:
        return True
    return any(
        state_of_kind(kind, code, tries, is_done=columns.is_done) == asked.state
        for kind in kinds_of(code, has_combiner=step.has_combiner)
        if kind in kinds
        for tries in (None, _ALL_FAILED)
    )


def _rows_of(
    columns: Columns,
    reader: _Reader,
    asked: questions.ListInvocations,
    kinds: list[int],
    where: tuple[int, int, int],
) -> Iterator[tuple[int, views.InvocationRow]]:
    vertex, code, first = where
    total = columns.totals[columns.chunks.totals[columns.chunks.index(vertex)]]
    tries = reader.block(vertex // BLOCK).tries.get(vertex % BLOCK)
    for kind in kinds_of(code, has_combiner=total.has_combiner):
        place = vertex * len(KINDS) + kind
        state = state_of_kind(kind, code, tries, is_done=columns.is_done)
        if kind in kinds and place >= first and asked.state in (None, state):
            yield place, reader.row(vertex, kind, state)


_ALL_FAILED: Final = Tries([1, 1, 1], [0, 0, 0])
