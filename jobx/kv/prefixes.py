"""Ranges of keys with a prefix, cut by a cursor, read page by page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from jobx.errors import EntryDamaged
from jobx.kv.store import Entry, Store

_LAST: Final = 0x10FFFF
_BEFORE_SURROGATES: Final = 0xD7FF
_AFTER_SURROGATES: Final = 0xE000


def prefix_end(prefix: str) -> str | None:
    """Return the least text after all keys with ``prefix``, None for no bound."""
    for place in range(len(prefix) - 1, -1, -1):
        point = ord(prefix[place])
        if point < _LAST:
            beyond = _AFTER_SURROGATES if point == _BEFORE_SURROGATES else point + 1
            return prefix[:place] + chr(beyond)
    return None


def span(prefix: str, after: str | None, reverse: bool) -> tuple[str, str | None]:
    """Return the bounds ``low <= key < high`` of ``Store.range``; ``high`` None is no bound."""
    low, high = prefix, prefix_end(prefix)
    if after is None:
        return low, high
    if reverse:
        return low, after if high is None else min(after, high)
    return max(low, f"{after}\0"), high


def scan(
    store: Store,
    prefix: str,
    *,
    after: str | None = None,
    reverse: bool = False,
    page: int = 256,
    damaged: list[EntryDamaged] | None = None,
) -> Iterator[Entry]:
    """Yield entries as ``Store.range`` would return them, reading ``page`` of them at a time."""
    while True:
        entries = store.range(prefix, after=after, limit=page, reverse=reverse, damaged=damaged)
        yield from entries
        if len(entries) < page:
            return
        after = entries[-1].key


def branches(
    store: Store, prefix: str, levels: int = 1, damaged: list[EntryDamaged] | None = None
) -> Iterator[str]:
    """Yield the distinct beginnings of keys, ``levels`` names below ``prefix``, in order.

    Each costs one read, however many keys begin with it; on etcd's v2 API that reads a whole
    folder of them. What is unreadable is raised, or collected in ``damaged`` and passed over. A key
    with fewer names, which JobX does not write, is passed over.
    """
    after: str | None = None
    while entries := store.range(prefix, after=after, limit=1, damaged=damaged):
        after = entries[0].key
        names = after.removeprefix(prefix).split("/")
        if len(names) > levels:
            branch = prefix + "/".join(names[:levels])
            yield f"{branch}/"
            after = f"{branch}0"  # the character after the slash: after all keys of this branch
