"""Puts requests that an older version finished into the indexes, a few at a time.

How far that is stands in the store, so it goes on after a kill. A node of an older version may work
on the store later: the next start of this version then begins anew.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from jobx.kv import keys
from jobx.kv.requests import older_requests
from jobx.kv.store import Put, Store, Write

REASON: Final = "requests of an older version are being indexed, and some may be missing"


class Progress(Struct, frozen=True):
    """How far it is: everything up to the marker ``after`` was looked at.

    Markers move when their requests are kept for longer. So it is done when all of them were looked
    at once more, and nothing was found (``has_found``).
    """

    after: str = ""
    is_done: bool = False
    has_found: bool = False


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


def step(store: Store, limit: int) -> tuple[list[list[Write]], Progress]:
    """Return the next writes, and how far it is once they are done; see ``unindexed``."""
    progress = read(store)
    if progress.is_done:
        return [], progress
    units, last = older_requests.unindexed(store, progress.after or None, limit)
    has_found = progress.has_found or bool(units)
    if last is not None:
        return units, Progress(last, has_found=has_found)
    return units, Progress(is_done=not has_found and older_requests.is_upgraded(store))


def note(store: Store, progress: Progress) -> None:
    """Store how far it is."""
    store.commit([Put(keys.INDEXED, msgspec.json.encode(progress))])


def read(store: Store) -> Progress:
    """Return how far it is."""
    entry = store.get(keys.INDEXED)
    if entry is None:  # no node of this version has run yet
        return Progress(is_done=_is_empty(store))
    try:
        return _PROGRESS.decode(entry.value)
    except msgspec.DecodeError:
        return Progress()


def _is_empty(store: Store) -> bool:
    return not store.range(keys.KEPT, limit=1) and older_requests.is_upgraded(store)
