"""Kept requests: found by their end, by their plan and by their state.

This module builds writes. The caller commits them together with their requests.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from jobx.errors import Conflict, EntryDamaged, InvalidInput
from jobx.kv import keys
from jobx.kv.prefixes import branches, scan
from jobx.kv.requests import event_log, request_counts, request_index
from jobx.kv.requests.request_index import Row, row_of
from jobx.kv.store import Create, Delete, Entry, Put, Store, Write
from jobx.model import Request

#: The states of requests that have ended.
ENDED: Final = ("succeeded", "failed", "cancelled")
_PAGE: Final = 1000


class KeptMark(Struct, frozen=True, array_like=True):
    """The value of a kept request's key: everything that its removal must know."""

    state: str
    events: int
    has_delivery: bool = False
    #: The key of its Idempotency-Key, if it has one.
    idempotency: str = ""
    #: What the other indexes have of it; nothing of requests of versions before them.
    row: Row = Row()
    #: Of its log, result and large values; 0 of requests of versions before that.
    size_bytes: int = 0
    #: Whether nothing is left of it that users see, so that nobody can keep it any more.
    is_hidden: bool = False


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
        row: What the other indexes have of it.
        size_bytes: About the bytes of its log, result and large values.
        revision: Of its marker; None: it is not known where that is.
    """

    marker: str
    workflow: str
    request_id: str
    state: str
    events: int
    has_delivery: bool
    idempotency: str
    row: Row = Row()
    size_bytes: int = 0
    revision: int | None = None

    @property
    def is_pinned(self) -> bool:
        """Whether it never expires."""
        return f"/{keys.PINNED}" in self.marker


_DECODER: Final = msgspec.json.Decoder(KeptMark)


def begin_writes(
    request: Request, plan_digest: str, events: int, size_bytes: int = 0
) -> list[Write]:
    """Return the writes that list a finished request.

    Args:
        request: The finished request.
        plan_digest: Its plan, ``''`` for an unknown one.
        events: Number of events in its log.
        size_bytes: About the bytes that it takes.
    """
    names = request.workflow_name, request.request_id
    marker, mark = _mark(request, plan_digest, events)
    mark = replace(mark, size_bytes=size_bytes) if size_bytes else mark
    place = keys.newest_first(names[1])
    return [
        Create(marker, msgspec.json.encode(mark)),
        Create(keys.listed(names[0], request.state) + place, b""),
        *request_index.begin_writes(mark.row, names[0], place),
        request_counts.begin_write(mark.row, *names),
    ]


def _mark(request: Request, plan_digest: str, events: int) -> tuple[str, KeptMark]:
    """Return the key of a request in the index, and its value."""
    names = request.workflow_name, request.request_id
    idempotency = ""
    if request.idempotency_key is not None:
        idempotency = keys.idempotency(names[0], request.job_name, request.idempotency_key)
    marker = keys.kept_by(names[0], plan_digest, _end(request), names[1])
    has_delivery = request.destination is not None
    return marker, KeptMark(request.state, events, has_delivery, idempotency, row_of(request))


def _end(request: Request) -> str:
    """Return the part of a request's key that says when it expires."""
    finished_at = request.finished_at or 0.0
    if request.retention_s is None:
        return keys.instant(finished_at)
    return keys.expiry(finished_at + request.retention_s)


def expired(
    store: Store,
    before_at: float,
    limit: int,
    now_at: float = 0.0,
    damaged: list[EntryDamaged] | None = None,
) -> list[FinishedRequest]:
    """Return at most ``limit`` requests that have expired; oldest first of each plan.

    Args:
        store: The store.
        before_at: Those that ended before this have expired …
        limit: Largest number of requests.
        now_at: … unless they have a retention of their own, which is over now.
        damaged: Collects the errors of unreadable keys, instead of raising them.
    """
    found: list[FinishedRequest] = []
    for branch in branches(store, keys.KEPT, levels=2, damaged=damaged):
        own = branch + keys.EXPIRY
        for prefix, end in ((branch, keys.instant(before_at)), (own, keys.expiry(now_at))):
            if len(found) == limit:
                return found
            entries = _until(store, prefix, branch + end, limit - len(found), damaged)
            found += _readable(entries, damaged)
    return found


def _readable(
    entries: Iterable[Entry], damaged: list[EntryDamaged] | None
) -> Iterator[FinishedRequest]:
    for entry in entries:
        try:
            yield read(entry)
        except EntryDamaged as error:
            if damaged is None:
                raise
            damaged.append(error)


def _until(
    store: Store, prefix: str, end: str, limit: int, damaged: list[EntryDamaged] | None
) -> list[Entry]:
    """Return entries with a prefix up to a key.

    Mostly there is none. So the first one is read alone: on etcd's v2 API each end has a folder.
    """
    first = store.range(prefix, limit=1, damaged=damaged)
    if not first or first[0].key >= end:
        return []
    entries = store.range(prefix, limit=limit, damaged=damaged)
    return [entry for entry in entries if entry.key < end]


def find(store: Store, request: Request) -> FinishedRequest:
    """Return a finished request in the index of the janitor.

    One that was postponed is looked for among all of its workflow. If none is found, as 1.0.0 wrote
    it, its key stays, and the janitor removes it in time.
    """
    names = request.workflow_name, request.request_id
    prefix, end = f"{keys.KEPT}{names[0]}/", f"{_end(request)}/{names[1]}"
    for branch in branches(store, prefix):
        for place in (branch + end, f"{branch}{keys.PINNED}{end}"):
            entry = store.get(place)
            if entry is not None:
                return read(entry)
    for entry in scan(store, prefix, page=_PAGE):
        if entry.key.endswith(f"/{names[1]}"):
            return read(entry)
    marker, mark = _mark(request, "", 0)
    return _finished(marker, mark, None)


def has_plan(store: Store, workflow: str, plan_digest: str) -> bool:
    """Tell whether a kept request refers to a plan."""
    return bool(store.range(keys.kept_with(workflow, plan_digest), limit=1))


def drop_data_write(workflow: str, request_id: str) -> Write:
    """Return the write that has what the stages of a request yielded removed."""
    return Put(keys.unwanted(workflow, request_id), b"")


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
    return [Delete(kept.marker, entry.revision), Put(later, entry.value)]


def pin_writes(store: Store, kept: FinishedRequest, *, is_pinned: bool) -> list[Write]:
    """Return the writes that keep a request for ever, or as long as others again.

    None if it is so already. A Conflict, here or of the commit, means that it has been hidden,
    removed or postponed meanwhile.
    """
    entry = store.get(kept.marker)
    if entry is None or _mark_in(entry).is_hidden:
        raise Conflict(kept.marker)
    if kept.is_pinned == is_pinned:
        return []
    branch, end, request_id = kept.marker.rsplit("/", 2)
    end = f"{keys.PINNED}{end}" if is_pinned else end.removeprefix(keys.PINNED)
    writes: list[Write] = [Delete(kept.marker, entry.revision)]
    return [*writes, Put(f"{branch}/{end}/{request_id}", entry.value)]


def oldest(store: Store, branch: str, after: str | None, limit: int) -> list[FinishedRequest]:
    """Return the requests of a plan that ended first, without those with a retention of their own.

    Args:
        store: The store.
        branch: What the markers of the plan begin with.
        after: Only those behind this marker.
        limit: Largest number of them.
    """
    entries = store.range(branch, after=after, limit=limit)
    return [*_readable((one for one in entries if one.key < branch + keys.EXPIRY), [])]


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


def read(entry: Entry) -> FinishedRequest:
    """Return what a key of the index says of its request.

    Raises:
        EntryDamaged: It is no key of the index.
    """
    return _finished(entry.key, _mark_in(entry), entry.revision)


def _mark_in(entry: Entry) -> KeptMark:
    try:
        return _DECODER.decode(entry.value)
    except msgspec.DecodeError:  # only its removal depends on it
        return KeptMark("failed", 0)


def _finished(marker: str, mark: KeptMark, revision: int | None) -> FinishedRequest:
    workflow, _, _, request_id = keys.names(marker, 4)
    return FinishedRequest(
        *(marker, workflow, request_id, mark.state, mark.events, mark.has_delivery),
        *(mark.idempotency, mark.row, mark.size_bytes, revision),
    )
