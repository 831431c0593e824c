"""Counters of kept requests by job and state.

Two ends never write the same key: each leaves a *change*, in a key of its own, together with
whatever it counts. Changes are then added to the counters, by one node at a time or by several: a
counter is replaced only if nobody else has replaced it since, together with the removal of the
changes that it contains. So no kill, repeat or race counts anything twice or never.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from jobx.errors import UNREADABLE, Conflict, EntryDamaged
from jobx.kv import keys
from jobx.kv.prefixes import branches, scan
from jobx.kv.requests.request_index import Row
from jobx.kv.store import Create, Delete, Entry, Put, Replace, Store, Write

#: Numbers of requests by state, by job.
Counts: TypeAlias = dict[str, Counter[str]]

#: Changes that one commit adds, at most.
_BATCH: Final = 500
#: How often counters and changes are read again because they changed in between.
_TRIES: Final = 5
_MORE: Final = "+"
_LESS: Final = "-"
_COUNTS: Final = msgspec.json.Decoder(dict[str, int])

_log = logging.getLogger(__name__)


def begin_write(row: Row, workflow: str, request_id: str) -> Write:
    """Return the write that counts a finished request."""
    key = f"{keys.uncounted(workflow, row.job)}{request_id}{_MORE}"
    return Put(key, row.state.encode())


def end_write(row: Row, workflow: str, request_id: str) -> Write:
    """Return the write that counts it no longer; its unit must be possible only once."""
    key = f"{keys.uncounted(workflow, row.job)}{request_id}{_LESS}"
    return Put(key, row.state.encode())


def read(store: Store, workflow: str, job: str | None = None) -> Counts:
    """Return the numbers of finished requests that are kept, by job and state."""
    found: Counts = {}
    for _ in range(_TRIES):
        before = _counters(store, workflow, job)
        found = {_last(one.key): _counted(one) for one in before}
        for change in scan(store, keys.uncounted(workflow, job or ""), page=_BATCH):
            _add(found.setdefault(change.key.split("/")[2], Counter()), change)
        after = _counters(store, workflow, job)
        if [one.revision for one in before] == [one.revision for one in after]:
            break
    return {name: +one for name, one in found.items()}


def fold(store: Store) -> int:
    """Add changes to their counters, up to one batch a job; return how many."""
    return sum(fold_job(store, prefix, []) for prefix in waiting(store, []))


def waiting(store: Store, damaged: list[EntryDamaged]) -> list[str]:
    """Return what the changes of each job begin with; ``damaged`` collects unreadable ones."""
    return list(branches(store, keys.UNCOUNTED, levels=2, damaged=damaged))


def fold_job(store: Store, prefix: str, damaged: list[EntryDamaged]) -> int:
    """Add up to one batch of changes of a job to its counter; return how many.

    Args:
        store: Where they are.
        prefix: What the changes begin with.
        damaged: Collects the errors of unreadable ones, which stay.

    Raises:
        EntryDamaged: The counter cannot be read.
    """
    workflow, job = keys.names(prefix.removesuffix("/"), 2)
    key = keys.counts(workflow, job)
    entry = store.get(key)  # before the changes: else it might contain some of them already
    limit = min(_BATCH, store.limits.writes - 1)
    changes = store.range(keys.uncounted(workflow, job), limit=limit, damaged=damaged)
    if not changes:
        return 0
    total = Counter[str]() if entry is None else _counted(entry)
    for change in changes:
        _add(total, change)
    try:
        store.commit(_fold_writes(key, entry, total, changes))
    except Conflict:  # another node has added them
        return 0
    return len(changes)


def _fold_writes(
    key: str, entry: Entry | None, total: Counter[str], changes: Sequence[Entry]
) -> list[Write]:
    """Return the writes of a counter; it exists as long as it counts something.

    Where there is none, there may have been one meanwhile. So then all changes must still be there.
    """
    body = msgspec.json.encode({state: count for state, count in total.items() if count})
    if entry is not None:
        is_over = not any(total.values())
        counter = Delete(key, entry.revision) if is_over else Replace(key, body, entry.revision)
        return [*(Delete(one.key) for one in changes), counter]
    removals: list[Write] = [Delete(one.key, one.revision) for one in changes]
    return [Create(key, body), *removals] if any(total.values()) else removals


def _counters(store: Store, workflow: str, job: str | None) -> list[Entry]:
    if job is None:
        return list(scan(store, keys.counts(workflow)))
    entry = store.get(keys.counts(workflow, job))
    return [] if entry is None else [entry]


def _counted(entry: Entry) -> Counter[str]:
    try:
        return Counter(_COUNTS.decode(entry.value))
    except UNREADABLE as error:
        _log.warning("the counters %s cannot be read and begin anew: %s", entry.key, error)
        return Counter()


def _add(total: Counter[str], change: Entry) -> None:
    total[change.value.decode(errors="replace")] += 1 if change.key.endswith(_MORE) else -1


def _last(key: str) -> str:
    return key.rpartition("/")[2]
