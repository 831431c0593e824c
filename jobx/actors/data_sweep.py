"""Removes what the stages of ended requests yielded, where nobody wants it any more.

The last commit of such a request says so by a key, so that no death of a node leaves any behind.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

from jobx.errors import JobxError, Unavailable
from jobx.kv import keys
from jobx.kv.blobs import BlobFolder
from jobx.kv.store import Delete, Entry, Store

#: Requests that are looked up, and written, together.
PIECE: Final = 500
#: Requests of one round. Rounds are 10 s apart, so 500 a second may end twice over.
MOST: Final = 10_000

_log = logging.getLogger(__name__)


def sweep(
    store: Store,
    blobs: BlobFolder,
    is_chosen: Callable[[], bool],
    is_stopping: Callable[[], bool] = lambda: False,
) -> int:
    """Remove the stages' data of some requests; return of how many.

    Args:
        store: Where the requests are.
        blobs: Where the data is.
        is_chosen: Tells whether this node is the one that sweeps.
        is_stopping: Tells whether to stop between two requests.

    Raises:
        JobxError: The store cannot be read or written; the next round goes on.
    """
    removed, after = 0, ""
    for _ in range(MOST // PIECE):
        if is_stopping() or not is_chosen():
            break
        found = store.range(keys.UNWANTED, after=after or None, limit=PIECE)
        count, is_there = _remove(store, blobs, found, is_stopping)
        removed += count
        if len(found) < PIECE or not is_there:
            break
        after = found[-1].key
    return removed


def _remove(
    store: Store, blobs: BlobFolder, found: Sequence[Entry], is_stopping: Callable[[], bool]
) -> tuple[int, bool]:
    """Remove the data of requests; return of how many, and whether its place answers."""
    done: list[Delete] = []
    refused: list[str] = []
    is_there = True
    for entry in found:
        if is_stopping():
            break
        try:
            blobs.remove_stage_data(*keys.names(entry.key, 2))
        except Unavailable as error:  # the others would wait for the same
            refused.append(f"{entry.key}: {error}")
            is_there = False
            break
        except JobxError as error:
            refused.append(f"{entry.key}: {error}")
        else:
            done.append(Delete(entry.key))
    if refused:
        _log.warning("data of %d requests stays for now, the first %s", len(refused), refused[0])
    outcomes = store.commit_many([[[one]] for one in done]) if done else []
    for outcome in outcomes:
        if outcome.error is not None:
            raise outcome.error
    return len(done), is_there
