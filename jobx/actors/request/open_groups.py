"""What each open invocation of a request waits for. Pure: it counts, and changes nothing.

An open invocation is a vertex without a final result: its mapper has not ended, or its reducer is
still to come. Each is in exactly one group. What is at work, in a back-off or suspended is looked
at; all else is what the census of the tree has besides. So the cost is bounded, however large the
request is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import islice
from typing import Final, TypeAlias

from msgspec.structs import replace

from jobx.actors.request.branches import COMBINER, MAPPER, ROOT, Chunk, Target
from jobx.actors.request.decisions import Dispatch, RunMappers, RunReducer, chunk_of
from jobx.actors.request.events import Kind
from jobx.actors.request.standing import (
    MOST_GROUPS,
    MOST_SEEN,
    Backoff,
    Backoffs,
    Cause,
    Group,
    Whereabouts,
)
from jobx.actors.request.state import RequestState
from jobx.model import HandlerRef

_Counts: TypeAlias = Counter[str]


def open_count(state: RequestState) -> int:
    """Return the number of open invocations."""
    return state.tree.mapped_count - state.tree.finished_count


def groups(
    state: RequestState,
    at_work: Iterable[tuple[Dispatch, Whereabouts]],
    waits: Backoffs | None = None,
) -> list[Group]:
    """Return the groups of all open invocations, those that others wait for first.

    Args:
        state: The state of the request.
        at_work: The work that has been started, and where it is.
        waits: The back-offs that have not ended; None: there are none.
    """
    counting = _Counting(state)
    counting.at_work(at_work)
    counting.delayed(waits or Backoffs())
    for vertex in state.ready.suspended:
        counting.suspended(vertex)
    counting.remade()
    counting.rest()
    found = [group for group in counting.found.values() if group.count]
    told = _bounded(sorted(found, key=_order))
    return [_with_child(state, group) for group in told]


class _Counting:
    """Counts each open vertex once."""

    def __init__(self, state: RequestState) -> None:
        self.found: dict[tuple[str, str, str, str], Group] = {}
        self._state = state
        #: Vertices that were looked at, by step: mappers, reducers, and mappers with children.
        self._mapping, self._reducing, self._waiting = _Counts(), _Counts(), _Counts()
        self._reduced: set[int] = set()

    def at_work(self, started: Iterable[tuple[Dispatch, Whereabouts]]) -> None:
        """Count what is at work; a reducer in several parts is where its first part is."""
        reducing: dict[int, list[tuple[Whereabouts, RunReducer]]] = {}
        for work, place in started:
            chunk = chunk_of(self._state, work)
            if chunk is None:
                continue  # its answer will change nothing
            if isinstance(work, RunReducer):
                reducing.setdefault(work.vertex, []).append((place, work))
            elif isinstance(work, RunMappers):
                self._batch(work, chunk, place)
            else:
                self._map(self._at(place, "map", chunk.step, work.vertex))
        for vertex, places in reducing.items():
            place, work = min(places, key=lambda one: (_ORDER[one[0].cause], one[0].since))
            group = self._at(place, "reduce", self._state.tree.branches[vertex].step, vertex)
            if work.partitions > 1:
                group = replace(group, part=work.partition, parts=work.partitions)
            self._reduce(group)

    def _batch(self, work: RunMappers, chunk: Chunk, place: Whereabouts) -> None:
        """Count mappers of a batch: the one that runs, and those behind it or with it."""
        runs = place.cause in ("running", "dying")
        vertex = max(place.vertex, work.first)
        if runs:
            self._map(self._at(place, "map", chunk.step, vertex))
        left = work.count - runs
        if left:
            behind = replace(place, cause="behind", ahead=f"m{vertex}", is_still=False)
            waiting = behind if runs else place
            self._map(self._at(waiting, "map", chunk.step, work.first, left))

    def _at(self, place: Whereabouts, kind: Kind, step: str, vertex: int, count: int = 1) -> Group:
        target = (vertex, MAPPER if kind == "map" else 0)
        return Group(
            place.cause, kind, step, count, vertex,
            since=place.since, node=place.node, executor=place.executor, error=place.lacks,
            attempt=self._state.attempt(target).number, ahead=place.ahead,
            usual_s=place.usual_s, limit_s=place.limit_s, is_still=place.is_still,
        )  # fmt: skip

    def delayed(self, waits: Backoffs) -> None:
        """Count what is in its back-off."""
        for target, wait in waits.first(MOST_SEEN):
            self._delay(target, wait)
        for (step, is_mapper), count in waits.beyond(MOST_SEEN).items():
            kind: Kind = "map" if is_mapper else "reduce"
            causes = [("backoff", kind, step, ""), ("full", kind, step, "")]
            known = next(filter(None, map(self.found.get, causes)), None)
            left = min(count, self._unmapped(step) if is_mapper else self._unreduced(step))
            if left > 0:
                known = known or Group("backoff", kind, step, 1, ROOT)
                (self._map if is_mapper else self._reduce)(replace(known, count=left))

    def _delay(self, target: Target, wait: Backoff) -> None:
        vertex, part = target
        branch = self._state.tree.branches.get(vertex)
        if part == MAPPER:
            chunk = self._state.tree.chunk_of(vertex)
            if chunk is not None and not chunk.finished.overlaps(vertex, vertex + 1):
                self._map(self._backing_off("map", chunk.step, target, wait))
        elif branch is not None and branch.partitions and vertex not in self._reduced:
            self._reduce(self._backing_off("reduce", branch.step, target, wait))

    def _backing_off(self, kind: Kind, step: str, target: Target, wait: Backoff) -> Group:
        state, (vertex, part) = self._state, target
        planned = state.plan.steps[step]
        handlers: dict[int, HandlerRef | None] = {part: planned.reducer}
        if part == MAPPER:  # its combiner or its reducer may have failed in its trip
            handlers = {MAPPER: planned.mapper, COMBINER: planned.combiner, 0: planned.reducer}
        tried = {one: state.attempt((vertex, one)).faults for one in handlers}
        failed = max(tried, key=lambda one: tried[one])
        handler = handlers[failed]
        return Group(
            wait.cause, kind, step, 1, vertex, until=wait.until, error=wait.error,
            attempt=state.attempt(target).number, faults=tried[failed],
            tries=handler.retry.attempts if handler is not None else 0,
        )  # fmt: skip

    def suspended(self, vertex: int) -> None:
        """Count a mapper that has more to yield."""
        branch = self._state.tree.branches.get(vertex)
        if branch is not None:
            self._map(Group("window", "map", branch.step, 1, vertex))

    def remade(self) -> None:
        """Count what waits for an input that is made again."""
        tree, ready = self._state.tree, self._state.ready
        for vertex in islice(tree.census.remade, MOST_SEEN):
            step = tree.branches[vertex].step
            self._put(Group("remade", "reduce", step, 1, vertex))
            self._waiting[step] += 1
        for chunk in islice(tree.chunks.values(), MOST_SEEN if ready.lost_blobs else 0):
            count = min(chunk.ready_count, self._unmapped(chunk.step))
            if count > 0 and ready.is_held_back(chunk.payload.blob):
                self._map(Group("remade", "map", chunk.step, count, chunk.ready[0][0]))

    def rest(self) -> None:
        """Count what nobody has started, and mappers that wait for their children."""
        census = self._state.tree.census
        examples: dict[tuple[bool, str], int] = {}
        for branch in islice(self._state.tree.branches.values(), MOST_SEEN):
            if branch.complete:
                examples.setdefault((branch.partitions > 0, branch.step), branch.vertex)
        next_ones: dict[str, int] = {}
        for chunk in self._state.ready.first_chunks(MOST_SEEN):
            next_ones.setdefault(chunk.step, chunk.ready[0][0])
        for step in census.open:
            first = next_ones.get(step, ROOT)
            self._put(Group("ready", "map", step, self._unmapped(step), first))
        for step in census.gathered:
            first = examples.get((True, step), ROOT)
            self._put(Group("ready", "reduce", step, self._unreduced(step), first))
        for step, count in census.waiting.items():
            first = examples.get((False, step), ROOT)
            self._put(Group("children", "map", step, count - self._waiting[step], first))

    def _unmapped(self, step: str) -> int:
        """Return how many mappers of a step have not ended, and were not looked at."""
        census = self._state.tree.census
        ended = census.waiting[step] + census.gathered[step]
        return census.open[step] - ended - self._mapping[step]

    def _unreduced(self, step: str) -> int:
        return self._state.tree.census.gathered[step] - self._reducing[step]

    def _map(self, group: Group) -> None:
        self._mapping[group.step] += group.count
        self._put(group)

    def _reduce(self, group: Group) -> None:
        self._reducing[group.step] += group.count
        self._reduced.add(group.vertex)
        self._put(group)

    def _put(self, group: Group) -> None:
        key = (group.cause, group.kind, group.step, group.node)
        known = self.found.get(key)
        self.found[key] = group if known is None else _joined(known, group)


def _with_child(state: RequestState, group: Group) -> Group:
    """Return a group with the first child that it waits for, or what makes its input again."""
    if group.cause not in ("children", "window", "remade"):
        return group
    branch = state.tree.branches.get(group.vertex)
    if group.cause == "remade" and group.kind == "map":
        chunk = state.tree.chunk_of(group.vertex)
        branch = state.tree.branches.get(chunk.parent) if chunk is not None else None
        return group if branch is None else _waiting_for(group, branch.vertex, branch.step)
    for chunk in islice(branch.chunks if branch is not None else (), MOST_SEEN):
        if chunk.finished.size < chunk.count:
            first, _ = chunk.finished.gaps(chunk.start, chunk.start + chunk.count)[0]
            return _waiting_for(group, first, chunk.step)
    return group


def _waiting_for(group: Group, vertex: int, step: str) -> Group:
    return replace(group, first_open=vertex, opens=step)


def _joined(one: Group, other: Group) -> Group:
    """Return two groups as one, which shows what has waited longest, or goes on first."""
    first, second = (other, one) if _age(other) < _age(one) else (one, other)
    return replace(first, count=first.count + second.count)


def _age(group: Group) -> tuple[float, int]:
    at = group.until if group.until is not None else group.since
    return (at if at is not None else 0.0, group.vertex)


def _order(group: Group) -> tuple[int, float, int]:
    return (_ORDER[group.cause], *_age(group))


def _bounded(found: list[Group]) -> list[Group]:
    """Return at most ``MOST_GROUPS`` groups; the smallest of more are one for each cause."""
    if len(found) <= MOST_GROUPS:
        return found
    by_size = sorted(found, key=lambda group: -group.count)
    kept = MOST_GROUPS - 1
    while len(joined := _by_cause(by_size[kept:])) + kept > MOST_GROUPS:
        kept -= 1
    return sorted([*by_size[:kept], *joined], key=_order)


def _by_cause(found: list[Group]) -> list[Group]:
    """Return one group for each cause, with a step and a node if all of its groups have it."""
    joined: dict[str, Group] = {}
    for one in found:
        known = joined.get(one.cause, one)
        step = one.step if one.step == known.step else ""
        node = one.node if one.node == known.node else ""
        both = one if known is one else _joined(known, one)
        joined[one.cause] = replace(both, step=step, node=node)
    return list(joined.values())


#: What others wait for comes first, what waits for others comes last.
_ORDER: Final[dict[Cause, int]] = {
    "remade": 0,
    "running": 1,
    "dying": 2,
    "peer": 3,
    "capability": 4,
    "queued": 5,
    "behind": 6,
    "full": 7,
    "backoff": 8,
    "window": 9,
    "ready": 10,
    "children": 11,
}
