"""Logs are read: whole, for a new coordinator, or as far as they show progress."""

from __future__ import annotations

from typing import Final

from jobx import model
from jobx.actors.messages import LogRead, RequestKey
from jobx.actors.recovery import shows_progress
from jobx.actors.request.events import Accepted, Event, from_record
from jobx.errors import EntryDamaged, InternalError, InvalidInput, JobxError
from jobx.kv import keys
from jobx.kv.entries import decoded
from jobx.kv.requests import event_log, lives, request_entity
from jobx.kv.store import Store

#: Events that are read together in search of one that shows progress; often it is the first.
_FEW: Final = 4


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
