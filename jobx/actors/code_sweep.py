"""Removes plans and handler versions that nothing needs: no handler, no request, no node.

A plan is needed while it is current, was current a moment ago (a request with it may not be in the
store yet), or belongs to an open or kept request. Handlers and plans need code.

Other nodes of the store may know of a need that this one does not know yet. So what is unneeded
goes in the next sweep at the earliest, if it is unneeded then as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from jobx import model
from jobx.errors import EntryDamaged, FormUnknown
from jobx.handlers.authoring.library import Library, versions_of
from jobx.kv import keys
from jobx.kv.entities.references import read_all
from jobx.kv.entities.transactions import change
from jobx.kv.entries import decoded
from jobx.kv.prefixes import branches, scan
from jobx.kv.requests import kept_requests, request_entity
from jobx.kv.store import Delete, Store, Write

#: Keys that one commit removes; the next sweep removes more.
MAX_REMOVED: Final = 100
#: Unneeded keys of a workflow that are remembered until the next sweep.
MAX_SEEN: Final = 1000
#: Values that are read at once; each may be the source of a whole program.
_PAGE: Final = 8


def workflows(store: Store) -> Iterator[str]:
    """Yield the workflows that have plans or code, including deleted ones."""
    found = {b.split("/")[1] for prefix in ("plans/", "code/") for b in branches(store, prefix)}
    yield from sorted(found)


def sweep(
    store: Store, library: Library, workflow: str, before: frozenset[str]
) -> tuple[int, frozenset[str]]:
    """Remove plans and code of a workflow that were unneeded before and still are.

    Returns the number of removed keys, and the unneeded ones that are left. No handler changes
    during the decision (``change``), and no plan becomes current (``Library.holding``).
    """

    def plan() -> tuple[list[Write], tuple[int, frozenset[str]]]:
        unneeded = [*islice(_unneeded(store, workflow, digests, versions), MAX_SEEN)]
        gone = [key for key in unneeded if key in before][:MAX_REMOVED]
        left = frozenset(unneeded).difference(gone)
        return [Delete(key) for key in gone], (len(gone), left)

    with library.holding(workflow) as (digests, versions):
        return change(store, workflow, plan)


def _unneeded(store: Store, workflow: str, digests: set[str], versions: set[str]) -> Iterator[str]:
    """Yield keys of plans and code, given what the node itself needs."""
    needed, is_complete = set(versions), True
    opened: set[str] | None = None
    for entry in scan(store, keys.plan(workflow, ""), page=_PAGE):
        digest = entry.key.rsplit("/", 1)[1]
        if digest not in digests:
            if opened is None:  # before the kept ones: a request that ends is in one of the two
                opened = _opened(store, workflow)
            if digest not in opened and not kept_requests.has_plan(store, workflow, digest):
                yield entry.key
                continue
        try:
            needed |= versions_of(decoded(model.Plan, entry))
        except FormUnknown:  # a newer version knows what code it needs
            is_complete = False
        except EntryDamaged:  # its reader reports that
            continue
    if not is_complete:
        return
    needed |= {handler.version or "" for handler in read_all(store, model.Handler, workflow)}
    for entry in scan(store, keys.code(workflow, ""), page=_PAGE):
        if entry.key.rsplit("/", 1)[1] not in needed:
            yield entry.key


def _opened(store: Store, workflow: str) -> set[str]:
    """Return the plans of open requests."""
    found = request_entity.open_in(store, workflow)
    return {kept_requests.plan_of(store, workflow, request_id) for request_id in found}
