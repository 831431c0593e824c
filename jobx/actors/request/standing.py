"""What each open invocation of a request waits for. Pure: it counts, and changes nothing.

An open invocation is a vertex without a final result: its mapper has not ended, or its reducer is
still to come. Each is in exactly one group. The cost is bounded, however large the request is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Final, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from jobx.actors.request.decisions import Dispatch, RunMappers, RunReducer, chunk_of
from jobx.actors.request.events import Kind
from jobx.actors.request.state import RequestState
from jobx.actors.request.tree import MAPPER, ROOT, Branch, Chunk, Target

#: ``running``: an executor is at it. ``behind``: an executor has it, behind other work.
#: ``queued``: it waits for an executor. ``capability``: it waits for one that offers something.
#: ``peer``: another node has it. ``backoff``: it failed, and is tried again later. ``ready``: the
#: request has started as much as it may. ``window``: a suspended mapper, whose children are too
#: many. ``remade``: an input is gone, and is made again. ``children``: a mapper that waits for its
#: children. ``other``: what is left of many groups.
Cause: TypeAlias = Literal[
    "running", "behind", "queued", "capability", "peer", "backoff", "ready", "window", "remade",
    "children", "other",
]  # fmt: skip

#: Most groups; the smallest of more are one.
MOST_GROUPS: Final = 20
#: Most back-offs, suspended mappers, branches or chunks that are looked at, since nothing else
#: happens on the node's loop meanwhile; what lies beyond is one group.
MOST_SEEN: Final = 2000


class Place(Struct, frozen=True):
    """Where work is.

    Attributes:
        cause: ``running``, ``behind``, ``queued``, ``capability`` or ``peer``.
        since: When it came there, monotonic seconds.
        node: The node, if it is another one.
        executor: The process id of the executor, if one has it.
        vertex: Which of its invocations runs, if one does.
        lacks: What this node does not offer, if that is the cause.
    """

    cause: Cause
    since: float
    node: str = ""
    executor: int = 0
    vertex: int = MAPPER
    lacks: str = ""


class Backoff(Struct, frozen=True):
    """When a back-off ends, monotonic seconds, and the error that it follows."""

    until: float
    error: str


class Group(Struct, frozen=True):
    """Open invocations that wait for the same.

    Attributes:
        cause: For what.
        kind: ``map`` or ``reduce``.
        step: Their step.
        count: How many.
        vertex: The one that has waited longest, as far as is known.
        since: Since when that one has, monotonic seconds; None: not known.
        until: When the first of them goes on, monotonic seconds; None: not known.
        node: The node where they are, if it is another one.
        executor: The process id of the executor that is at it, if one is.
        error: What the last attempt of that one ended with, or what no executor here offers.
        attempt: The attempt of that one.
    """

    cause: Cause
    kind: Kind
    step: str
    count: int
    vertex: int
    since: float | None = None
    until: float | None = None
    node: str = ""
    executor: int = 0
    error: str = ""
    attempt: int = 1


class Standing(Struct, frozen=True):
    """How an open request stands.

    Attributes:
        groups: What its open invocations wait for.
        open: How many are open.
        phase: ``open``, ``proving`` or ``closed``, as its coordinator says.
        uncommitted: Events that are not durable yet.
        is_ending: Nothing more is started: its end is to become durable.
        busy: What executors are at for other requests: (request id, how many), most first.
    """

    groups: list[Group]
    open: int
    phase: str
    uncommitted: int
    is_ending: bool = False
    busy: tuple[tuple[str, int], ...] = ()


def open_count(state: RequestState) -> int:
    """Return the number of open invocations."""
    return state.tree.mapped_count - state.tree.finished_count


def groups(
    state: RequestState, at_work: Iterable[tuple[Dispatch, Place]], waits: Mapping[Target, Backoff]
) -> list[Group]:
    """Return the groups of all open invocations, those that others wait for first.

    Args:
        state: The state of the request.
        at_work: The work that has been started, and where it is.
        waits: The back-offs that have not ended.
    """
    counting = _Counting(state)
    reducing = counting.at_work(at_work)
    suspended, branches = state.ready.suspended, state.tree.branches
    for (vertex, part), wait in islice(waits.items(), MOST_SEEN):
        if part == MAPPER:
            counting.delayed(vertex, wait)
    for vertex in islice(suspended, MOST_SEEN):
        counting.suspended(vertex)
    for branch in islice(branches.values(), MOST_SEEN):
        if branch.complete:
            counting.complete(branch, reducing.get(branch.vertex, ()), waits)
    sizes = len(waits), len(suspended), len(branches), len(state.tree.chunks)
    if max(sizes) > MOST_SEEN:
        counting.unseen()
    else:
        counting.rest()
    found = [group for group in counting.found.values() if group.count]
    return _bounded(sorted(found, key=_order))


class _Counting:
    """Counts each open vertex once."""

    def __init__(self, state: RequestState) -> None:
        self.found: dict[tuple[str, str, str, str], Group] = {}
        self._state = state
        self._counted: Counter[int] = Counter()  # by chunk

    def at_work(self, started: Iterable[tuple[Dispatch, Place]]) -> dict[int, list[Place]]:
        """Count mappers at work; return the places of reducers, by vertex."""
        reducing: dict[int, list[Place]] = {}
        for work, place in started:
            chunk = chunk_of(self._state, work)
            if chunk is None:
                continue  # its answer will change nothing
            if isinstance(work, RunReducer):
                reducing.setdefault(work.vertex, []).append(place)
            elif isinstance(work, RunMappers):
                self._batch(work, chunk, place)
            else:
                self._add(chunk, "map", work.vertex, 1, place)
        return reducing

    def _batch(self, work: RunMappers, chunk: Chunk, place: Place) -> None:
        """Count mappers of a batch: the one that runs, and those behind it or with it."""
        runs = place.cause == "running"
        if runs:
            self._add(chunk, "map", max(place.vertex, work.first), 1, place)
        left = work.count - runs
        if left:
            waiting = replace(place, cause="behind") if runs else place
            self._add(chunk, "map", work.first, left, waiting)

    def delayed(self, vertex: int, wait: Backoff) -> None:
        """Count a mapper in its back-off."""
        chunk = self._state.tree.chunk_of(vertex)
        if chunk is not None and not chunk.finished.overlaps(vertex, vertex + 1):
            self._put(self._backing_off(chunk, "map", (vertex, MAPPER), wait), chunk)

    def suspended(self, vertex: int) -> None:
        """Count a mapper that has more to yield."""
        branch = self._state.tree.branches.get(vertex)
        if branch is not None:
            self._put(Group("window", "map", branch.step, 1, vertex), branch.chunk)

    def complete(
        self, branch: Branch, places: Iterable[Place], waits: Mapping[Target, Backoff]
    ) -> None:
        """Count a mapper that has ended, by what its reducer waits for."""
        vertex, chunk = branch.vertex, branch.chunk
        if branch.open or not branch.partitions:
            self._put(Group("children", "map", branch.step, 1, vertex), chunk)
            return
        first = min(places, key=lambda place: _ORDER[place.cause], default=None)
        delays = [(vertex, part) for part in branch.idle if (vertex, part) in waits]
        if first is not None:
            self._add(chunk, "reduce", vertex, 1, first)
        elif delays:
            self._put(self._backing_off(chunk, "reduce", delays[0], waits[delays[0]]), chunk)
        else:
            self._put(Group("ready", "reduce", branch.step, 1, vertex), chunk)

    def rest(self) -> None:
        """Count what nobody has started."""
        ready = self._state.ready
        for chunk in self._state.tree.chunks.values():
            count = chunk.count - chunk.finished.size - self._counted[chunk.start]
            if count > 0:
                first = chunk.ready[0][0] if chunk.ready else chunk.start
                cause: Cause = "remade" if ready.is_held_back(chunk.payload.blob) else "ready"
                self._put(Group(cause, "map", chunk.step, count, first), chunk)

    def unseen(self) -> None:
        """Count what was not looked at, all together."""
        count = open_count(self._state) - self._counted.total()
        self.found["other", "", "", ""] = Group("other", "map", "", count, ROOT)

    def _backing_off(self, chunk: Chunk, kind: Kind, target: Target, wait: Backoff) -> Group:
        number = self._state.attempt(target).number
        return Group(
            "backoff", kind, chunk.step, 1, target[0],
            until=wait.until, error=wait.error, attempt=number,
        )  # fmt: skip

    def _add(self, chunk: Chunk, kind: Kind, vertex: int, count: int, place: Place) -> None:
        group = Group(
            place.cause, kind, chunk.step, count, vertex,
            since=place.since, node=place.node, executor=place.executor, error=place.lacks,
        )  # fmt: skip
        self._put(group, chunk)

    def _put(self, group: Group, chunk: Chunk) -> None:
        self._counted[chunk.start] += group.count
        key = (group.cause, group.kind, group.step, group.node)
        known = self.found.get(key)
        self.found[key] = group if known is None else _joined(known, group)


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
    """Return at most ``MOST_GROUPS`` groups; the smallest of more are one."""
    if len(found) <= MOST_GROUPS:
        return found
    by_size = sorted(found, key=lambda group: -group.count)
    kept, small = by_size[: MOST_GROUPS - 1], by_size[MOST_GROUPS - 1 :]
    rest = Group("other", "map", "", sum(group.count for group in small), small[0].vertex)
    return [*sorted(kept, key=_order), rest]


#: What others wait for comes first, what waits for others comes last.
_ORDER: Final[dict[Cause, int]] = {
    "running": 0,
    "peer": 1,
    "capability": 2,
    "queued": 3,
    "behind": 4,
    "backoff": 5,
    "remade": 6,
    "window": 7,
    "ready": 8,
    "other": 9,
    "children": 10,
}
