"""The versions of a handler that the store still has.

They are kept by content (``keys.code``) for the requests that began with them, and removed when
nothing needs them any more (``actors/code_sweep.py``).
"""

from __future__ import annotations

from itertools import islice
from typing import Final

from jobx.errors import EntryDamaged
from jobx.kv import keys
from jobx.kv.entities.references import read
from jobx.kv.entries import decoded
from jobx.kv.prefixes import scan
from jobx.kv.store import Store
from jobx.model import Handler

#: Versions of one handler that are returned, and bytes of their sources.
MOST: Final = 50
MOST_BYTES: Final = 1 << 20
#: Versions of all handlers of the workflow that are looked at.
LOOKED: Final = 1000
_PAGE: Final = 16


def kept_versions(store: Store, workflow: str, name: str) -> list[Handler]:
    """Return the versions of a handler, the last written first; some may be missing.

    Raises:
        NotFound: There is no such handler.
    """
    read(store, Handler, workflow, name)
    found: list[tuple[int, Handler]] = []
    damaged: list[EntryDamaged] = []
    entries = scan(store, keys.code(workflow, ""), page=_PAGE, damaged=damaged)
    left = MOST_BYTES
    for entry in islice(entries, LOOKED):
        try:
            handler = decoded(Handler, entry)
        except EntryDamaged:  # the late check of the store tells of it
            continue
        left -= len(handler.source_code) if handler.handler_name == name else 0
        if left < 0 or len(found) == MOST:
            break
        if handler.handler_name == name:
            found.append((entry.revision, handler))
    return [handler for _, handler in sorted(found, key=lambda one: one[0], reverse=True)]
