"""Stores that count what is read and written: work is compared without a clock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobx.kv.memory import MemoryStore
from jobx.kv.sqlite.store import SqliteStore
from jobx.kv.store import Chain, CommitOutcome, Entry


class _Counting:
    """Counts the calls of a store, the entries that they return, and the writes.

    Attributes:
        reads: Calls and entries of ``get`` and ``range``.
        writes: Writes that were committed.
    """

    reads = 0
    writes = 0

    def get(self, key: str) -> Entry | None:
        self.reads += 1
        found: Entry | None = super().get(key)  # type: ignore[misc]  # a mixin before a store
        return found

    def range(self, prefix: str, **how: Any) -> list[Entry]:
        found: list[Entry] = super().range(prefix, **how)  # type: ignore[misc]  # a mixin before a store
        self.reads += 1 + len(found)
        return found

    def commit_many(self, chains: Sequence[Chain]) -> list[CommitOutcome]:
        self.writes += sum(len(unit) for chain in chains for unit in chain)
        outcomes: list[CommitOutcome] = super().commit_many(chains)  # type: ignore[misc]  # a mixin before a store
        return outcomes


class CountingMemory(_Counting, MemoryStore):
    """A store in memory that counts."""


class CountingSqlite(_Counting, SqliteStore):
    """A store on SQLite that counts."""
