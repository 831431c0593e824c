"""Which executor is given which work: pure decisions over what there is.

An executor belongs to one workflow. ``node.executors`` of them have a *seat*: those are given work.
A workflow that has no seat gets that of another: an idle one at once, one whose own workflow has
more to do when that has had its turn. The executor that had the seat is *parked*: it lives on, and
may have a seat again when its workflow's turn comes. So workflows that take turns start no
processes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Final

from msgspec import Struct

from jobx.actors.executors.backlog import Backlog, Queue
from jobx.actors.executors.process import Executor

#: A workflow keeps a seat for so long while it has work and others wait.
HOLD_S: Final = 0.05
#: An idle executor is given to a workflow that has others after this.
IDLE_S: Final = 0.02
#: A frame is sent behind one that has run shorter than this.
FRESH_S: Final = 0.1
#: After short work was sent, so long an executor is kept free of what takes long.
RESERVE_S: Final = 10.0
#: What takes long lets what is short go first for so long at most.
PATIENCE_S: Final = 10.0


class Choice(Struct, frozen=True):
    """An executor for what comes next of a workflow in a queue.

    Attributes:
        is_change: Its seat is to be given to that workflow; else it is sent the work.
    """

    executor: Executor
    workflow: str
    queue: Queue
    is_change: bool = False


class Share(Struct, frozen=True):
    """What long work may have of the executors.

    Attributes:
        seats: How many executors are given work.
        long_at_work: How many of them are at what takes long.
        short_s: How long ago short work of a job without long work was sent.
        long_s: How long ago long work was sent.
    """

    seats: int
    long_at_work: int
    short_s: float
    long_s: float

    def order(self, backlog: Backlog) -> list[Queue]:
        """Return what may be sent now, what goes first first."""
        is_reserved = self.short_s < RESERVE_S or len(backlog.short) > 0
        most = max(1, self.seats - 1) if is_reserved else self.seats
        if self.long_at_work >= most:
            return [backlog.short]
        is_their_turn = self.long_at_work == 0 and self.long_s >= PATIENCE_S
        both = [backlog.short, backlog.long]
        return both[::-1] if is_their_turn else both


def choose(executors: Sequence[Executor], queues: Iterable[Queue], now: float) -> Choice | None:
    """Return what is to be done next, None: nothing can be.

    Args:
        executors: All there are.
        queues: What may be sent, what goes first first.
        now: Monotonic.
    """
    free = [
        one
        for one in executors
        if len(one.work) < 2 and one.has_seat and one.state == "ready" and not one.waiting
    ]
    if not free:
        return None
    for queue in queues:
        if queue.count:
            view = _View(executors, free, queue, now)
            choice = view.for_idle() or (None if queue.is_long else view.behind())
            if choice is not None:
                return choice
    return None


class _View:
    """The executors as they are for one queue that has something.

    Args:
        executors: All there are.
        free: Those that could be sent something.
        queue: The queue.
        now: Monotonic.
    """

    def __init__(
        self, executors: Sequence[Executor], free: Sequence[Executor], queue: Queue, now: float
    ) -> None:
        self._executors = executors
        self._free = free
        self._queue = queue
        self._now = now
        names = list(queue.workflows(len(executors) + 1))
        #: The workflow that waits and has the fewest seats.
        self._needy = names[0] if len(names) == 1 else min(names, key=self._held.__getitem__)

    @cached_property
    def _seats(self) -> list[Executor]:
        return [e for e in self._executors if e.has_seat and e.state in ("starting", "ready")]

    @cached_property
    def _held(self) -> Counter[str]:
        """How many seats each workflow has."""
        return Counter(executor.workflow for executor in self._seats)

    def for_idle(self) -> Choice | None:
        """Return what an idle executor is to do."""
        idle = [executor for executor in self._free if not executor.work]
        for executor in idle:
            if executor.workflow in self._queue:
                if executor.is_used and self._is_due(executor):
                    return Choice(executor, self._needy, self._queue, is_change=True)
                return Choice(executor, executor.workflow, self._queue)
        for executor in idle:
            if not executor.is_used:
                return Choice(executor, self._needy, self._queue)
        return self._change(min(idle, key=lambda one: one.idle_since)) if idle else None

    def _change(self, executor: Executor) -> Choice | None:
        """Give an idle executor whose workflow has nothing to do to the one that waits."""
        is_time = not self._held[self._needy] or self._now - executor.idle_since >= IDLE_S
        if is_time and self._queue.count_of(self._needy) > self._coming():
            return Choice(executor, self._needy, self._queue, is_change=True)
        return None

    def _coming(self) -> int:
        """Return how many executors that start the workflow that waits may have."""
        coming = (one for one in self._seats if one.state == "starting")
        return sum(one.workflow in ("", self._needy) for one in coming)

    def behind(self) -> Choice | None:
        """Let work wait at an executor whose work is young, so that it need not wait for us."""
        for executor in self._free:
            if not executor.work or executor.workflow not in self._queue:
                continue
            (front,) = executor.work.values()
            is_young = self._now - front.sent_at < FRESH_S and not front.is_long
            # What was given back is to be what an executor begins with.
            was_back = self._queue.peek(executor.workflow).returned
            if is_young and not was_back and not self._is_due(executor):
                return Choice(executor, executor.workflow, self._queue)
        return None

    def _is_due(self, executor: Executor) -> bool:
        """Whether an executor whose workflow has more to do is to be given to another."""
        own, needy = executor.workflow, self._needy
        if needy == own or self._now - executor.since < HOLD_S:
            return False
        return self._held[needy] == 0 or self._held[own] - self._held[needy] > 1
