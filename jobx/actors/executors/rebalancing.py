"""Which work is recalled from executors, for an idle executor or a waiting request.

Batches are large, so that executors need not wait for the node. Recalls keep that fair: the node
can tell an executor at any time to start nothing more of its work. No decision waits for an
executor, since it may be inside an invocation of an hour. A frame is not recalled before its first
invocation starts; otherwise a frame that takes longer to read than a turn lasts would never start.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import takewhile
from typing import Final, NamedTuple

from msgspec import Struct

from jobx.actors.executors import placing
from jobx.actors.executors.backlog import Queue
from jobx.actors.executors.paces import LONG_S
from jobx.actors.executors.process import Executor, WorkItem
from jobx.actors.runtime.address import Address
from jobx.payload import Payload
from jobx.segments import Segment, Unstarted
from jobx.work import AnyWork, MapWork, ReduceWork

#: Delay after a frame or an answer before the work of executors is checked, and the period of
#: checks while an executor is idle or requests wait.
BALANCE_S: Final = 0.003
#: Work that would end within this is not worth moving.
WORTH_S: Final = 0.002
#: Work that would end within this is not worth a way to another node.
WORTH_AWAY_S: Final = 0.03
#: Batches with more items than these bytes stay.
MAX_AWAY_BYTES: Final = 256 << 10
#: How long a batch continues while other requests wait.
TURN_S: Final = 0.03
#: After this, an executor has seen a recall, whatever it was about to start.
SETTLE_S: Final = 0.02


class Away(NamedTuple):
    """Executors of another node that may be used.

    Attributes:
        workflow: What they may be used for.
        offered: The capabilities of the node.
        idle: How many of them are idle.
    """

    workflow: str
    offered: frozenset[str]
    idle: int

    def takes(self, item: WorkItem) -> bool:
        """Whether waiting work may go there; if it is of another node, that one looks for others.

        Foreign work must leave, however large it is.
        """
        if Address.is_hosted(item.owner) or item.key.workflow != self.workflow:
            return False
        return self.offered.issuperset(item.requires) and (
            bool(item.foreign) or may_leave(item.work)
        )


class ExecutorLoad(Struct, frozen=True, eq=False):
    """The work of an executor.

    Attributes:
        executor: The executor.
        front: The work that it runs, or runs next.
        left: Invocations of ``front`` that have not started.
        behind: Later work that another executor could do.
        remaining_s: Estimated time here of all work that can be moved.
        age_s: For how long it has run ``front``.
        is_begun: It has started ``front``.
        running_s: For how long its current invocation has run.
        held_s: For how long its workflow has had it.
    """

    executor: Executor
    front: WorkItem
    left: int
    behind: list[WorkItem]
    remaining_s: float
    age_s: float
    is_begun: bool
    running_s: float
    held_s: float

    @property
    def recallable(self) -> list[WorkItem]:
        """The work that a recall would affect, in order."""
        if not self.is_begun:
            return []
        items = [self.front, *self.behind] if self.left else self.behind
        return [item for item in items if item.number > self.executor.recalled]

    @property
    def is_worth_leaving(self) -> bool:
        """Whether a recall would affect work of this node that is worth a way to another one."""
        is_ours = any(not Address.is_hosted(item.owner) for item in self.leaving)
        return is_ours and self.remaining_s > WORTH_AWAY_S

    @property
    def leaving(self) -> list[WorkItem]:
        """The work that would leave for another node first."""
        return [self.front] if self.left else self.behind

    @property
    def is_settling(self) -> bool:
        """Whether a recall is pending."""
        recalled = self.executor.recalled
        return any(item.number <= recalled for item in self.behind) or (
            self.left > 0 and self.front.number <= recalled
        )

    @property
    def turn(self) -> int:
        """The last number that could be recalled of the request in front; 0 if there is none."""
        own = takewhile(lambda item: item.key == self.front.key, self.recallable)
        return max((item.number for item in own), default=0)

    def is_in_the_way(self, waiting: Sequence[Queue]) -> bool:
        """Whether a request waits for the executor while it runs another one's work."""
        if self.turn == 0:
            return False
        if any(item.key != self.front.key for item in self.behind):
            return True
        return any(map(self._is_wanted, waiting))

    def _is_wanted(self, queue: Queue) -> bool:
        own = self.front.key.workflow
        if any(name != own for name in queue.workflows(2)):
            return True
        requests = queue.requests(own)
        return len(requests) > 1 or (len(requests) == 1 and self.front.key not in requests)

    @property
    def holds_up(self) -> bool:
        """Whether a long invocation delays the work behind it."""
        return self.running_s >= LONG_S and any(item in self.recallable for item in self.behind)


def may_leave(work: AnyWork) -> bool:
    """Whether work may go to another node."""
    if isinstance(work, MapWork):
        return len(work.pairs or b"") <= MAX_AWAY_BYTES
    if isinstance(work, ReduceWork):
        inline = (Payload.from_wire(wire).inline for wire in work.inputs)
        return sum(len(body or b"") for body in inline) <= MAX_AWAY_BYTES
    return True


def loads(executors: Sequence[Executor], now: float) -> list[ExecutorLoad]:
    """Return the work of each executor that has some; ``now`` is monotonic."""
    return [_load(e, now) for e in executors if e.work and e.state == "ready"]


def _load(executor: Executor, now: float) -> ExecutorLoad:
    front, *others = executor.work.values()
    progress = executor.progress()
    first = front.first_vertex
    is_begun = progress.number == front.number
    vertex = progress.vertex if is_begun else first - 1
    left = 0 if front.abandoned_at else front.left_after(vertex)
    age_s = now - max(front.sent_at, executor.page.begun_at(front.number)) if is_begun else 0.0
    remaining_s = age_s / max(vertex - first, 1) * left if left else age_s
    behind = [item for item in others if not item.is_pinned and not item.abandoned_at]
    return ExecutorLoad(
        executor,
        front,
        left,
        behind,
        remaining_s,
        age_s,
        is_begun,
        progress.running_s if is_begun else 0.0,
        now - executor.since,
    )


def idle(executors: Sequence[Executor], now: float) -> Counter[str]:
    """Return how many executors are idle, by the workflow that they could work for.

    Executors that could work for any workflow are under "".
    """
    found: Counter[str] = Counter()
    for executor in executors:
        if executor.state == "ready" and executor.has_seat and not executor.work:
            is_free = not executor.is_used or now - executor.idle_since >= placing.IDLE_S
            found["" if is_free else executor.workflow] += 1
    return found


def is_uneven(having: Sequence[ExecutorLoad], idle: Counter[str], waiting: Sequence[Queue]) -> bool:
    """Tell whether a recall may soon be needed, or is pending."""
    is_wanted = bool(idle) or any(waiting)
    return any(
        load.is_settling
        or (is_wanted and not load.is_begun)
        or (idle and load.recallable)
        or load.is_in_the_way(waiting)
        for load in having
    )


def recalls(
    having: Sequence[ExecutorLoad], idle: Counter[str], waiting: Sequence[Queue]
) -> list[tuple[Executor, int]]:
    """Return executors, each with the number up to which its work should be recalled.

    Args:
        having: The executors that have work.
        idle: The result of ``idle``.
        waiting: Work that waits for an executor and may have one.
    """
    if idle and not any(waiting):
        return _for_idle(having, idle)
    ended = [
        load
        for load in having
        if min(load.age_s, load.held_s) >= TURN_S and load.is_in_the_way(waiting)
    ]
    held_up = [load for load in having if load.holds_up and load not in ended]
    return [(load.executor, load.turn) for load in ended] + [
        (load.executor, load.recallable[-1].number) for load in held_up
    ]


def _for_idle(having: Sequence[ExecutorLoad], idle: Counter[str]) -> list[tuple[Executor, int]]:
    left = idle.copy()
    for load in having:
        if load.is_settling:
            _take(left, load.executor.workflow)
    worth = [load for load in having if load.recallable and load.remaining_s > WORTH_S]
    worth.sort(key=lambda load: load.remaining_s, reverse=True)
    return [
        (load.executor, load.recallable[-1].number)
        for load in worth
        if _take(left, load.executor.workflow)
    ]


def _take(left: Counter[str], workflow: str) -> bool:
    """Take an idle executor for a workflow; False if there is none."""
    kind = workflow if left[workflow] > 0 else ""
    left[kind] -= 1
    return left[kind] >= 0


def not_begun(load: ExecutorLoad, now: float) -> tuple[list[WorkItem], int]:
    """Return the work that an executor will not start after a settled recall.

    Returns:
        The work that has not started; and the first vertex of ``front`` that has not; 0 if none.
    """
    executor = load.executor
    progress = executor.progress()
    if progress.number != load.front.number or now - executor.recalled_at < SETTLE_S:
        return [], 0
    behind = [item for item in load.behind if item.number <= executor.recalled]
    vertex = progress.vertex
    is_recalled = load.left > 0 and load.front.number <= executor.recalled
    return behind, vertex + 1 if is_recalled and load.front.left_after(vertex) else 0


def without_taken(segments: list[Segment], stop: int) -> list[Segment]:
    """Return segments without those about the part of a batch that was taken back.

    An answer may report all invocations as failed, and the rest of a batch as unstarted.

    Args:
        segments: The answer.
        stop: The first vertex that was taken back; 0 if none was.
    """
    if not stop:
        return segments
    return [
        Unstarted(one.vertex, stop - one.vertex) if isinstance(one, Unstarted) else one
        for one in segments
        if one.vertex < stop
    ]
