"""Reading entries of the SQLite store, each against its checksum.

A damaged key is in the wrong place in the order, so a search may miss it and a range may end too
early. But such a search ends next to the damaged row. So the neighbours of an empty search result,
and the rows before and after a range, are checked as well.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Generator
from contextlib import closing
from typing import Any, Final, TypeAlias

from jobx.errors import EntryDamaged
from jobx.kv.store import Entry

_Row: TypeAlias = tuple[Any, Any, Any, Any]

_SELECT: Final = "SELECT key, value, revision, checksum FROM kv"
_FROM: Final = f"{_SELECT} WHERE key >= ? ORDER BY key"
_BEFORE: Final = f"{_SELECT} WHERE key < ? ORDER BY key DESC"
_LAST: Final = f"{_SELECT} ORDER BY key DESC"


def checksum_of(key: bytes, value: bytes) -> int:
    """Return the checksum of an entry."""
    return zlib.crc32(value, zlib.crc32(key))


def select_one(reader: sqlite3.Connection, key: str) -> Entry | None:
    """Return the entry of a key, or None.

    Args:
        reader: A connection whose text comes as bytes.
        key: The key.

    Raises:
        EntryDamaged: The entry is damaged, or it is missing and a neighbour is damaged.
    """
    row = reader.execute(f"{_FROM} LIMIT 1", (key,)).fetchone()
    if row is not None:
        entry = _entry(row)
        if entry.key == key:
            return entry
    before = reader.execute(f"{_BEFORE} LIMIT 1", (key,)).fetchone()
    if before is not None:
        _entry(before)
    return None


def select(
    reader: sqlite3.Connection,
    bounds: tuple[str, str | None],
    limit: int | None,
    reverse: bool,
    damaged: list[EntryDamaged] | None,
) -> list[Entry]:
    """Return entries within ``low <= key < high``; see ``Store.range`` for the rest."""
    low, high = bounds
    found: list[Entry] = []
    with closing(_walk(reader, low, high, reverse)) as rows:  # else an error would hold a snapshot
        for row in rows:
            try:
                entry = _entry(row)
            except EntryDamaged as error:
                if damaged is None:
                    raise
                damaged.append(error)
                continue
            is_below, is_beyond = entry.key < low, high is not None and entry.key >= high
            if is_below if reverse else is_beyond:
                break
            if not is_below and not is_beyond:
                if len(found) == limit:
                    break
                found.append(entry)
    return found


def _walk(
    reader: sqlite3.Connection, low: str, high: str | None, reverse: bool
) -> Generator[_Row, None, None]:
    """Yield the row before a range, its rows, and the row after it."""
    if not reverse:
        yield from reader.execute(f"{_BEFORE} LIMIT 1", (low,))
        yield from reader.execute(_FROM, (low,))
    elif high is None:
        yield from reader.execute(_LAST)
    else:
        yield from reader.execute(f"{_FROM} LIMIT 1", (high,))
        yield from reader.execute(_BEFORE, (high,))


def _entry(row: _Row) -> Entry:
    key, value, revision, checksum = row
    if not (type(key) is type(value) is bytes and type(revision) is int):
        raise EntryDamaged(repr(key), "its form is not the written one")
    # Entries from before there were checksums have none.
    if checksum is not None and checksum != checksum_of(key, value):
        raise EntryDamaged(_shown(key), "its checksum is wrong")
    return Entry(key.decode(), value, revision)


def _shown(key: bytes) -> str:
    return key.decode("utf-8", "backslashreplace")
