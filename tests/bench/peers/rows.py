"""Rows in SQLite that outlive the machine, as JobX's store writes them."""

from __future__ import annotations

import itertools
import sqlite3
from pathlib import Path

#: What a small request leaves in JobX's store: so many rows, of so many bytes on average.
ROWS = 8
_VALUE = bytes(160)


class Rows:
    """A table in a file; used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", _TABLE):
            self._connection.execute(statement)
        self._keys = itertools.count()

    def commit(self, requests: int) -> None:
        """Write the rows of so many requests in one commit."""
        rows = [(f"{next(self._keys):026d}", _VALUE) for _ in range(ROWS * requests)]
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany("INSERT INTO kv VALUES (?, ?)", rows)
        self._connection.execute("COMMIT")

    def close(self) -> None:
        self._connection.close()


_TABLE = "CREATE TABLE kv (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID"
