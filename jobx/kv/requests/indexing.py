"""Puts requests that an older version finished into the indexes, a few at a time.

How far that is stands in the store, so it goes on after a kill. A node of an older version may work
on the store later: the next start of this version then begins anew.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from jobx.errors import UNREADABLE, Conflict
from jobx.kv import keys
from jobx.kv.requests import older_requests
from jobx.kv.store import Create, Entry, Put, Replace, Store, Write

REASON: Final = "requests of an older version are being indexed, and some may be missing"


class Progress(Struct, frozen=True):
    """How far it is: everything up to the marker ``after`` was looked at.

    Markers move when their requests are kept for longer. So it is done when all of them were looked
    at once more, and nothing was found (``has_found``).
    """

    after: str = ""
    is_done: bool = False
    has_found: bool = False


class IndexStep(NamedTuple):
    """What is done next.

    Attributes:
        units: The writes.
        progress: How far it is once they are done.
        since: The revision of the note from which this goes on; 0: there was none.
    """

    units: list[list[Write]]
    progress: Progress
    since: int


_PROGRESS: Final = msgspec.json.Decoder(Progress)


def begin(store: Store, *, is_older: bool) -> None:
    """Note at the start of a node what there is to index.

    Args:
        store: The store.
        is_older: The last life of the node was one of an older version.
    """
    if is_older or store.get(keys.INDEXED) is None:
        note(store, Progress(is_done=_is_empty(store)))


def anew() -> Write:
    """Return the write with which all requests are looked at once more."""
    return Put(keys.INDEXED, msgspec.json.encode(Progress()))


def missing(store: Store) -> str | None:
    """Return why lists may lack requests; None if they do not."""
    return None if read(store).is_done else REASON


def step(store: Store, limit: int) -> IndexStep:
    """Return what is done next; see ``unindexed``."""
    entry = store.get(keys.INDEXED)
    progress, since = _progress(store, entry), entry.revision if entry is not None else 0
    if progress.is_done:
        return IndexStep([], progress, since)
    units, last = older_requests.unindexed(store, progress.after or None, limit)
    has_found = progress.has_found or bool(units)
    if last is not None:
        return IndexStep(units, Progress(last, has_found=has_found), since)
    is_done = not has_found and older_requests.is_upgraded(store)
    return IndexStep(units, Progress(is_done=is_done), since)


def note(store: Store, progress: Progress) -> None:
    """Store how far it is, whatever was noted before."""
    store.commit([Put(keys.INDEXED, msgspec.json.encode(progress))])


def note_step(store: Store, done: IndexStep) -> None:
    """Store how far it is after a step, unless another node has all looked at anew meanwhile."""
    value = msgspec.json.encode(done.progress)
    is_new = not done.since
    write = Create(keys.INDEXED, value) if is_new else Replace(keys.INDEXED, value, done.since)
    with suppress(Conflict):
        store.commit([write])


def read(store: Store) -> Progress:
    """Return how far it is."""
    return _progress(store, store.get(keys.INDEXED))


def _progress(store: Store, entry: Entry | None) -> Progress:
    if entry is None:  # no node of this version has run yet
        return Progress(is_done=_is_empty(store))
    try:
        return _PROGRESS.decode(entry.value)
    except UNREADABLE:
        return Progress()


def _is_empty(store: Store) -> bool:
    return not store.range(keys.KEPT, limit=1) and older_requests.is_upgraded(store)
