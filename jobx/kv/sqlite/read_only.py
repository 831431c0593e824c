"""The store on SQLite for a process that only reads it, while another one has it open."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from jobx.errors import StoreRefused
from jobx.kv.sqlite.statements import SCHEMA
from jobx.kv.sqlite.store import SqliteStore
from jobx.kv.store import Chain, CommitOutcome

_REASON: Final = "it is open for reading only"


class ReadOnlySqlite(SqliteStore):
    """A ``SqliteStore`` that writes nothing; see there."""

    def commit_many(self, chains: Sequence[Chain]) -> list[CommitOutcome]:
        """Raise StoreRefused."""
        raise StoreRefused(str(self._path), _REASON)

    def close(self) -> None:
        """See ``Store.close``."""
        self._closed = True
        self._announce()
        self._close_idle()

    def _open(self) -> None:
        with self._reader() as reader:
            (schema,) = reader.execute("PRAGMA user_version").fetchone()
        if schema != SCHEMA:
            reason = f"it has schema {schema}, and this JobX reads {SCHEMA}"
            raise StoreRefused(str(self._path), reason)

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(
            f"file:{quote(str(self._path))}?mode=ro",
            uri=True,
            timeout=self._busy_timeout_s,
            isolation_level=None,
            check_same_thread=False,
        )
