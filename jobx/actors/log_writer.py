"""The log writer: many requests append, one commit at a time syncs them to disk together.

Appends collect during a commit and go out with the next one (group commit). One append is a unit:
all of it becomes durable, or nothing; the units of a request are written in order. When the store
has no room or does not answer, the units of accepted requests are kept and tried again; a request
without any written unit is refused instead, so that its caller learns of it. A unit that may have
been written is retried until its outcome is known.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from msgspec import Struct
from thespian.actors import ActorAddress

from jobx import model
from jobx.actors.commits import commit
from jobx.actors.messages import CommitRefused, Committed, LogRead, RequestKey
from jobx.actors.recovery import shows_progress
from jobx.actors.request.events import Accepted, Event, from_record
from jobx.actors.threads import SerialThread
from jobx.errors import EntryDamaged, InternalError, InvalidInput, JobxError, OutcomeUnknown
from jobx.kv import keys
from jobx.kv.entries import decoded
from jobx.kv.requests import event_log, lives, request_entity
from jobx.kv.store import STORE_FAULTS, CommitOutcome, Delete, Put, Store, Unit, Write
from jobx.system.backoff import doubled

#: Logs that are read in parallel.
READERS: Final = 4
#: How long an append that is not urgent waits for others.
LAZY_S: Final = 0.05
#: First and longest wait before a commit is tried again.
RETRY_S: Final = (0.2, 5.0)
#: After this long without a write, a probe checks whether the store takes writes.
PROBE_S: Final = 10.0

#: Events that are read together in search of one that shows progress; often it is the first.
_FEW: Final = 4

_log = logging.getLogger(__name__)

Deliver = Callable[[ActorAddress, object], None]


class _Append(Struct, frozen=True):
    """The writes of one event."""

    number: int
    unit: Unit


class _Appended(Struct):
    """The appends of one request since the last commit.

    Attributes:
        is_forgotten: Its owner no longer waits for it.
        is_in_doubt: Its first append may have been written.
    """

    owner: ActorAddress
    appends: list[_Append] = []
    is_forgotten: bool = False
    is_in_doubt: bool = False

    @property
    def is_new(self) -> bool:
        """Whether nothing of the request has been written."""
        return self.appends[0].number == 0 and not self.is_in_doubt


def _ignore(_: object) -> None:
    """Do nothing: nobody listens."""


class LogWriter:
    """Commits appends; runs on the node's loop, blocks only its own thread.

    Args:
        store: The store.
        loop: The node's event loop.
        deliver: Sends a message to an actor.
        hurry: Called when a commit should start in the loop's next turn.
        told: Called with the reason why nothing can be written, and with None once writes work.

    Attributes:
        stalled: Why the last commit failed; None if it did not.
    """

    def __init__(
        self,
        store: Store,
        loop: asyncio.AbstractEventLoop,
        deliver: Deliver,
        hurry: Callable[[], object] = lambda: None,
        told: Callable[[JobxError | None], object] = _ignore,
    ) -> None:
        self.stalled: JobxError | None = None
        self._store = store
        self._loop = loop
        self._deliver = deliver
        self._hurry = hurry
        self._told = told
        self._thread = SerialThread("log-writer", loop)
        # Logs are read in parallel, without delaying commits.
        self._read_threads = ThreadPoolExecutor(READERS, thread_name_prefix="log-reader")
        self._marks = 0
        self._unread: list[Callable[[], None]] = []  # reads that wait for marks
        self._pending: dict[RequestKey, _Appended] = {}
        self._flight: dict[RequestKey, _Appended] = {}
        self._refused: set[RequestKey] = set()  # whose owners have not been told yet
        self._readers: dict[RequestKey, tuple[ActorAddress, bool]] = {}
        self._timer: asyncio.Handle | None = None
        self._is_urgent = False
        self._is_committing = False
        self._failed = 0
        self._commits = 0
        self._probe_timer = loop.call_later(PROBE_S, self._look, 0)

    def append(
        self,
        key: RequestKey,
        owner: ActorAddress,
        number: int,
        writes: Sequence[Write],
        urgent: bool,
    ) -> None:
        """Write the unit of event ``number``; ``owner`` hears Committed or CommitRefused.

        After CommitRefused, further appends of the request are ignored until it is forgotten, so
        its log never continues after a gap.
        """
        if key in self._refused:
            return
        group = self._pending.get(key)
        if group is None:
            group = self._pending[key] = _Appended(owner)
        group.appends.append(_Append(number, writes))
        if not self._is_committing and not self._is_retrying:
            self._schedule(urgent)

    @property
    def _is_retrying(self) -> bool:
        return self.stalled is not None and self._timer is not None

    def forget(self, key: RequestKey) -> None:
        """Drop the unwritten units of a request, and the note that it was refused."""
        self._pending.pop(key, None)
        self._refused.discard(key)
        if key in self._flight:
            self._flight[key].is_forgotten = True

    def read(self, key: RequestKey, reply_to: ActorAddress, *, has_events: bool = True) -> None:
        """Read a request's log for a new owner; ``reply_to`` hears LogRead.

        Appends of the previous owner are written first, or refused. An owner that only ends the
        request needs no events.
        """
        if key in self._pending or key in self._flight:
            self._readers[key] = (reply_to, has_events)
            if not self._is_committing and not self._is_retrying:
                self._schedule(urgent=True)
        else:
            self._read(key, reply_to, has_events)

    def _read(self, key: RequestKey, reply_to: ActorAddress, has_events: bool) -> None:
        self._refused.discard(key)  # that refusal was for the previous owner

        def begin() -> None:
            read = partial(read_log, self._store, key, has_events=has_events)
            self._loop.run_in_executor(self._read_threads, read).add_done_callback(tell)

        def tell(found: asyncio.Future[LogRead]) -> None:
            if not found.cancelled():  # by close
                self._deliver(reply_to, found.result())

        if self._marks:
            self._unread.append(begin)
        else:
            begin()

    def mark(self, requests: Sequence[lives.OpenRequest]) -> None:
        """Mark recovered requests, before any later read."""
        self._marks += 1
        self._thread.call(lambda: lives.take_up(self._store, requests), self._marked)

    def _marked(self, _: object, error: BaseException | None) -> None:
        if error is not None:  # they continue; a death of the node counts for none of them
            _log.warning("open requests could not be marked: %s", error)
        self._marks -= 1
        if not self._marks:
            unread, self._unread = self._unread, []
            for begin in unread:
                begin()

    async def drain(self, is_over: Callable[[], bool]) -> bool:
        """Wait until everything is written; False if ``is_over`` said first that time is up."""
        while self._pending or self._flight:
            if is_over():
                return False
            await asyncio.sleep(0.005)
        return True

    def close(self) -> None:
        """Stop the thread; unwritten units are lost."""
        self._probe_timer.cancel()
        if self._timer is not None:
            self._timer.cancel()
        self._thread.close()
        self._read_threads.shutdown(cancel_futures=True)

    def _schedule(self, urgent: bool) -> None:
        if self._timer is not None:
            if self._is_urgent or not urgent:
                return
            self._timer.cancel()
        self._is_urgent = urgent
        if urgent:
            self._timer = self._loop.call_soon(self._flush)
            self._hurry()
        else:
            self._timer = self._loop.call_later(LAZY_S, self._flush)

    def _flush(self) -> None:
        self._timer = None
        if self._is_committing:
            return
        self._is_committing = True
        self._flight, self._pending = self._pending, {}
        chains = [[append.unit for append in group.appends] for group in self._flight.values()]
        chains = chains or [[[self._probe()]]]  # shows whether the store takes writes again
        self._thread.call(lambda: commit(self._store, chains), self._committed)

    def _probe(self) -> Write:
        """Return a probe for room; removals need none, so they prove nothing."""
        return Delete(keys.PROBE) if self.stalled is None else Put(keys.PROBE, b"")

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
        self._go_on(next(faults, None))
        for key in [key for key in self._readers if key not in self._pending]:
            self._read(key, *self._readers.pop(key))

    def _go_on(self, fault: JobxError | None) -> None:
        """Commit the remaining units, at once or after a pause."""
        before, self.stalled = self.stalled, fault
        if (before is None) != (fault is None):
            self._told(fault)
        if fault is not None:
            delay_s = doubled(RETRY_S[0], self._failed, RETRY_S[1])
            self._timer = self._loop.call_later(delay_s, self._flush)
            self._failed += 1
            return
        self._failed = 0
        if self._pending:
            self._schedule(urgent=True)

    def _settle(self, key: RequestKey, group: _Appended, outcome: CommitOutcome) -> None:
        """Report written units to the owner, keep those to retry, refuse the rest."""
        if outcome.done:
            self._deliver(group.owner, Committed(group.appends[outcome.done - 1].number))
            del group.appends[: outcome.done]
            group.is_in_doubt = False
        error = outcome.error
        if error is None or group.is_forgotten:
            return
        group.is_in_doubt |= isinstance(error, OutcomeUnknown)
        if group.is_new or not isinstance(error, STORE_FAULTS):
            self._pending.pop(key, None)
            self._refused.add(key)
            self._deliver(group.owner, CommitRefused(error))
            return
        newer = self._pending.get(key)
        if newer is not None:
            group.appends += newer.appends
        self._pending[key] = group


def has_progressed(store: Store, request: lives.OpenRequest) -> bool:
    """Return whether a request has made progress since it was marked; blocks."""
    since = event_log.read(
        store, request.workflow, request.request_id, request.mark.events - 1, page=_FEW
    )
    try:
        return shows_progress(str(record.get("event")) for _, record in since)
    except EntryDamaged:  # the reader of the log reports it
        return True


def read_log(store: Store, key: RequestKey, *, has_events: bool = True) -> LogRead:
    """Return the log of a request, and whatever else its coordinator needs; blocks."""
    try:
        return _read_log(store, key, has_events)
    except JobxError as error:
        return LogRead(key, None, error=error)
    except Exception as error:  # noqa: BLE001 - whoever waits for the log must hear of it
        return LogRead(key, None, error=InternalError(f"{type(error).__name__}: {error}"))


def _read_log(store: Store, key: RequestKey, has_events: bool) -> LogRead:
    """Read the log, then the entity, which then is no older than the last event."""
    if not has_events:
        next_number = event_log.next_number(store, *key)
        return LogRead(key, request_entity.get_whole(store, *key), next_number=next_number)
    fault: JobxError | None = None
    try:
        events, plan = _read_events(store, key)
        next_number = len(events)
    except (InvalidInput, EntryDamaged) as error:  # a later try would read the same
        fault, next_number = error, event_log.next_number(store, *key)
    request = request_entity.get_whole(store, *key)
    if fault is not None:
        return LogRead(key, request, next_number=next_number, error=fault)
    return LogRead(key, request, plan, events, next_number)


def _read_events(store: Store, key: RequestKey) -> tuple[list[Event], model.Plan]:
    found: list[Event] = []
    for number, record in event_log.read(store, *key):
        try:
            found.append(from_record(record))
        except EntryDamaged as error:
            raise type(error)(keys.event(*key, number), error.args[1]) from error
    if not found or not isinstance(found[0], Accepted):
        raise EntryDamaged(keys.event(*key, 0), "the log does not begin with accepted")
    plan = keys.plan(key.workflow, found[0].plan)
    entry = store.get(plan)
    if entry is None:
        raise EntryDamaged(plan, f"it is missing, and request {'/'.join(key)} has this plan")
    return found, decoded(model.Plan, entry)
