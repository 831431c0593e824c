"""Which work is called back from executors: for one that is idle, or for a request that waits.

Batches are large, so that nobody waits for the node. What keeps that fair is that an executor can
be told at any time to begin with nothing more of what it has. No decision here waits for one, which
may be inside an invocation of an hour.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Final

from jobx.actors.executor import Executor, WorkItem
from jobx.actors.messages import RequestKey

#: So long after work was sent or answered it is looked at what executors have, and so often while
#: one is idle or requests wait.
BALANCE_S: Final = 0.003
#: What would end within this is not worth being moved.
WORTH_S: Final = 0.002
#: How long a batch goes on while other requests wait.
TURN_S: Final = 0.03
#: So long after a recall an executor has seen it, whatever it was about to begin.
SETTLE_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Load:
    """What an executor has.

    Attributes:
        executor: The executor.
        front: What it is at, or comes to next.
        left: Invocations of that which it has not begun.
        behind: What it comes to afterwards and another could do.
        remaining_s: How long all that can be moved would take here, by what was seen so far.
        age_s: For how long it has had ``front``.
    """

    executor: Executor
    front: WorkItem
    left: int
    behind: list[WorkItem]
    remaining_s: float
    age_s: float

    @property
    def recallable(self) -> list[WorkItem]:
        """Work that a recall would have an effect on, in order."""
        items = [self.front, *self.behind] if self.left else self.behind
        return [item for item in items if item.number > self.executor.recalled]

    @property
    def is_settling(self) -> bool:
        """Whether a recall is on its way."""
        recalled = self.executor.recalled
        return any(item.number <= recalled for item in self.behind) or (
            self.left > 0 and self.front.number <= recalled
        )

    @property
    def turn(self) -> int:
        """The last number of what could be recalled of the request in front, 0: nothing."""
        own = takewhile(lambda item: item.key == self.front.key, self.recallable)
        return max((item.number for item in own), default=0)

    def is_in_the_way(self, waiting: Collection[RequestKey]) -> bool:
        """Whether a request waits for the executor while another one's work goes on there."""
        keys = {*waiting, *(item.key for item in self.behind)}
        return self.turn > 0 and bool(keys - {self.front.key})


def loads(executors: Sequence[Executor], now: float) -> list[Load]:
    """Return what each executor has that has anything; ``now`` is monotonic."""
    return [_load(e, now) for e in executors if e.work and e.state == "ready"]


def _load(executor: Executor, now: float) -> Load:
    front, *others = executor.work.values()
    progress = executor.progress()
    first = front.first_vertex
    vertex = progress.vertex if progress.number == front.number else first - 1
    left = 0 if front.abandoned_at else front.left_after(vertex)
    age_s = now - front.sent_at
    remaining_s = age_s / max(vertex - first, 1) * left if left else age_s
    behind = [item for item in others if not item.is_pinned and not item.abandoned_at]
    return Load(executor, front, left, behind, remaining_s, age_s)


def is_uneven(having: Sequence[Load], idle: int, waiting: Collection[RequestKey]) -> bool:
    """Tell whether something may have to be recalled before long, or is being recalled."""
    return any(
        load.is_settling or (idle and load.recallable) or load.is_in_the_way(waiting)
        for load in having
    )


def recalls(
    having: Sequence[Load], idle: int, waiting: Collection[RequestKey]
) -> list[tuple[Executor, int]]:
    """Return executors with the number up to which their work is to be recalled.

    Args:
        having: The executors that have work.
        idle: How many have none.
        waiting: The requests that wait for one.
    """
    if idle and not waiting:
        worth = [load for load in having if load.recallable and load.remaining_s > WORTH_S]
        worth.sort(key=lambda load: load.remaining_s, reverse=True)
        unserved = max(0, idle - sum(load.is_settling for load in having))
        return [(load.executor, load.recallable[-1].number) for load in worth[:unserved]]
    ended = [load for load in having if load.age_s >= TURN_S and load.is_in_the_way(waiting)]
    return [(load.executor, load.turn) for load in ended]


def not_begun(load: Load, now: float) -> tuple[list[WorkItem], int]:
    """Return what an executor will not come to after a recall that has settled.

    Returns:
        The work that it has not begun; and the first vertex of ``front`` that it has not, 0: none.
    """
    executor = load.executor
    progress = executor.progress()
    if progress.number != load.front.number or now - executor.recalled_at < SETTLE_S:
        return [], 0
    behind = [item for item in load.behind if item.number <= executor.recalled]
    vertex = progress.vertex
    is_recalled = load.left > 0 and load.front.number <= executor.recalled
    return behind, vertex + 1 if is_recalled and load.front.left_after(vertex) else 0


def without_taken(segments: list[list[Any]], stop: int) -> list[list[Any]]:
    """Return segments without what they say of the end of a batch that was taken back.

    An answer may say of all invocations that they failed, and of all the rest that it is unstarted.

    Args:
        segments: The answer.
        stop: The first vertex that was taken back, 0: none was.
    """
    if not stop:
        return segments
    return [
        ["unstarted", segment[1], stop - segment[1]] if segment[0] == "unstarted" else segment
        for segment in segments
        if segment[1] < stop
    ]
