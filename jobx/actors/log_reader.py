"""Logs are read: whole, for a new coordinator, or as far as they show progress."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from thespian.actors import ActorAddress

from jobx import model
from jobx.actors.messages import LogRead, RequestKey
from jobx.actors.recovery import shows_progress
from jobx.actors.request.events import Accepted, Event, from_record
from jobx.errors import EntryDamaged, InternalError, InvalidInput, JobxError
from jobx.kv import keys
from jobx.kv.entries import decoded
from jobx.kv.requests import event_log, lives, request_entity
from jobx.kv.store import Store

#: Logs that are read in parallel.
READERS: Final = 4
#: Events that are read together in search of one that shows progress; often it is the first.
_FEW: Final = 4


class LogReader:
    """Reads logs for new coordinators in threads of its own, which delay no commit.

    Args:
        store: The store.
        loop: The node's event loop.
        when_marked: Calls what it is given once the marks are written that a read must follow.
        deliver: Sends a message to an actor.
    """

    def __init__(
        self,
        store: Store,
        loop: asyncio.AbstractEventLoop,
        when_marked: Callable[[Callable[[], None]], None],
        deliver: Callable[[ActorAddress, object], None],
    ) -> None:
        self._store = store
        self._loop = loop
        self._when_marked = when_marked
        self._deliver = deliver
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="log-reader")

    def read(self, key: RequestKey, reply_to: ActorAddress, *, has_events: bool) -> None:
        """Read a request's log; ``reply_to`` hears LogRead."""

        def begin() -> None:
            read = partial(read_log, self._store, key, has_events=has_events)
            self._loop.run_in_executor(self._threads, read).add_done_callback(tell)

        def tell(found: asyncio.Future[LogRead]) -> None:
            if not found.cancelled():  # by close
                self._deliver(reply_to, found.result())

        self._when_marked(begin)

    def close(self) -> None:
        """Begin no further read."""
        self._threads.shutdown(cancel_futures=True)


def has_progressed(store: Store, request: lives.OpenRequest) -> bool:
    """Return whether a request has made progress since it was marked; blocks."""
    since = event_log.kinds(
        store, request.workflow, request.request_id, request.mark.events - 1, page=_FEW
    )
    try:
        return shows_progress(since)
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
