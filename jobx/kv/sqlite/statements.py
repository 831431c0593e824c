"""The statements of the SQLite store: its tables, and the writes of a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any, Final
from zlib import crc32

from jobx.errors import Conflict
from jobx.kv.prefixes import prefix_end
from jobx.kv.sqlite.reading import checksum_of
from jobx.kv.store import Create, Delete, DeletePrefix, Put, Replace, Unit, Write
from jobx.kv.write_batch import Coalesced, name_of

SCHEMA: Final = 2
#: Rows of one statement: three variables a row stay under the 999 of old builds.
_MAX_ROWS: Final = 256
TABLES: Final = (
    "CREATE TABLE kv (key TEXT PRIMARY KEY, value BLOB NOT NULL, revision INTEGER NOT NULL,"
    " checksum INTEGER) WITHOUT ROWID",
    # Revisions are store-wide, so that a key that is created again never has an old revision.
    "CREATE TABLE counter (revision INTEGER NOT NULL)",
    "INSERT INTO counter VALUES (0)",
)
#: Statements that upgrade a schema to the next; older entries have no checksum.
CHANGES: Final = {1: "ALTER TABLE kv ADD COLUMN checksum INTEGER"}
# IGNORE and ROLLBACK spare SQLite the statement journal, which doubles the time of many rows.
_ROWS: Final = (
    "INTO kv (key, value, checksum, revision)"
    " SELECT column1, column2, column3, (SELECT revision FROM counter) FROM (VALUES "
)
_INSERT: Final = f"INSERT OR IGNORE {_ROWS}"
_UPSERT: Final = f"INSERT OR ROLLBACK {_ROWS}"
_UPSERT_END: Final = (
    ") WHERE true"  # keeps ON from being read as a join's
    " ON CONFLICT (key) DO UPDATE SET value = excluded.value, revision = excluded.revision,"
    " checksum = excluded.checksum"
)
_REPLACE: Final = (
    "UPDATE kv SET value = ?, checksum = ?, revision = (SELECT revision FROM counter)"
    " WHERE key = ? AND revision = ?"
)
#: What is looked for comes first: each is looked up in the table, not the table in them.
_DELETE_FOUND: Final = "DELETE FROM kv WHERE key IN (SELECT key FROM (VALUES "
_IN_RANGE: Final = "key >= column1 AND key < column2"
_IS_EXACT: Final = "key = column1 AND revision = column2"


class Collision(Exception):
    """A key to create exists, or one to delete has another revision; it is not known which."""


def _next_revision(writer: sqlite3.Connection) -> None:
    writer.execute("UPDATE counter SET revision = revision + 1")


def write_coalesced(writer: sqlite3.Connection, coalesced: Coalesced) -> None:
    """Do coalesced writes inside a transaction.

    Raises:
        Collision: One of the conditions does not hold; the transaction must be rolled back.
    """
    _next_revision(writer)
    deleted = 0
    exact = [one for pair in coalesced.exact.items() for one in pair]
    for marks, variables in _chunks(exact, "(?, ?)"):
        query = f"{_DELETE_FOUND}{marks}) CROSS JOIN kv ON {_IS_EXACT})"
        deleted += writer.execute(query, variables).rowcount
    if deleted < len(coalesced.exact):
        raise Collision
    for key, (value, revision) in coalesced.replaced.items():
        bound = (value, checksum_of(key.encode(), value), key, revision)
        if not writer.execute(_REPLACE, bound).rowcount:
            raise Collision
    created = 0
    for marks, variables in _chunks(_summed(coalesced.creates), "(?, ?, ?)"):
        created += writer.execute(f"{_INSERT}{marks})", variables).rowcount
    if created < len(coalesced.creates):
        raise Collision
    for marks, variables in _chunks(_summed(coalesced.puts), "(?, ?, ?)"):
        writer.execute(f"{_UPSERT}{marks}{_UPSERT_END}", variables)
    for marks, variables in _chunks(list(coalesced.deletes), "?"):
        writer.execute(f"DELETE FROM kv WHERE key IN ({marks})", variables)  # noqa: S608 - only marks
    bounds = [bound for prefix in coalesced.prefixes for bound in (prefix, prefix_end(prefix))]
    for marks, variables in _chunks(bounds, "(?, ?)"):
        writer.execute(f"{_DELETE_FOUND}{marks}) CROSS JOIN kv ON {_IN_RANGE})", variables)


def _summed(values: Mapping[str, bytes]) -> list[Any]:
    """Return keys, values and checksums, one after the other."""
    found: list[Any] = []
    for key, value in values.items():
        found += (key, value, crc32(value, crc32(key.encode())))  # as checksum_of has it
    return found


def _chunks(variables: list[Any], row: str) -> list[tuple[str, list[Any]]]:
    """Cut the variables of rows into chunks; return the marks and the variables of each.

    Chunks have few sizes, so that each of few statements is prepared once: all up to eight rows,
    beyond that four between one power of two and the next. The last chunk is filled up with rows
    of its own, which change nothing when they come again.
    """
    found: list[tuple[str, list[Any]]] = []
    if not variables:
        return found
    width = row.count("?")
    for start in range(0, len(variables), _MAX_ROWS * width):
        chunk = variables[start : start + _MAX_ROWS * width]
        rows = len(chunk) // width
        step = max(1, (1 << (rows - 1).bit_length()) >> 3)
        missing = -rows % step
        found.append((", ".join([row] * (rows + missing)), chunk + chunk[: missing * width]))
    return found


def try_unit(writer: sqlite3.Connection, unit: Unit) -> Conflict | None:
    """Do a unit, all or none, inside a transaction; return its conflict or None."""
    writer.execute("SAVEPOINT one")
    _next_revision(writer)
    conflict = next((Conflict(name_of(w)) for w in unit if not _apply(writer, w)), None)
    if conflict is not None:
        writer.execute("ROLLBACK TO one")
    writer.execute("RELEASE one")
    return conflict


def _apply(writer: sqlite3.Connection, write: Write) -> bool:
    """Do a write if its condition holds; return whether it held."""
    match write:
        case Create(key, value):
            row = (key, value, checksum_of(key.encode(), value))
            return writer.execute(f"{_INSERT}(?, ?, ?))", row).rowcount == 1
        case Put(key, value):
            row = (key, value, checksum_of(key.encode(), value))
            writer.execute(f"{_UPSERT}(?, ?, ?){_UPSERT_END}", row)
        case Replace(key, value, revision):
            bound = (value, checksum_of(key.encode(), value), key, revision)
            return writer.execute(_REPLACE, bound).rowcount == 1
        case Delete(key, None):
            writer.execute("DELETE FROM kv WHERE key = ?", (key,))
        case Delete(key, revision):
            query = "DELETE FROM kv WHERE key = ? AND revision = ?"
            return writer.execute(query, (key, revision)).rowcount == 1
        case DeletePrefix(prefix):
            end = prefix_end(prefix)
            if end is None:
                writer.execute("DELETE FROM kv WHERE key >= ?", (prefix,))
            else:
                writer.execute("DELETE FROM kv WHERE key >= ? AND key < ?", (prefix, end))
    return True
