"""Pages of requests: those that a filter wants, newest first."""

from __future__ import annotations

from typing import Final

from jobx.errors import EntryDamaged
from jobx.kv import keys
from jobx.kv.requests import request_lists
from jobx.kv.requests.request_entity import known_of, new_id
from jobx.kv.requests.request_filter import Filter
from jobx.kv.store import Store
from jobx.model import Request, check_name

#: Bytes that the requests of one page take in the store.
PAGE_BYTES: Final = 1 << 20
#: Entries of an index that are read at once where not all of them fit.
_MORE: Final = 500
#: Most entries that are looked at for one page. One whose request is read counts as many.
_MOST_LOOKED: Final = 3000
_MISSED: Final = 20
#: How much later than its id says a request may be accepted, and how much earlier.
_LATE_S: Final = 10.0
_EARLY_S: Final = 1.0
_ALL: Final = Filter()


def page(
    store: Store,
    workflow: str,
    wanted: Filter = _ALL,
    *,
    after: str | None = None,
    limit: int = 50,
    damaged: list[EntryDamaged] | None = None,
) -> tuple[list[Request], str | None]:
    """Return requests of a workflow, newest first, and the id to go on behind, or None.

    If the indexes answer the filter, it reads only as many requests as it returns. Otherwise it
    looks at a bounded number of others, so there may be fewer than ``limit``, or none, and an id.

    Args:
        store: Where they are.
        workflow: Their workflow.
        wanted: Which ones. One that fits no more when it is read is omitted.
        after: The id that the previous page gave.
        limit: Largest number; fewer if they take more than ``PAGE_BYTES`` in the store.
        damaged: Collects the errors of unreadable requests, instead of raising them.
    """
    check_name("workflow", workflow)
    if after is not None:
        check_name("after", after)
    cursor, lowest = _bounds(wanted, after)
    at = request_lists.sources(store, workflow, wanted, cursor)
    shown: list[Request] = []
    left_bytes, looked, size = PAGE_BYTES, 0, limit + 1
    while True:
        found = request_lists.look(store, at, cursor, lowest, size)
        for request_id in found.ids:
            request, size_bytes = _read(store, workflow, request_id, damaged)
            if request is not None and wanted.fits(request):
                left_bytes -= size_bytes
                if len(shown) == limit or (left_bytes < 0 and shown):
                    return shown, cursor
                shown.append(request)
            else:
                looked += _MISSED
            cursor = request_id
            if looked >= _MOST_LOOKED:
                return shown, cursor
        if found.last is None:
            return shown, None
        cursor, size = found.last, _MORE
        looked += found.looked
        if looked >= _MOST_LOOKED:
            return shown, cursor


def _read(
    store: Store, workflow: str, request_id: str, damaged: list[EntryDamaged] | None
) -> tuple[Request | None, int]:
    """Return a request that is there and readable, and its size in the store."""
    try:
        entry = store.get(keys.entity("request", workflow, request_id))
        return (None, 0) if entry is None else (known_of(entry), len(entry.value))
    except EntryDamaged as error:
        if damaged is None:
            raise
        damaged.append(error)
        return None, 0


def _bounds(wanted: Filter, after: str | None) -> tuple[str | None, str]:
    """Return the ids between which requests of a time are: below the first, from the second on.

    An id has the time when a web worker read its request, and a node accepts it a little later, by
    its own clock.
    """
    lowest = ""
    if wanted.since_at is not None:
        lowest = new_id(max(0.0, wanted.since_at - _LATE_S), b"")
    if wanted.until_at is not None:
        until = new_id(max(0.0, wanted.until_at + _EARLY_S), b"")
        after = until if after is None else min(after, until)
    return after, lowest
