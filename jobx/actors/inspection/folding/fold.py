"""The fold of a log: takes its events one after the other, and keeps columns for views.

What it counts is what ``request/state.py`` counts, without what is needed to go on with a request.
Of a reducer in partitions the log does not say that it is one before the second of them is done.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection
from typing import Any, Final

from jobx.actors.inspection.folding import glance
from jobx.actors.inspection.folding.failures import Failures
from jobx.actors.inspection.folding.glance import Glance
from jobx.actors.inspection.folding.open_columns import count_in
from jobx.actors.inspection.folding.timed_columns import TimedColumns
from jobx.actors.inspection.folding.view_columns import (
    ABSENT,
    BLOCK,
    COMBINED,
    FAILED,
    KINDS,
    MAPPED,
    PENDING,
    REDUCED,
    REPLACED,
    RUNNING,
    SETTLED,
    SETTLED_COMBINED,
    Block,
    FailedAttempt,
    Total,
    parts,
    stage_of,
)
from jobx.actors.request.branches import ROOT
from jobx.actors.request.ids import invocation_id
from jobx.actors.request.state import PARTITIONS
from jobx.payload import unpack_offsets

#: Returns the steps with a combiner of the plan of a digest.
Combiners = Callable[[str], Collection[str]]

_WHOLE: Final = (1 << PARTITIONS) - 1


class Fold(TimedColumns):
    """Folds the log of one request; see ``Columns``.

    Args:
        combiners: Returns the steps with a combiner of the plan of a digest.
    """

    def __init__(self, combiners: Combiners) -> None:
        super().__init__()
        self._combiners = combiners
        self._combined: Collection[str] = ()
        #: Where the last event was: the vertices of its chunk, its index and its parent.
        self._last_chunk = (0, 0, -1, -1)
        self._total_of: dict[tuple[str, int], int] = {}
        self._kept = Failures()
        self.groups, self.failures = self._kept.groups, self._kept.failures
        self.failed = self._kept.attempts

    def take(self, number: int, event: Glance | None) -> None:
        """Take the next event, or pass one that is unknown."""
        if event is not None:
            _TAKE[type(event)](self, event)
        self.as_of = number

    def _accepted(self, event: glance.Accepted) -> None:
        self._owner = event.node
        self.accepted_at = self.activity.from_at = event.at
        self._combined = self._combiners(event.plan)
        self._add(event.at, ROOT, 1, -1, (event.step, 0))

    def _mapped(self, event: glance.Mapped) -> None:
        above = self._live_chunk(event.parent)
        if above < 0:
            return
        branch = self._branch(event.parent)
        if branch.earlier and self.chunks.starts[branch.earlier[-1]] == event.start:
            branch.current.append(branch.earlier.pop())
        elif event.start >= self.count:
            self._drop_earlier(branch)
            depth = self.totals[self.chunks.totals[above]].depth + 1
            where = event.start, event.count, event.parent
            index = self._add(event.at, *where, (event.step, depth))
            branch.chunks.append(index)
            branch.current.append(index)
            branch.children += event.count
        else:
            return  # a duplicate
        if stage_of(self._code(event.parent)) == PENDING:
            self._move(event.parent, RUNNING)
            self._begun.add(event.parent)

    def _add(self, at: float, start: int, count: int, parent: int, step: tuple[str, int]) -> int:
        for vertex in range(self.count, start):  # numbers that the log lacks
            self._set(vertex, ABSENT)
        place = self._total_of.get(step)
        if place is None:
            place = self._total_of[step] = len(self.totals)
            self.totals.append(Total(*step, step[0] in self._combined))
        index = self.chunks.add(start, count, parent, place, at)
        self.count = start + count
        while len(self._blocks) * BLOCK < self.count:
            self._blocks.append(Block())
        for low, stop in parts(start, start + count):
            stages = self._blocks[low // BLOCK].stages
            stages[low % BLOCK : low % BLOCK + stop - low] = bytes((PENDING,)) * (stop - low)
        count_in(self.totals[place], PENDING, count)
        return index

    def _done(self, event: glance.Done) -> None:
        chunk = self._live_chunk(event.first)
        if chunk < 0:
            return
        total = self.totals[self.chunks.totals[chunk]]
        if event.kind == "reduce":
            self._reduced(event, total)
        elif event.outcome == "reduced":
            self._returned(event, total)
        else:
            self._completed(event, total)

    def _returned(self, event: glance.Done, total: Total) -> None:
        """Take mappers with their combiners and reducers."""
        if event.count == 1:
            if not self._returned_one(event.first, total):
                return  # a duplicate
        elif not self._returned_many(event.first, event.first + event.count, total):
            return
        if total.has_combiner:
            total.combined += event.count
        total.reduced += event.count
        self._timed(event, total)

    def _returned_one(self, vertex: int, total: Total) -> bool:
        """Note that a vertex is done; False: it was already. Most events of long logs are that."""
        block, at = self._blocks[vertex // BLOCK], vertex % BLOCK
        code = block.stages[at]
        if stage_of(code) >= REDUCED:
            return False
        if at in block.branches:
            self._leave_branches(vertex, 1)
        block.stages[at] = REDUCED
        count_in(total, code, -1)
        count_in(total, REDUCED, 1)
        return True

    def _returned_many(self, first: int, stop: int, total: Total) -> bool:
        """Note that vertices are done; False: some of them were already."""
        for low, end in parts(first, stop):
            codes = self._blocks[low // BLOCK].stages[low % BLOCK :][: end - low]
            if max(map(stage_of, set(codes))) >= REDUCED:
                return False
        self._leave_branches(first, stop - first)
        for low, end in parts(first, stop):
            self._fill(low, end, REDUCED, total)
        return True

    def _completed(self, event: glance.Done, total: Total) -> None:
        """Take a mapper whose reducer is still to come."""
        if stage_of(self._code(event.first)) >= MAPPED:
            return  # a duplicate
        self._drop_earlier(self._branch(event.first))
        self._begun.discard(event.first)
        is_combined = event.outcome == "combined"
        if is_combined and total.has_combiner:
            total.combined += 1
        self._move(event.first, COMBINED if is_combined else MAPPED)
        self._timed(event, total)

    def _reduced(self, event: glance.Done, total: Total) -> None:
        """Take one partition of a reducer that ran on its own."""
        vertex, bit = event.first, 1 << event.partition
        stage, branch = stage_of(self._code(vertex)), self._branch(vertex)
        is_first = stage in (MAPPED, COMBINED)
        if branch.parts & bit or not (is_first or (branch.parts and stage != REPLACED)):
            return
        branch.parts |= bit
        spent = unpack_offsets(event.durations)
        branch.place, branch.began_at = self._ran(event)
        branch.us += spent[0] if spent else 0
        block = self._blocks[vertex // BLOCK]
        if event.span is not None:
            ended_at = branch.began_at + event.span.us / 1e6
            self.activity.add(total.step, branch.began_at, ended_at)
            block.saw(branch.began_at, ended_at)
        if (tries := block.tries.get(vertex % BLOCK)) is not None:
            tries.failures[2] = -1
        is_whole = branch.parts in (1, _WHOLE)
        if not is_first and not is_whole:  # it was taken for all of it
            self._move(vertex, COMBINED if stage == SETTLED_COMBINED else MAPPED)
            total.reduced -= 1
        elif is_whole and is_first:
            self._move(vertex, SETTLED_COMBINED if stage == COMBINED else SETTLED)
            total.reduced += 1
            branch.current, branch.earlier = [], []

    def _retried(self, event: glance.Retried) -> None:
        chunk = self.chunks.index(event.first)
        if chunk < 0:
            return
        total = self.totals[self.chunks.totals[chunk]]
        total.retries += event.count
        self._count_failure(event, event.first, event.count, total)
        if self._live_chunk(event.first) < 0:
            return
        kind, failure = KINDS.index(event.kind), self._kept.index(event.failure)
        for vertex in range(event.first, event.first + event.count):
            self._retry(vertex, kind, failure, event)

    def _retry(self, vertex: int, kind: int, failure: int, event: glance.Retried) -> None:
        stage = stage_of(self._code(vertex))
        if kind and stage >= REDUCED:
            return  # it was of an earlier attempt
        tries = self._tries(vertex)
        tries.attempts[kind] = event.attempt
        tries.failures[kind] = failure
        tries.queued_at = event.at + event.delay_s
        if kind == 2 and stage in (MAPPED, COMBINED):
            return  # its input is kept
        if kind and stage < MAPPED:
            tries.attempts[0] += 1  # the mapper runs again with it
        self._restart(vertex)
        above = self.chunks.parents[self.chunks.index(vertex)]
        if stage >= REDUCED and above >= 0:
            self._branch(above).parts = 0

    def _restart(self, vertex: int) -> None:
        """Begin the attempt of a mapper that follows a failure."""
        if stage_of(self._code(vertex)) != PENDING:
            self._move(vertex, PENDING)
            self._begun.discard(vertex)
        block = self._blocks[vertex // BLOCK]
        block.began_at[vertex % BLOCK] = 0.0
        branch = block.branches.get(vertex % BLOCK)
        if branch is not None:
            branch.earlier.extend(reversed(branch.current))
            branch.current = []
            branch.parts = branch.us = 0

    def _adopted(self, event: glance.Adopted) -> None:
        self._owner = event.node
        for vertex in list(self._begun):
            self._restart(vertex)

    def _failed(self, event: glance.Failed) -> None:
        chunk = self.chunks.index(event.vertex)
        if chunk < 0:
            return
        total = self.totals[self.chunks.totals[chunk]]
        self._count_failure(event, event.vertex, 1, total)
        kind, tries = KINDS.index(event.kind), self._tries(event.vertex)
        if kind == 0 and event.span is not None:
            place, began_at = self._ran(event)
            ended_at = began_at + event.span.us / 1e6
            self._timed_one(event.vertex, place, began_at, ended_at, array("I", [event.span.us]))
        tries.attempts[kind] = event.attempt
        tries.failures[kind] = self._kept.index(event.failure)
        stage = stage_of(self._code(event.vertex))
        self._begun.discard(event.vertex)
        if kind and stage < MAPPED:  # it ran in the trip of its mapper, which had succeeded
            stage = COMBINED
        if not kind and stage == RUNNING:
            stage = PENDING
        self._move(event.vertex, stage | FAILED)

    def _finished(self, event: glance.Finished) -> None:
        del event
        self.is_done = True
        for number, block in enumerate(self._blocks):
            for at, tries in block.tries.items():
                code = block.stages[at]
                if max(tries.failures) >= 0 and code < REDUCED:
                    self._move(number * BLOCK + at, code | FAILED)

    def _cancelled(self, event: glance.Cancelled) -> None:
        pass

    def _count_failure(
        self, event: glance.Retried | glance.Failed, vertex: int, count: int, total: Total
    ) -> None:
        self.activity.fail(event.at, count)
        attempt = FailedAttempt(invocation_id(event.kind, vertex), event.at)
        if event.span is not None:
            place, began_at = self._ran(event)
            attempt = FailedAttempt(attempt.name, began_at, event.span.us / 1e6, place)
        self._kept.add(event, attempt, count, total.step)

    def _live_chunk(self, vertex: int) -> int:
        """Return the chunk of a vertex, -1 if there is none or its parent is done or replaced."""
        low, stop, index, parent = self._last_chunk
        if not low <= vertex < stop:
            index = self.chunks.index(vertex)
            if index < 0:
                return -1
            low, parent = self.chunks.starts[index], self.chunks.parents[index]
            self._last_chunk = low, low + self.chunks.counts[index], index, parent
        if stage_of(self._code(vertex)) == REPLACED:
            return -1
        return index if parent < 0 or stage_of(self._code(parent)) < REDUCED else -1


_TAKE: Final[dict[type[Any], Callable[[Fold, Any], None]]] = {
    glance.Accepted: Fold._accepted,
    glance.Mapped: Fold._mapped,
    glance.Done: Fold._done,
    glance.Retried: Fold._retried,
    glance.Failed: Fold._failed,
    glance.Cancelled: Fold._cancelled,
    glance.Adopted: Fold._adopted,
    glance.Finished: Fold._finished,
}
