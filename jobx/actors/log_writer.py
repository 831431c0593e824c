"""The log writer: many requests append, one commit at a time syncs them to disk together.

Appends collect while a commit is under way and go out with the next one (group commit). All
that one request appended meanwhile is one group: it becomes durable together or not at all.
When the store has no room or does not answer, what was accepted is kept and tried again; a
request that is not durable yet is refused instead, so that its caller hears of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct
from thespian.actors import ActorAddress

from jobx import model
from jobx.actors.messages import CommitRefused, Committed, LogRead, RequestKey
from jobx.actors.request.events import Accepted, Event, from_record
from jobx.actors.threads import SerialThread
from jobx.errors import Conflict, InternalError, InvalidInput, JobxError
from jobx.kv import keys, log, requests
from jobx.kv.store import Store, Write

#: How long an append that is not urgent waits for company.
LAZY_S: Final = 0.05
#: First and longest wait before a commit is tried again.
RETRY_S: Final = (0.2, 5.0)

_log = logging.getLogger(__name__)

Deliver = Callable[[ActorAddress, object], None]


class _Group(Struct):
    """What one request appended since the last commit."""

    owner: ActorAddress
    first: int
    number: int
    writes: list[Write] = []
    is_forgotten: bool = False


class LogWriter:
    """Commits appends; runs on the node's loop, blocks only its own thread.

    Args:
        store: Where they go.
        loop: The node's.
        deliver: Sends a message to an actor.
        hurry: Called when a commit is to begin in the loop's next turn.

    Attributes:
        stalled: Why the last commit failed, None when it did not.
    """

    def __init__(
        self,
        store: Store,
        loop: asyncio.AbstractEventLoop,
        deliver: Deliver,
        hurry: Callable[[], object] = lambda: None,
    ) -> None:
        self.stalled: JobxError | None = None
        self._store = store
        self._loop = loop
        self._deliver = deliver
        self._hurry = hurry
        self._thread = SerialThread("log-writer", loop)
        self._pending: dict[RequestKey, _Group] = {}
        self._flight: dict[RequestKey, _Group] = {}
        self._refused: set[RequestKey] = set()  # whose owners have not heard of it yet
        self._readers: dict[RequestKey, ActorAddress] = {}
        self._timer: asyncio.Handle | None = None
        self._is_urgent = False
        self._retry_s = RETRY_S[0]

    def append(
        self,
        key: RequestKey,
        owner: ActorAddress,
        number: int,
        writes: Sequence[Write],
        urgent: bool,
    ) -> None:
        """Write what belongs to event ``number``; ``owner`` hears Committed or CommitRefused.

        After CommitRefused nothing more is taken of a request until it is forgotten, so its log
        never goes on behind a gap.
        """
        if key in self._refused:
            return
        group = self._pending.get(key)
        if group is None:
            group = self._pending[key] = _Group(owner, number, number)
        group.number = number
        group.writes.extend(writes)
        if not self._flight and not self._is_retrying:
            self._schedule(urgent)

    @property
    def _is_retrying(self) -> bool:
        return self.stalled is not None and self._timer is not None

    def forget(self, key: RequestKey) -> None:
        """Drop what is not written yet of a request, and that it was refused."""
        self._pending.pop(key, None)
        self._refused.discard(key)
        if key in self._flight:
            self._flight[key].is_forgotten = True

    def read(self, key: RequestKey, reply_to: ActorAddress) -> None:
        """Read a request's log for a new owner; ``reply_to`` hears LogRead.

        What the owner before appended is written first, or refused.
        """
        if key in self._pending or key in self._flight:
            self._readers[key] = reply_to
            if not self._flight and not self._is_retrying:
                self._schedule(urgent=True)
        else:
            self._read(key, reply_to)

    def _read(self, key: RequestKey, reply_to: ActorAddress) -> None:
        self._refused.discard(key)  # that was for the owner before
        self._thread.call(
            lambda: read_log(self._store, key), lambda found, _: self._deliver(reply_to, found)
        )

    async def drain(self, timeout_s: float) -> bool:
        """Wait until everything is written; False when it is not in time."""
        deadline = self._loop.time() + timeout_s
        while self._pending or self._flight:
            if self._loop.time() > deadline:
                return False
            await asyncio.sleep(0.005)
        return True

    def close(self) -> None:
        """Stop the thread; what is not written is lost to this process, not to the log."""
        if self._timer is not None:
            self._timer.cancel()
        self._thread.close()

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
        if self._flight:
            return
        if not self._pending:
            self.stalled = None  # nothing is left to try it with: who comes next will see
            return
        self._flight, self._pending = self._pending, {}
        groups = [group.writes for group in self._flight.values()]
        self._thread.call(lambda: self._store.commit_many(groups), self._committed)

    def _committed(
        self, conflicts: list[Conflict | None] | None, error: BaseException | None
    ) -> None:
        flight, self._flight = self._flight, {}
        if conflicts is not None:
            self.stalled = None
            self._retry_s = RETRY_S[0]
            for (key, group), conflict in zip(flight.items(), conflicts, strict=True):
                if conflict is None:
                    self._deliver(group.owner, Committed(group.number))
                else:
                    self._refuse(key, group, conflict)
            if self._pending:
                self._schedule(urgent=True)
        elif isinstance(error, JobxError):
            self._keep(flight, error)
        else:  # a fault of ours; what was accepted must not wait for ever because of it
            _log.error("a commit failed", exc_info=error)
            self._keep(flight, InternalError(f"a commit failed: {error!r}"))
        for key in [key for key in self._readers if key not in self._pending]:
            self._read(key, self._readers.pop(key))

    def _refuse(self, key: RequestKey, group: _Group, error: JobxError) -> None:
        if group.is_forgotten:
            return
        self._pending.pop(key, None)
        self._refused.add(key)
        self._deliver(group.owner, CommitRefused(error))

    def _keep(self, flight: dict[RequestKey, _Group], error: JobxError) -> None:
        """Refuse requests that are not durable yet, keep the writes of all others."""
        self.stalled = error
        for key, group in flight.items():
            if group.first == 0:
                self._refuse(key, group, error)
            if group.first == 0 or group.is_forgotten:
                continue
            newer = self._pending.get(key)
            if newer is not None:
                group.number = newer.number
                group.writes.extend(newer.writes)
            self._pending[key] = group
        self._timer = self._loop.call_later(self._retry_s, self._flush)
        self._retry_s = min(self._retry_s * 2, RETRY_S[1])


def read_log(store: Store, key: RequestKey) -> LogRead:
    """Return the log of a request, with what its coordinator needs to go on; blocks."""
    try:
        return _read_log(store, key)
    except JobxError as error:
        return LogRead(key, None, error=error)
    except Exception as error:  # noqa: BLE001 - whoever waits for the log must hear of it
        return LogRead(key, None, error=InternalError(f"{type(error).__name__}: {error}"))


def _read_log(store: Store, key: RequestKey) -> LogRead:
    request = requests.get(store, *key)
    next_number = log.next_number(store, *key)
    try:
        events, plan = _read_events(store, key)
    except (InternalError, InvalidInput) as error:  # no later try reads anything else
        return LogRead(key, request, next_number=next_number, error=error)
    return LogRead(key, request, plan, events, next_number)


def _read_events(store: Store, key: RequestKey) -> tuple[list[Event], model.Plan]:
    name = "/".join(key)
    found = [from_record(record) for _, record in log.read(store, *key)]
    if not found or not isinstance(found[0], Accepted):
        raise InternalError(f"the log of request {name} does not begin with accepted")
    entry = store.get(keys.plan(key.workflow, found[0].plan))
    if entry is None:
        raise InternalError(f"the plan of request {name} is gone")
    return found, model.decode(model.Plan, entry.key, entry.value)
