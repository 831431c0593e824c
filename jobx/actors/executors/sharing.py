"""Gives waiting work to executors, and balances their work."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from thespian.actors import ActorAddress

from jobx.actors.executor_failures import KEEPER_GONE
from jobx.actors.executors import placing, rebalancing
from jobx.actors.executors.backlog import Backlog, Queue
from jobx.actors.executors.paces import Paces
from jobx.actors.executors.process import Executor, WorkItem
from jobx.actors.executors.processes import ExecutorProcesses
from jobx.actors.executors.rebalancing import Away
from jobx.actors.messages import Lost, RequestKey, Run, TakenBack
from jobx.actors.runtime.address import Address

#: How often waiting work is checked for whether it may be sent.
WAITING_S: Final = 0.02
#: Waiting work that cannot leave, after which no more is looked at for other nodes this time.
MAX_STAY: Final = 8


class Sharing:
    """Shares work out over executors; ``placing`` and ``rebalancing`` decide how.

    Args:
        processes: The executors.
        seats: Number of executors that get work.
        send: Sends work to one of them.
        deliver: Sends a message to an owner of work.

    Attributes:
        backlog: The work that waits.
        elsewhere: Returns the idle executors of other nodes that may be used; None: none may be.
    """

    def __init__(
        self,
        processes: ExecutorProcesses,
        seats: int,
        send: Callable[[Executor, WorkItem], None],
        deliver: Callable[[ActorAddress, object], None],
    ) -> None:
        self._processes = processes
        self._executors = processes.executors
        self._seats = seats
        self._send = send
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self.backlog = Backlog()
        self._paces = Paces()
        self.ended = self._paces.ended
        self.usual_s = self._paces.usual_s
        self.usual_times, self.recall_usual = self._paces.usual_times, self._paces.recall
        self._short_at = self._long_at = -math.inf
        self._is_stopped = False
        self._look: asyncio.Handle | None = None
        self.elsewhere: Callable[[], Sequence[Away]] | None = None

    def __len__(self) -> int:
        """Number of waiting items."""
        return len(self.backlog)

    def run(self, item: WorkItem) -> None:
        """Send new work, or let it wait."""
        if not self._is_sent_at_once(item):
            self.add(item)
        self.pump()

    def _is_sent_at_once(self, item: WorkItem) -> bool:
        """Send work if its executor is clear without a look at turns: most of it finds one idle."""
        item.is_long = self._paces.is_long(item)
        if self.backlog.count or item.is_long or item.foreign or self._is_stopped:
            return False
        executor = placing.idle_of(self._executors, item.key.workflow)
        if executor is not None:
            self._give(executor, item, self._loop.time())
        return executor is not None

    def is_long(self, run: Run) -> bool:
        """Whether work is known to take long."""
        return self._paces.is_long(run)

    @property
    def kept(self) -> int:
        """Number of idle executors that work which takes long may not have now."""
        now = self._loop.time()
        if len(self._sendable(now)) > 1:
            return 0
        return rebalancing.idle(self._executors, now).total()

    def add(self, item: WorkItem, *, first: bool = False) -> None:
        """Let work wait; ``first``: before the other work of its request."""
        item.is_long = self._paces.is_long(item)
        self.backlog.add(item, first=first)

    def drop(self, key: RequestKey, owner: ActorAddress) -> None:
        """Forget the waiting work of an owner."""
        self.backlog.drop(key, owner)

    def runs(self, executor: Executor) -> None:
        """Note that a running invocation takes long, and free the work behind it."""
        progress = executor.progress()
        item = executor.work.get(progress.number)
        if item is None:
            return
        if self._paces.saw(item, progress.running_s):
            item.is_long = True
            if len(executor.work) > 1:
                self._look_in(rebalancing.BALANCE_S)
        if item.is_long:
            self._long_at = self._loop.time()

    def pump(self) -> None:
        """Send waiting work, and schedule a check of the balance if it could be improved."""
        if self.backlog.short.count or self.backlog.long.count:
            self._hand_out()
        if self._look is None:
            if any(executor.is_divisible for executor in self._executors if executor.work):
                self._look_in(rebalancing.BALANCE_S)
            elif self._may_be_sent_later:
                self._look_in(WAITING_S)

    def stop(self) -> None:
        """Send nothing more."""
        self._is_stopped = True
        if self._look is not None:
            self._look.cancel()

    def _look_in(self, delay_s: float) -> None:
        if self._look is None:
            self._look = self._loop.call_later(delay_s, self._balance)

    @property
    def _may_be_sent_later(self) -> bool:
        """Whether work waits though executors are idle, or may become idle on other nodes."""
        if self.elsewhere is not None:
            return len(self.backlog) > 0
        if not self.backlog.count:
            return False
        return any(e.state == "ready" and e.has_seat and not e.work for e in self._executors)

    def _hand_out(self) -> None:
        """Send waiting work to executors with room: workflows take turns, then their requests."""
        short, long = self.backlog.short, self.backlog.long
        while (short.count or long.count) and not self._is_stopped:
            now = self._loop.time()
            queues = self._sendable(now) if long.count else [short]
            choice = placing.choose(self._executors, queues, now)
            if choice is None:
                break
            if choice.is_change:
                self._processes.change(choice.executor, choice.workflow)
                continue
            item = choice.queue.take(choice.workflow)
            if self._paces.is_long(item) != item.is_long:  # more is known about its duration since
                self.add(item)
                continue
            self._give(choice.executor, item, now)

    def _give(self, executor: Executor, item: WorkItem, now: float) -> None:
        if item.is_long:
            self._long_at = now
        elif not self._paces.is_of_long_job(item):
            self._short_at = now
        self._send(executor, item)

    def _sendable(self, now: float) -> list[Queue]:
        """Return the queues that may be sent now, in order."""
        having = [e for e in self._executors if e.has_seat and e.work]
        at_work = sum(any(item.is_long for item in e.work.values()) for e in having)
        share = placing.Share(self._seats, at_work, now - self._short_at, now - self._long_at)
        return share.order(self.backlog)

    def _balance(self) -> None:
        """Recall work for other executors, take back recalled work, schedule the next check."""
        self._look = None
        if self._is_stopped:
            return
        now = self._loop.time()
        waiting = self._sendable(now)
        having = rebalancing.loads(self._executors, now)
        idle = rebalancing.idle(self._executors, now)
        away = _Places(self.elsewhere() if self.elsewhere is not None else ())
        is_long_sent = len(waiting) > 1
        movable = [one for one in having if is_long_sent or one.holds_up or not one.front.is_long]
        self._give_away(self.backlog.foreign.values(), away)
        if not idle:
            self._give_away((self.backlog.short, self.backlog.long), away)
        elif not is_long_sent:  # the idle ones are kept for short work
            self._give_away((self.backlog.long,), away)
        self._recall(rebalancing.recalls(movable, idle, waiting), now)
        if away and not (idle and any(waiting)):
            staying = [one for one in having if not idle or one not in movable]
            leaving = list(filter(away.helps, staying))
            self._recall(rebalancing.recalls(leaving, away.idle(), waiting), now)
        for load in having:
            self._regain(load, now, away)
        self._hand_out()
        now = self._loop.time()
        idle = rebalancing.idle(self._executors, now) or away.idle()
        if rebalancing.is_uneven(rebalancing.loads(self._executors, now), idle, waiting):
            self._look_in(rebalancing.BALANCE_S)
        elif self._may_be_sent_later:
            self._look_in(WAITING_S)

    @staticmethod
    def _recall(recalls: Iterable[tuple[Executor, int]], now: float) -> None:
        for executor, number in recalls:
            executor.recall(number, now)

    def _give_away(self, queues: Iterable[Queue], away: _Places) -> None:
        """Let owners create waiting work anew, for idle executors of other nodes."""
        for queue in queues:
            for workflow in away.workflows:
                stay: list[WorkItem] = []
                while away and workflow in queue and len(stay) < MAX_STAY:
                    item = queue.take(workflow)
                    if away.take(item):
                        self._give_back(item)
                    else:
                        stay.append(item)
                for item in reversed(stay):
                    self.add(item, first=True)

    def give_back_hosted(self) -> None:
        """Let owners of other nodes create their waiting work anew."""
        for item in self.backlog.take_if(lambda item: Address.is_hosted(item.owner)):
            self._give_back(item)

    def _give_back(self, item: WorkItem) -> None:
        self._deliver(item.owner, Lost(item.ticket, None, KEEPER_GONE))

    def _regain(self, load: rebalancing.ExecutorLoad, now: float, away: _Places) -> None:
        """Take back the work that an executor will not start."""
        behind, first = rebalancing.not_begun(load, now)
        if first:
            load.front.stop = first
            self._deliver(load.front.owner, TakenBack(load.front.ticket, first))
        for item in reversed(behind):
            del load.executor.work[item.number]
            if away.take(item):
                self._give_back(item)
            else:
                self.add(item, first=True)


class _Places:
    """Idle executors of other nodes, which are taken one by one."""

    def __init__(self, places: Sequence[Away]) -> None:
        self._places = [place for place in places if place.idle > 0]

    def __bool__(self) -> bool:
        return bool(self._places)

    @property
    def workflows(self) -> list[str]:
        return list(dict.fromkeys(place.workflow for place in self._places))

    def idle(self) -> Counter[str]:
        """Count them by workflow."""
        found: Counter[str] = Counter()
        for place in self._places:
            found[place.workflow] += place.idle
        return found

    def helps(self, load: rebalancing.ExecutorLoad) -> bool:
        """Whether there is one for work of an executor that is worth the way."""
        return load.is_worth_leaving and any(map(self._has, load.leaving))

    def _has(self, item: WorkItem) -> bool:
        return any(place.takes(item) for place in self._places)

    def take(self, item: WorkItem) -> bool:
        """Take one for some work; False if there is none."""
        for number, place in enumerate(self._places):
            if place.takes(item):
                left = place._replace(idle=place.idle - 1)
                self._places[number : number + 1] = [left] if left.idle else []
                return True
        return False
