"""Which executor is given which work: pure decisions over what there is.

An executor belongs to one workflow. ``node.executors`` of them have a *seat*: those are given work.
A workflow that has no seat gets that of another: an idle one at once, one whose own workflow has
more to do when that has had its turn. The executor that had the seat is *parked*: it lives on, and
may have a seat again when its workflow's turn comes. So workflows that take turns start no
processes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

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


@dataclass(frozen=True, slots=True)
class Choice:
    """An executor for what comes next of a workflow.

    Attributes:
        is_change: Its seat is to be given to that workflow; else it is sent the work.
    """

    executor: Executor
    workflow: str
    is_long: bool = False
    is_change: bool = False


@dataclass(frozen=True, slots=True)
class Share:
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

    def order(self, backlog: Backlog) -> list[tuple[bool, Queue]]:
        """Return what may be sent now, what goes first first, each with whether it is long."""
        is_reserved = self.short_s < RESERVE_S or len(backlog.short) > 0
        most = max(1, self.seats - 1) if is_reserved else self.seats
        short, long = (False, backlog.short), (True, backlog.long)
        if self.long_at_work >= most:
            return [short]
        is_their_turn = self.long_at_work == 0 and self.long_s >= PATIENCE_S
        return [long, short] if is_their_turn else [short, long]


def choose(
    executors: Sequence[Executor], backlog: Backlog, share: Share, now: float
) -> Choice | None:
    """Return what is to be done next, None: nothing can be."""
    for is_long, queue in share.order(backlog):
        if queue:
            at_once = _idle_of_the_only(executors, queue)
            if at_once is not None:
                return Choice(at_once, at_once.workflow, is_long)
            seats = [e for e in executors if e.has_seat and e.state in ("starting", "ready")]
            view = _View(seats, queue, now)
            choice = view.for_idle() or (None if is_long else view.behind())
            if choice is not None:
                return replace(choice, is_long=is_long)
    return None


def _idle_of_the_only(executors: Sequence[Executor], queue: Queue) -> Executor | None:
    """Return an idle executor of the only workflow that waits, if there is only one."""
    names = list(queue.workflows(2))
    if len(names) > 1:
        return None
    for executor in executors:
        if executor.workflow == names[0] and executor.is_idle:
            return executor
    return None


class _View:
    """The executors as they are for one queue that has something."""

    def __init__(self, seats: Sequence[Executor], queue: Queue, now: float) -> None:
        self._queue = queue
        self._now = now
        self._held = held = Counter(executor.workflow for executor in seats)
        #: The workflow that waits and has the fewest seats.
        self._needy = min(queue.workflows(len(seats) + 1), key=lambda name: held[name])
        self._ready = [e for e in seats if e.state == "ready" and not e.waiting]
        self._coming = sum(e.state == "starting" and e.workflow in ("", self._needy) for e in seats)

    def for_idle(self) -> Choice | None:
        """Return what an idle executor is to do."""
        idle = [executor for executor in self._ready if executor.is_idle]
        for executor in idle:
            if executor.workflow in self._queue:
                if executor.is_used and self._is_due(executor):
                    return Choice(executor, self._needy, is_change=True)
                return Choice(executor, executor.workflow)
        for executor in idle:
            if not executor.is_used:
                return Choice(executor, self._needy)
        return self._change(min(idle, key=lambda one: one.idle_since)) if idle else None

    def _change(self, executor: Executor) -> Choice | None:
        """Give an idle executor whose workflow has nothing to do to the one that waits."""
        is_time = not self._held[self._needy] or self._now - executor.idle_since >= IDLE_S
        if is_time and self._queue.count(self._needy) > self._coming:
            return Choice(executor, self._needy, is_change=True)
        return None

    def behind(self) -> Choice | None:
        """Let work wait at an executor whose work is young, so that it need not wait for us."""
        for executor in self._ready:
            if len(executor.work) != 1 or executor.workflow not in self._queue:
                continue
            (front,) = executor.work.values()
            is_young = self._now - front.sent_at < FRESH_S and not front.is_long
            # What was given back is to be what an executor begins with.
            was_back = self._queue.peek(executor.workflow).returned
            if is_young and not was_back and not self._is_due(executor):
                return Choice(executor, executor.workflow)
        return None

    def _is_due(self, executor: Executor) -> bool:
        """Whether an executor whose workflow has more to do is to be given to another."""
        own, needy = executor.workflow, self._needy
        if needy == own or self._now - executor.since < HOLD_S:
            return False
        return self._held[needy] == 0 or self._held[own] - self._held[needy] > 1
