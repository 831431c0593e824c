"""Which executor gets which work: pure decisions.

An executor belongs to one workflow. ``node.executors`` of them have a *seat*: only those get work.
A workflow without a seat takes over that of another workflow: an idle seat at once, a busy one when
the other workflow's turn is over. The executor that had the seat is *parked*: its process remains,
and gets a seat again when its workflow's turn comes. So workflows that take turns start no
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

#: A workflow keeps a seat for this long while it has work and others wait.
HOLD_S: Final = 0.05
#: After this, an idle executor may go to a workflow that already has others.
IDLE_S: Final = 0.02
#: A second frame is sent behind one that has run for less than this.
FRESH_S: Final = 0.1
#: After short work was sent, one executor stays free of long work for this long.
RESERVE_S: Final = 10.0
#: Short work goes before long work for this long at most.
PATIENCE_S: Final = 10.0


class Choice(Struct, frozen=True):
    """An executor for the next work of a workflow in a queue.

    Attributes:
        is_change: Its seat goes to that workflow; otherwise the work is sent to it.
    """

    executor: Executor
    workflow: str
    queue: Queue
    is_change: bool = False


class Share(Struct, frozen=True):
    """The share of the executors that long work may use.

    Attributes:
        seats: Number of executors that get work.
        long_at_work: Number of executors that run long work.
        short_s: How long ago short work of a job without long work was sent.
        long_s: How long ago long work was at work last. Were it when it was sent, work that takes
            longer than the patience would follow itself, and short work would wait for all of it.
    """

    seats: int
    long_at_work: int
    short_s: float
    long_s: float

    def order(self, backlog: Backlog) -> list[Queue]:
        """Return the queues that may be sent now, in order."""
        is_reserved = self.short_s < RESERVE_S or len(backlog.short) > 0
        most = max(1, self.seats - 1) if is_reserved else self.seats
        if self.long_at_work >= most:
            return [backlog.short]
        is_their_turn = self.long_at_work == 0 and self.long_s >= PATIENCE_S
        both = [backlog.short, backlog.long]
        return both[::-1] if is_their_turn else both


def idle_of(executors: Iterable[Executor], workflow: str) -> Executor | None:
    """Return the idle executor that ``choose`` gives a workflow's work if no other work waits."""
    for one in executors:
        is_idle = one.workflow == workflow and not one.work and not one.waiting
        if is_idle and one.has_seat and one.state == "ready":
            return one
    return None


def choose(executors: Sequence[Executor], queues: Iterable[Queue], now: float) -> Choice | None:
    """Return the next move; None if there is none.

    Args:
        executors: All executors.
        queues: The queues that may be sent, in order.
        now: Monotonic.
    """
    ready = [one for one in executors if one.has_seat and one.state == "ready"]
    free = [one for one in ready if len(one.work) < 2 and not one.waiting]
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
    """The executors as one queue with waiting work sees them.

    Args:
        executors: All executors.
        free: The executors that can take a frame.
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
        #: The waiting workflow with the fewest seats.
        self._needy = names[0] if len(names) == 1 else min(names, key=self._held.__getitem__)

    @cached_property
    def _seats(self) -> list[Executor]:
        return [e for e in self._executors if e.has_seat and e.state in ("starting", "ready")]

    @cached_property
    def _held(self) -> Counter[str]:
        """Number of seats of each workflow."""
        return Counter(executor.workflow for executor in self._seats)

    def for_idle(self) -> Choice | None:
        """Return the move of an idle executor."""
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
        """Give an idle executor whose workflow has no work to the waiting workflow."""
        is_time = not self._held[self._needy] or self._now - executor.idle_since >= IDLE_S
        if is_time and self._queue.count_of(self._needy) > self._coming():
            return Choice(executor, self._needy, self._queue, is_change=True)
        return None

    def _coming(self) -> int:
        """Return how many starting executors the waiting workflow may have."""
        coming = (one for one in self._seats if one.state == "starting")
        return sum(one.workflow in ("", self._needy) for one in coming)

    def behind(self) -> Choice | None:
        """Queue work at an executor with young work, so that it need not wait for the node."""
        for executor in self._free:
            if not executor.work or executor.workflow not in self._queue:
                continue
            (front,) = executor.work.values()
            is_young = self._now - front.sent_at < FRESH_S and not front.is_long
            # Work that was given back must be the first work of an executor.
            was_back = self._queue.peek(executor.workflow).returned
            if is_young and not was_back and not self._is_due(executor):
                return Choice(executor, executor.workflow, self._queue)
        return None

    def _is_due(self, executor: Executor) -> bool:
        """Whether an executor goes to another workflow although its own has more work."""
        own, needy = executor.workflow, self._needy
        if needy == own or self._now - executor.since < HOLD_S:
            return False
        return self._held[needy] == 0 or self._held[own] - self._held[needy] > 1
