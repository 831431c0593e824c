"""The real log writer on virtual time, over a store that answers late, twice, or not at all."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias
from unittest import mock

from thespian.actors import ActorAddress

from jobx.actors import log_writer
from jobx.actors.log_writer import LogWriter
from jobx.actors.runtime.scheduler import Timer
from jobx.errors import JobxError, OutcomeUnknown, StoreFull, StoreUnavailable
from jobx.kv.memory import MemoryStore
from jobx.kv.store import Chain, CommitOutcome, Entry
from tests.support.virtual_time import VirtualScheduler

#: What becomes of a commit: it is done, and answered late; it is done twice; nobody is told that it
#: was done, or was not, or is done only after that; it is cut after its first units; it is refused.
Fate: TypeAlias = Literal["late", "twice", "done", "lost", "floating", "cut", "silent", "full"]
FATES: tuple[Fate, ...] = Fate.__args__  # type: ignore[attr-defined]  # of a Literal

#: Longest time that an answer, or a write without one, is on its way.
_WAY_S = 5.0


@dataclass
class UnsureStore:
    """A store as a log writer sees it; reads are as they should be.

    Attributes:
        store: What really is stored.
        fates: What becomes of commits, by their number.
        rate: How many of the others have a fate, drawn at random.
        commits: Commits so far.
    """

    store: MemoryStore
    scheduler: VirtualScheduler
    rng: random.Random
    fates: dict[int, Fate] = field(default_factory=dict)
    rate: float = 0.0
    commits: int = 0
    is_late: bool = False

    def get(self, key: str) -> Entry | None:
        return self.store.get(key)

    def range(self, prefix: str, **how: Any) -> list[Entry]:
        return self.store.range(prefix, **how)

    def commit_many(self, chains: Sequence[Chain]) -> list[CommitOutcome]:
        fate = self.fates.pop(self.commits, None)
        self.commits += 1
        if fate is None and self.rng.random() < self.rate:
            fate = self.rng.choice(FATES)
        self.is_late = fate == "late"
        if fate == "silent":
            raise StoreUnavailable("it does not answer")
        if fate == "full":
            raise StoreFull("the store", "no room")
        if fate in ("twice", "floating"):
            self.scheduler.call_later(self.way_s(), lambda: self.store.commit_many(chains))
        if fate == "cut":
            return [self._begin(chain) for chain in chains]
        if fate not in ("lost", "floating"):
            outcomes = self.store.commit_many(chains)
        if fate in ("done", "lost", "floating"):
            raise OutcomeUnknown("the store", "no answer came")
        return outcomes

    def _begin(self, chain: Chain) -> CommitOutcome:
        """Write a first part of a chain."""
        count = self.rng.randrange(len(chain) + 1)
        (outcome,) = self.store.commit_many([chain[:count]])
        if outcome.error is not None or count == len(chain):
            return outcome
        error: JobxError = OutcomeUnknown("the store", "no answer came")
        if self.rng.random() < 0.5:
            self.scheduler.call_later(
                self.way_s(), lambda: self.store.commit_many([chain[count : count + 1]])
            )
        elif self.rng.random() < 0.5:
            error = StoreUnavailable("it does not answer any more")
        return CommitOutcome(count, error)

    def way_s(self) -> float:
        return self.rng.choice((0.0, 0.01, self.rng.random() * _WAY_S))


class VirtualLoop:
    """What a log writer needs of a loop, on virtual time, until its node dies."""

    def __init__(self, scheduler: VirtualScheduler, store: UnsureStore) -> None:
        self.scheduler, self.store = scheduler, store
        self.is_dead = False
        self.time = scheduler.now

    def call_soon(self, call: Callable[..., object], *arguments: Any) -> Timer:
        return self.call_later(0.0, call, *arguments)

    def call_later(self, delay_s: float, call: Callable[..., object], *arguments: Any) -> Timer:
        return self.scheduler.call_later(delay_s, lambda: self._do(call, arguments))

    def _do(self, call: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        if not self.is_dead:
            call(*arguments)

    def run_in_executor(self, _: Executor, call: Callable[[], Any]) -> _Answer:
        return _Answer(self, call)


class _Answer:
    """A future, as far as a log writer needs it."""

    def __init__(self, loop: VirtualLoop, call: Callable[[], Any]) -> None:
        self._loop, self.result = loop, call

    def cancelled(self) -> bool:
        return False

    def add_done_callback(self, then: Callable[[_Answer], object]) -> None:
        self._loop.call_later(0.001, then, self)


class _Thread:
    """The contract of ``SerialThread`` on virtual time; a call that was made may outlive a node."""

    def __init__(self, _: str, loop: VirtualLoop) -> None:
        self._loop = loop
        self._calls: deque[tuple[Callable[[], Any], Callable[[Any, Any], object]]] = deque()

    def call(self, call: Callable[[], Any], then: Callable[[Any, Any], object]) -> None:
        self._calls.append((call, then))
        if len(self._calls) == 1:
            self._begin()

    def _begin(self) -> None:
        self._loop.scheduler.call_later(0.0005, self._make)

    def _make(self) -> None:
        call, then = self._calls[0]
        store = self._loop.store
        if self._loop.is_dead and store.rng.random() < 0.5:
            return
        result, failed = None, None
        try:
            result = call()
        except JobxError as error:
            failed = error
        self._loop.call_later(store.way_s() if store.is_late else 0.0, then, result, failed)
        self._calls.popleft()
        if self._calls:
            self._begin()


class VirtualLogWriter(LogWriter):
    """The log writer of a node that can be killed."""

    def __init__(
        self,
        loop: VirtualLoop,
        deliver: Callable[[ActorAddress, object], None],
        patience_s: float,
    ) -> None:
        made: Any = loop
        with mock.patch.object(log_writer, "SerialThread", _Thread):
            super().__init__(made.store, made, deliver, patience_s=patience_s)

    def die(self) -> None:
        """Do nothing any more; what was sent to the store may still be done."""
        loop: Any = self._loop
        loop.is_dead = True
