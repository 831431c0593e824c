"""The log writer: many requests append, one commit at a time syncs them to disk together.

Appends collect during a commit and go out with the next one (group commit). One append is a unit:
all of it becomes durable, or nothing; the units of a request are written in order. When the store
has no room or does not answer, the units of accepted requests are kept and tried again. A request
without any written unit waits for a while, in case a server of the store is only being replaced;
then it is refused, so that its caller learns of it. A unit that may have been written is retried
until its outcome is known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from msgspec import Struct
from thespian.actors import ActorAddress

from jobx.actors.commit_faults import CommitFaults
from jobx.actors.commits import commit
from jobx.actors.large_appends import Append, LargeAppends
from jobx.actors.log_reader import LogReader
from jobx.actors.marks import Marks
from jobx.actors.messages import CommitRefused, Committed, RequestKey
from jobx.actors.threads import SerialThread
from jobx.errors import InternalError, JobxError, OutcomeUnknown
from jobx.kv import keys
from jobx.kv.large_events import is_large
from jobx.kv.requests import lives
from jobx.kv.store import STORE_FAULTS, CommitOutcome, Delete, Put, Store, Write

#: How long an append that is not urgent waits for others.
LAZY_S: Final = 0.05
#: After this long without a write, a probe checks whether the store takes writes.
PROBE_S: Final = 10.0

Deliver = Callable[[ActorAddress, object], None]


class _Appended(Struct):
    """The appends of one request since the last commit.

    Attributes:
        is_forgotten: Its owner no longer waits for it.
        is_in_doubt: Its first append may have been written.
    """

    owner: ActorAddress
    appends: list[Append] = []
    is_forgotten: bool = False
    is_in_doubt: bool = False

    @property
    def is_new(self) -> bool:
        """Whether nothing of the request has been written."""
        return self.appends[0].number == 0 and not self.is_in_doubt


class Outstanding(NamedTuple):
    """A commit that has not ended, or failed and is tried again.

    Attributes:
        since: Since when nothing has become durable, monotonic seconds.
        appends: How many appends wait.
        fault: Why the last try failed; None: it did not.
    """

    since: float
    appends: int
    fault: JobxError | None


def _ignore(_: object) -> None:
    """Do nothing: nobody listens."""


def _ignore_commit(_: float, __: bool) -> None:
    """Do nothing: nobody counts."""


class LogWriter:
    """Commits appends; runs on the node's loop, blocks only its own thread.

    Args:
        store: The store.
        loop: The node's event loop.
        deliver: Sends a message to an actor.
        hurry: Called when a commit should start in the loop's next turn.
        told: Called with the reason why nothing can be written, and with None once writes work.
        patience_s: How long new requests wait for a store that does not answer.
        counted: Called after each commit of requests with how long it took, in seconds, and whether
            the store failed.

    Attributes:
        faults: Why commits fail, and new requests are refused.
        watched: What is called with the number of each last event of a commit, by request.
    """

    def __init__(
        self,
        store: Store,
        loop: asyncio.AbstractEventLoop,
        deliver: Deliver,
        hurry: Callable[[], object] = lambda: None,
        told: Callable[[JobxError | None], object] = _ignore,
        *,
        patience_s: float = 0.0,
        counted: Callable[[float, bool], object] = _ignore_commit,
    ) -> None:
        self.faults = CommitFaults(loop, told, self._refuse_new, patience_s)
        self.watched: dict[RequestKey, Callable[[int], object]] = {}
        self._store = store
        self._loop = loop
        self._deliver = deliver
        self._hurry = hurry
        self._thread = SerialThread("log-writer", loop)
        self._large = LargeAppends(store, loop, self._join, self._refuse)
        self._marks = Marks(store, self._thread)
        self._reader = LogReader(store, loop, self._marks.then, deliver)
        self._pending: dict[RequestKey, _Appended] = {}
        self._flight: dict[RequestKey, _Appended] = {}
        self._refused: set[RequestKey] = set()  # whose owners have not been told yet
        self._readers: dict[RequestKey, tuple[ActorAddress, bool]] = {}
        #: The next commit, and the end of the wait of appends that are not urgent.
        self._timer: asyncio.Handle | None = None
        self._lazy: asyncio.Handle | None = None
        self._is_committing = False
        self._counted = counted
        self._began = 0.0
        #: Since when nothing has become durable though something waits; None: nothing waits.
        self._silent_since: float | None = None
        self._commits = 0
        self._probe_timer = loop.call_later(PROBE_S, self._look, 0)

    def append(
        self,
        key: RequestKey,
        owner: ActorAddress,
        number: int,
        writes: Sequence[Write],
        urgent: bool,
        *,
        first: Callable[[], object] | None = None,
    ) -> None:
        """Write the unit of event ``number``; ``owner`` hears Committed or CommitRefused.

        ``first`` is called in a thread, and must have ended before.

        After CommitRefused, further appends of the request are ignored until it is forgotten, so
        its log never continues after a gap.
        """
        append = Append(owner, number, writes, urgent, first)
        if key in self._refused:
            return
        may_be_held = first is not None or bool(self._large.held) or is_large(writes)
        if not (may_be_held and self._large.holds(key, append)):
            self._join(key, append)

    def _join(self, key: RequestKey, append: Append) -> None:
        group = self._pending.get(key)
        if group is None:
            group = self._pending[key] = _Appended(append.owner)
        group.appends.append(append)
        if not self._is_committing and not self._is_retrying:
            self._schedule(append.is_urgent)

    @property
    def _is_retrying(self) -> bool:
        return self.faults.last is not None and self._timer is not None

    def forget(self, key: RequestKey) -> None:
        """Drop the unwritten units of a request, and the note that it was refused."""
        self._large.forget(key)
        self._pending.pop(key, None)
        self._refused.discard(key)
        if key in self._flight:
            self._flight[key].is_forgotten = True

    def read(self, key: RequestKey, reply_to: ActorAddress, *, has_events: bool = True) -> None:
        """Read a request's log for a new owner; ``reply_to`` hears LogRead.

        Appends of the previous owner are written first, or refused; those that wait for a blob are
        dropped. An owner that only ends the
        request needs no events.
        """
        self._large.forget(key)  # nothing was done on the ground of these
        if key in self._pending or key in self._flight:
            self._readers[key] = (reply_to, has_events)
            if not self._is_committing and not self._is_retrying:
                self._schedule(urgent=True)
        else:
            self._read(key, reply_to, has_events)

    def _read(self, key: RequestKey, reply_to: ActorAddress, has_events: bool) -> None:
        self._refused.discard(key)  # that refusal was for the previous owner
        self._reader.read(key, reply_to, has_events=has_events)

    def mark(self, requests: Sequence[lives.OpenRequest]) -> None:
        """Mark recovered requests, before any later read."""
        self._marks.add(requests)

    @property
    def outstanding(self) -> Outstanding | None:
        """The commit that has not ended; None if there is none."""
        if self._silent_since is None:
            return None
        waiting = (*self._flight.values(), *self._pending.values())
        appends = sum(len(group.appends) for group in waiting)
        return Outstanding(self._silent_since, appends, self.faults.last)

    async def drain(self, is_over: Callable[[], bool]) -> bool:
        """Wait until everything is written; False if ``is_over`` said first that time is up."""
        while self._pending or self._flight or self._large.held:
            if is_over():
                return False
            await asyncio.sleep(0.005)
        return True

    def close(self) -> None:
        """Stop the thread; unwritten units are lost."""
        for timer in (self._probe_timer, self._timer, self._lazy):
            if timer is not None:
                timer.cancel()
        self.faults.close()
        self._large.close()
        self._thread.close()
        self._reader.close()

    def _schedule(self, urgent: bool) -> None:
        if self._timer is not None:
            return
        if urgent:
            self._timer = self._loop.call_soon(self._flush)
            self._hurry()
        elif self._lazy is None:  # one goes on for all that come meanwhile: it costs no timer each
            self._lazy = self._loop.call_later(LAZY_S, self._lazy_ended)

    def _lazy_ended(self) -> None:
        self._lazy = None
        if self._pending and not self._is_committing:
            self._schedule(urgent=True)

    def _flush(self) -> None:
        self._timer = None
        if self._is_committing:
            return
        self._is_committing = True
        self._began = self._loop.time()
        if self._silent_since is None:
            self._silent_since = self._began
        self._flight, self._pending = self._pending, {}
        # New ones would end in doubt.
        if self.faults.last is not None and self.faults.stalled is None:
            self._pending = {key: one for key, one in self._flight.items() if one.is_new}
            self._flight = {key: one for key, one in self._flight.items() if not one.is_new}
        chains = [[append.unit for append in group.appends] for group in self._flight.values()]
        chains = chains or [[[self._probe()]]]  # shows whether the store takes writes again
        self._thread.call(lambda: commit(self._store, chains), self._committed)

    def _probe(self) -> Write:
        """Return a probe for room; removals need none, so they prove nothing."""
        return Delete(keys.PROBE) if self.faults.last is None else Put(keys.PROBE, b"")

    def _look(self, commits: int) -> None:
        """Probe the store after a while without a write."""
        if commits == self._commits and self._timer is None:
            self._flush()
        self._probe_timer = self._loop.call_later(PROBE_S, self._look, self._commits)

    def _committed(self, outcomes: list[CommitOutcome] | None, error: BaseException | None) -> None:
        flight, self._flight = self._flight, {}
        self._is_committing = False
        self._commits += 1
        if outcomes is None:
            failed = CommitOutcome(0, InternalError(f"a commit failed: {error!r}"))
            outcomes = [failed] * (len(flight) or 1)
        for (key, group), outcome in zip(flight.items(), outcomes, strict=False):
            self._settle(key, group, outcome)
        faults = (one.error for one in outcomes if isinstance(one.error, STORE_FAULTS))
        fault = next(faults, None)
        if flight or fault is not None:
            self._counted(self._loop.time() - self._began, fault is not None)
        self._go_on(fault)
        for key in [key for key in self._readers if key not in self._pending]:
            self._read(key, *self._readers.pop(key))

    def _go_on(self, fault: JobxError | None) -> None:
        """Commit the remaining units, at once or after a pause."""
        if fault is None:
            self._silent_since = None
            self.faults.over()
            if self._pending:
                self._schedule(urgent=True)
        else:
            self._timer = self._loop.call_later(self.faults.failed(fault), self._flush)
            self.faults.await_end(self._began)

    def _refuse_new(self, fault: JobxError) -> None:
        for key, group in list(self._pending.items()):
            if group.is_new:
                self._refuse(key, group.owner, fault)

    def _refuse(self, key: RequestKey, owner: ActorAddress, error: JobxError) -> None:
        self._large.forget(key)
        self._pending.pop(key, None)
        self._refused.add(key)
        self._deliver(owner, CommitRefused(error))

    def _settle(self, key: RequestKey, group: _Appended, outcome: CommitOutcome) -> None:
        """Report written units to the owner, keep those to retry, refuse those that never can."""
        if outcome.done:
            number = group.appends[outcome.done - 1].number
            self._deliver(group.owner, Committed(number))
            if self.watched and (heard := self.watched.get(key)) is not None:
                heard(number)
            del group.appends[: outcome.done]
            group.is_in_doubt = False
        error = outcome.error
        if error is None or group.is_forgotten:
            return
        group.is_in_doubt |= isinstance(error, OutcomeUnknown)
        if not isinstance(error, STORE_FAULTS):
            self._refuse(key, group.owner, error)
            return
        newer = self._pending.get(key)
        if newer is not None:
            group.appends += newer.appends
        self._pending[key] = group
