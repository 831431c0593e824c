"""Looks for requests in the indexes, newest first, a bounded number of entries at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from jobx.kv import keys
from jobx.kv.prefixes import branches
from jobx.kv.requests import kept_requests, lives, request_index
from jobx.kv.requests.request_filter import Filter, error_digest
from jobx.kv.requests.request_index import Row
from jobx.kv.store import Store

#: Entries of each index that are looked at to find out which of several has the fewest.
_PROBE: Final = 64


class Sources(Struct, frozen=True):
    """Where the requests of a list are looked for.

    Attributes:
        workflow: Their workflow.
        wanted: What they have in common.
        error: Digest of the type of their error; empty: any.
        is_open: Whether open requests may be among them.
        prefixes: Those of finished requests.
        rows: What an entry without a row says, by prefix.
    """

    workflow: str
    wanted: Filter
    error: str
    is_open: bool
    prefixes: tuple[str, ...]
    rows: dict[str, Row]


class FoundRequests(Struct, frozen=True):
    """What was found.

    Attributes:
        ids: Requests that the filter may show, newest first.
        last: Everything before this id was looked at; None: everything was.
        looked: Number of entries that were looked at.
    """

    ids: list[str]
    last: str | None
    looked: int


def sources(store: Store, workflow: str, wanted: Filter, after: str | None) -> Sources:
    """Return where to look for requests behind an id: in the index that has the fewest of them."""
    error = "" if wanted.error is None else error_digest(wanted.error)
    states = [state for state in kept_requests.ENDED if wanted.state in (None, state)]
    rows: dict[str, Row] = {}
    choices: list[tuple[str, ...]] = []
    if wanted.job is not None:
        for digest in sorted(wanted.arguments):
            choices.append((keys.by_argument(workflow, wanted.job, digest),))
        rows = {keys.by_job(workflow, wanted.job, one): Row(wanted.job, one) for one in states}
    if error:
        choices.append((keys.by_error(workflow, error),))
    if rows:
        choices.append(tuple(rows))
    if not choices:
        choices.append(tuple(keys.listed(workflow, state) for state in states))
    is_open = wanted.state in (None, "running") and not error
    prefixes = _smallest(store, choices, after) if states else ()
    return Sources(workflow, wanted, error, is_open, prefixes, rows)


def _smallest(store: Store, choices: list[tuple[str, ...]], after: str | None) -> tuple[str, ...]:
    """Return the choice with the fewest entries behind an id, the first of equal ones."""
    if len(choices) == 1:
        return choices[0]

    def size(prefixes: tuple[str, ...]) -> int:
        return sum(
            len(store.range(one, after=_behind(one, after), limit=_PROBE)) for one in prefixes
        )

    return min(choices, key=size)


def _behind(prefix: str, after: str | None) -> str | None:
    return None if after is None else prefix + keys.newest_first(after)


def look(store: Store, at: Sources, after: str | None, lowest: str, limit: int) -> FoundRequests:
    """Return requests behind an id, from up to ``limit`` entries of each source.

    Open ones are read first, so one that ends meanwhile is found twice instead of never.

    Args:
        store: The store.
        at: Where to look.
        after: Only ids lower than this; None: all.
        lowest: Only ids from this on.
        limit: How many entries of a source are read.
    """
    found: dict[str, Row | None] = {}
    ends: list[str] = []
    looked = 0
    readers = _open(store, at, after, limit) if at.is_open else iter(())
    for part in readers:
        looked += _take(found, ends, part, limit)
    for prefix in at.prefixes:
        looked += _take(found, ends, _ended(store, at, prefix, after, limit), limit)
    last = max(ends, default="")
    least = max(last, lowest)
    fitting = [
        request_id
        for request_id, row in found.items()
        if request_id >= least and (row is None or row.may_fit(at.wanted, at.error))
    ]
    return FoundRequests(sorted(fitting, reverse=True), last if last > lowest else None, looked)


def _take(
    found: dict[str, Row | None], ends: list[str], part: dict[str, Row | None], limit: int
) -> int:
    """Add what one source has; if it may have more, add the last id to ``ends``."""
    found.update(part)
    if len(part) >= limit:
        ends.append(min(part))
    return len(part)


def _open(
    store: Store, at: Sources, after: str | None, limit: int
) -> Iterator[dict[str, Row | None]]:
    """Yield the newest open requests on each node."""
    for node in branches(store, keys.OPEN):
        prefix = f"{node}{at.workflow}/"
        cursor = None if after is None else prefix + after
        entries = store.range(prefix, after=cursor, limit=limit, reverse=True)
        yield {one.key.removeprefix(prefix): lives.row_of(one.value) for one in entries}


def _ended(
    store: Store, at: Sources, prefix: str, after: str | None, limit: int
) -> dict[str, Row | None]:
    """Return the newest finished requests in an index."""
    known = at.rows.get(prefix)
    return {
        keys.request_id_of(one.key.removeprefix(prefix)): request_index.decode(one.value) or known
        for one in store.range(prefix, after=_behind(prefix, after), limit=limit)
    }
