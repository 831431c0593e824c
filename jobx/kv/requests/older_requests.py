"""Builds the writes that list and index requests which older versions of JobX finished."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import msgspec
from msgspec.structs import replace

from jobx.errors import UNREADABLE, EntryDamaged
from jobx.kv import keys
from jobx.kv.prefixes import scan
from jobx.kv.requests import event_log, kept_requests, request_counts, request_index
from jobx.kv.requests.kept_requests import FinishedRequest, KeptMark
from jobx.kv.requests.request_index import row_of
from jobx.kv.store import Delete, Entry, Replace, Store, Write
from jobx.model import Request


def unindexed(store: Store, after: str | None, limit: int) -> tuple[list[list[Write]], str | None]:
    """Return the writes that put kept requests of older versions into the other indexes.

    One list of writes a request. A Conflict means that it has been removed or postponed.

    Args:
        store: The store.
        after: The marker to go on behind; None: from the first on.
        limit: How many markers are looked at.

    Returns:
        The writes, and the last marker that was looked at; None: there are no more.
    """
    entries = store.range(keys.KEPT, after=after, limit=limit)
    units = []
    for entry in entries:
        kept = _without_row(entry)
        found = kept and store.get(keys.entity("request", kept.workflow, kept.request_id))
        if kept and found:
            units.append(_index_writes(kept, entry, found))
    return units, entries[-1].key if len(entries) == limit else None


def _without_row(entry: Entry) -> FinishedRequest | None:
    """Return a request that is not in the other indexes; the janitor names what is none."""
    try:
        kept = kept_requests.read(entry)
    except EntryDamaged:
        return None
    return None if kept.row.job else kept


def _index_writes(kept: FinishedRequest, entry: Entry, found: Entry) -> list[Write]:
    names = kept.workflow, kept.request_id
    row = replace(row_of(_old(found.value, *names, 0.0)), state=kept.state)
    own = kept.has_delivery, kept.idempotency, row, kept.size_bytes
    mark = KeptMark(kept.state, kept.events, *own)
    return [
        *request_index.begin_writes(row, names[0], keys.newest_first(names[1])),
        request_counts.begin_write(row, *names),
        Replace(entry.key, msgspec.json.encode(mark), entry.revision),
    ]


def upgrade(store: Store, limit: int) -> list[list[Write]]:
    """Return the writes that list up to ``limit`` requests that 1.0.0 finished; none at the end.

    One list of writes a request.
    """
    units: list[list[Write]] = []
    for entry, expires_ms, workflow, request_id in islice(_finished(store), limit):
        writes: list[Write] = [Delete(entry.key)]
        found = store.get(keys.entity("request", workflow, request_id))
        if found is not None:
            request = _old(found.value, workflow, request_id, expires_ms / 1000)
            events = event_log.next_number(store, workflow, request_id)
            plan = kept_requests.plan_of(store, workflow, request_id)
            writes += kept_requests.begin_writes(request, plan, events)
        units.append(writes)
    return units


def is_upgraded(store: Store) -> bool:
    """Tell whether every request that 1.0.0 finished is listed."""
    return next(_finished(store), None) is None


def _finished(store: Store) -> Iterator[tuple[Entry, int, str, str]]:
    """Yield what 1.0.0 wrote of finished requests: when they expire, their workflow and id."""
    for entry in scan(store, keys.FINISHED, damaged=[]):
        _, expires_ms, *names = entry.key.split("/")
        if len(names) == 2 and expires_ms.isascii() and expires_ms.isdecimal():
            yield entry, int(expires_ms), names[0], names[1]


def _old(value: bytes, workflow: str, request_id: str, expires_at: float) -> Request:
    try:
        return msgspec.json.decode(value, type=Request)
    except UNREADABLE:  # it is listed nevertheless, so that it expires
        return Request(
            workflow_name=workflow,
            request_id=request_id,
            job_name="unknown",
            invocation_id="m0",
            state="failed",
            is_done=True,
            accepted_at=expires_at,
            finished_at=expires_at,
        )
