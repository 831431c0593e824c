"""Indexes of kept requests: by their end, by their plan and by their state.

This module builds writes. The caller commits them together with their requests.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import Struct

from jobx.errors import InvalidInput
from jobx.kv import keys
from jobx.kv.prefixes import branches
from jobx.kv.requests import event_log
from jobx.kv.store import Create, Delete, DeletePrefix, Put, Store, Write
from jobx.model import Request

#: The states of requests that have ended.
ENDED: Final = ("succeeded", "failed", "cancelled")


class _Mark(Struct, frozen=True, array_like=True):
    """The value of a kept request's key: everything that its removal must know."""

    state: str
    events: int
    has_delivery: bool = False
    #: The key of its Idempotency-Key, if it has one.
    idempotency: str = ""


class FinishedRequest(Struct, frozen=True):
    """A finished request in the index of the janitor.

    Attributes:
        marker: Its key in the index.
        workflow: Its workflow.
        request_id: Its id.
        state: Its last state.
        events: Number of events in its log.
        has_delivery: Whether its result has a delivery.
        idempotency: The key of its Idempotency-Key, or empty.
    """

    marker: str
    workflow: str
    request_id: str
    state: str
    events: int
    has_delivery: bool
    idempotency: str


_DECODER: Final = msgspec.json.Decoder(_Mark)


def begin_writes(request: Request, plan_digest: str, events: int) -> list[Write]:
    """Return the writes that list a finished request.

    Args:
        request: The finished request.
        plan_digest: Its plan, ``''`` for an unknown one.
        events: Number of events in its log.
    """
    marker, mark = _mark(request, plan_digest, events)
    listed_key = keys.listed(request.workflow_name, request.state, request.request_id)
    return [Create(marker, msgspec.json.encode(mark)), Create(listed_key, b"")]


def _mark(request: Request, plan_digest: str, events: int) -> tuple[str, _Mark]:
    """Return the key of a request in the index, and its value."""
    names = request.workflow_name, request.request_id
    idempotency = ""
    if request.idempotency_key is not None:
        idempotency = keys.idempotency(names[0], request.job_name, request.idempotency_key)
    marker = keys.kept_by(names[0], plan_digest, _end(request), names[1])
    return marker, _Mark(request.state, events, request.destination is not None, idempotency)


def _end(request: Request) -> str:
    """Return the part of a request's key that says when it expires."""
    finished_at = request.finished_at or 0.0
    if request.retention_s is None:
        return keys.instant(finished_at)
    return keys.expiry(finished_at + request.retention_s)


def expired(
    store: Store, before_at: float, limit: int, now_at: float = 0.0
) -> list[FinishedRequest]:
    """Return at most ``limit`` requests that have expired; oldest first of each plan.

    Args:
        store: The store.
        before_at: Those that ended before this have expired …
        limit: Largest number of requests.
        now_at: … unless they have a retention of their own, which is over now.
    """
    found: list[FinishedRequest] = []
    for branch in branches(store, keys.KEPT, levels=2):
        own = branch + keys.EXPIRY
        for prefix, end in ((branch, keys.instant(before_at)), (own, keys.expiry(now_at))):
            if len(found) == limit:
                return found
            for entry in store.range(prefix, limit=limit - len(found)):
                if entry.key >= branch + end:
                    break
                found.append(_read(entry.key, entry.value))
    return found


def find(store: Store, request: Request) -> FinishedRequest:
    """Return a finished request in the index of the janitor.

    If its key does not match its end, the key stays, and the janitor removes it in time.
    """
    names = request.workflow_name, request.request_id
    end = _end(request)
    for branch in branches(store, f"{keys.KEPT}{names[0]}/"):
        entry = store.get(f"{branch}{end}/{names[1]}")
        if entry is not None:
            return _read(entry.key, entry.value)
    marker, mark = _mark(request, "", 0)
    return FinishedRequest(marker, *names, *msgspec.structs.astuple(mark))


def has_plan(store: Store, workflow: str, plan_digest: str) -> bool:
    """Tell whether a kept request refers to a plan."""
    return bool(store.range(keys.kept_with(workflow, plan_digest), limit=1))


def purge_writes(kept: FinishedRequest) -> list[Write]:
    """Return the writes that remove all traces of a request from the store."""
    return [
        *hide_writes(kept),
        DeletePrefix(keys.log(kept.workflow, kept.request_id)),
        Delete(kept.marker),
    ]


def hide_writes(kept: FinishedRequest) -> list[Write]:
    """Return the writes that remove a request, except its log and its key in the index."""
    names = kept.workflow, kept.request_id
    writes: list[Write] = [
        Delete(keys.entity("request", *names)),
        Delete(keys.listed(names[0], kept.state, names[1])),
    ]
    if kept.has_delivery:
        writes.append(Delete(keys.delivery(*names)))
    if kept.idempotency:
        writes.append(Delete(kept.idempotency))
    return writes


def log_writes(kept: FinishedRequest, first: int, limit: int) -> list[Write]:
    """Return the writes that remove up to ``limit`` events of a log from number ``first`` on."""
    stop = min(first + limit, kept.events)
    names = kept.workflow, kept.request_id
    return [Delete(keys.event(*names, number)) for number in range(first, stop)]


def postpone_writes(
    store: Store, kept: FinishedRequest, until_at: float, retention_s: float
) -> list[Write]:
    """Return the writes that make a request expire at another time.

    Args:
        store: The store.
        kept: The request.
        until_at: When it is to expire.
        retention_s: How long requests are kept that have no retention of their own.
    """
    entry = store.get(kept.marker)
    if entry is None:
        return []
    branch, before, request_id = kept.marker.rsplit("/", 2)
    is_own = before.startswith(keys.EXPIRY)
    end = keys.expiry(until_at) if is_own else keys.instant(until_at - retention_s)
    later = f"{branch}/{end}/{request_id}"
    return [Delete(kept.marker), Put(later, entry.value)]


def plan_of(store: Store, workflow: str, request_id: str) -> str:
    """Return the digest of a request's plan; ``''`` if its log does not have it."""
    return str(accepted_of(store, workflow, request_id).get("plan", ""))


def accepted_of(store: Store, workflow: str, request_id: str) -> dict[str, Any]:
    """Return the plain values of a request's first event; none if it cannot be read."""
    first = store.get(keys.event(workflow, request_id, 0))
    try:
        record = event_log.decode_record(first.value) if first is not None else {}
    except InvalidInput:
        return {}
    return record if isinstance(record, dict) else {}


def listed(
    store: Store, workflow: str, states: tuple[str, ...], after: str | None, limit: int
) -> list[str]:
    """Return ids of requests in these states, newest first.

    Args:
        store: Where they are.
        workflow: Their workflow.
        states: Their states; ``running`` is one.
        after: Only those after this id.
        limit: Largest number of ids.
    """
    found: set[str] = set()
    if (
        "running" in states
    ):  # first, so that one that ends meanwhile is found twice instead of never
        found.update(_running(store, workflow, after, limit))
    for state in ENDED:
        if state in states:
            prefix = keys.listed(workflow, state)
            cursor = prefix + keys.newest_first(after) if after is not None else None
            entries = store.range(prefix, after=cursor, limit=limit)
            found.update(keys.request_id_of(e.key.removeprefix(prefix)) for e in entries)
    return sorted(found, reverse=True)[:limit]


def _running(store: Store, workflow: str, after: str | None, limit: int) -> Iterator[str]:
    """Yield the newest open requests of a workflow on each node."""
    for node in branches(store, keys.OPEN):
        prefix = f"{node}{workflow}/"
        cursor = prefix + after if after is not None else None
        for entry in store.range(prefix, after=cursor, limit=limit, reverse=True):
            yield entry.key.removeprefix(prefix)


def _read(marker: str, value: bytes) -> FinishedRequest:
    _, workflow, _, _, request_id = marker.split("/")
    try:
        mark = _DECODER.decode(value)
    except msgspec.DecodeError:  # only its removal depends on it
        mark = _Mark("failed", 0)
    return FinishedRequest(marker, workflow, request_id, *msgspec.structs.astuple(mark))


def upgrade(store: Store, limit: int) -> list[list[Write]]:
    """Return the writes that list up to ``limit`` requests that 1.0.0 finished; none at the end.

    One list of writes a request.
    """
    units: list[list[Write]] = []
    for entry in store.range(keys.FINISHED, limit=limit):
        _, expires_ms, workflow, request_id = entry.key.split("/")
        writes: list[Write] = [Delete(entry.key)]
        found = store.get(keys.entity("request", workflow, request_id))
        if found is not None:
            request = _old(found.value, workflow, request_id, int(expires_ms) / 1000)
            events = event_log.next_number(store, workflow, request_id)
            writes += begin_writes(request, plan_of(store, workflow, request_id), events)
        units.append(writes)
    return units


def is_upgraded(store: Store) -> bool:
    """Tell whether every request that 1.0.0 finished is listed."""
    return not store.range(keys.FINISHED, limit=1)


def _old(value: bytes, workflow: str, request_id: str, expires_at: float) -> Request:
    try:
        return msgspec.json.decode(value, type=Request)
    except msgspec.DecodeError:  # it is listed nevertheless, so that it expires
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
