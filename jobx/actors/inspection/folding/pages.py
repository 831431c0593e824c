"""Pages of a request, from its columns: how long one takes does not grow with the request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from jobx import questions, views
from jobx.actors.inspection.folding import cursors
from jobx.actors.inspection.folding.page_reader import Reader, SiblingRange
from jobx.actors.inspection.folding.view_columns import (
    ABSENT,
    BLOCK,
    KINDS,
    Branch,
    Columns,
    Tries,
    kinds_of,
    state_of,
    state_of_kind,
)
from jobx.errors import InvalidInput, NotFound, quote

_NO_BRANCH: Final = Branch()
_ALL_FAILED: Final = Tries([1, 1, 1], [0, 0, 0])


def tree(columns: Columns, asked: questions.GetTree) -> views.TreePage:
    """Return the children of a mapper in runs of one state.

    Raises:
        NotFound: There is no such mapper.
        InvalidInput: It is no mapper, or the cursor is of another question.
    """
    of, after = _mapper(asked), 0
    if asked.after is not None:
        after = cursors.position("after", asked.after, asked, asked.of)
    if columns.chunks.index(of) < 0:
        if columns.reading is None:
            raise NotFound("invocation", f"{asked.workflow}/{asked.request_id}/{asked.of}")
        return views.TreePage(  # it may be in the part that is still to be read
            request_id=asked.request_id, as_of=columns.as_of, of=asked.of,
            next=cursors.cursor(after, asked, asked.of), reading=columns.reading,
        )  # fmt: skip
    reader = Reader(columns)
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
    if following is None and columns.reading is not None:
        following = cursors.cursor(max(after, _last(columns, branch)), asked, asked.of)
    code = reader.block(of // BLOCK).stages[of % BLOCK]
    total = columns.chunks.totals[columns.chunks.index(of)]
    return views.TreePage(
        request_id=asked.request_id, as_of=columns.as_of, of=asked.of,
        parent=reader.run(SiblingRange(of, 1, total, code)), runs=runs, next=following,
        reading=columns.reading,
    )  # fmt: skip


def _last(columns: Columns, branch: Branch) -> int:
    """Return the last child of a mapper, 0 if there is none."""
    if not branch.chunks:
        return 0
    index = branch.chunks[-1]
    return columns.chunks.starts[index] + columns.chunks.counts[index] - 1


def _mapper(asked: questions.GetTree) -> int:
    found = cursors.invocation(asked.of)
    if found is None or found[1]:
        reason = "must be a mapper, whose id is m and a number"
        raise InvalidInput("of", quote(asked.of), reason)
    return found[0]


def _joined(runs: Iterator[SiblingRange], *, is_done: bool) -> Iterator[SiblingRange]:
    """Yield runs with those that follow each other, and are in one state, as one."""
    whole: SiblingRange | None = None
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


def invocations(columns: Columns, asked: questions.ListInvocations) -> views.InvocationPage:
    """Return a page of invocations, by number.

    Raises:
        InvalidInput: The start is no invocation, or a cursor of another question.
    """
    filters = asked.state, asked.step, asked.kind
    first = 0
    if asked.start is not None:
        name = cursors.invocation(asked.start)
        if name is None:
            first = cursors.position("from", asked.start, asked, *filters)
        else:
            first = name[0] * len(KINDS) + name[1]
    reader = Reader(columns)
    rows: list[views.InvocationRow] = []
    following: str | None = None
    for place, row in _rows(columns, reader, asked, first):
        if len(rows) == asked.limit:
            following = cursors.cursor(place, asked, *filters)
            break
        rows.append(row)
    if following is None and reader.stopped_at is not None:
        following = cursors.cursor(reader.stopped_at * len(KINDS), asked, *filters)
    if following is None and columns.reading is not None:
        following = cursors.cursor(max(first, columns.count * len(KINDS)), asked, *filters)
    return views.InvocationPage(
        as_of=columns.as_of, invocations=rows, next=following, reading=columns.reading
    )


def _rows(
    columns: Columns, reader: Reader, asked: questions.ListInvocations, first: int
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
    reader: Reader,
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
