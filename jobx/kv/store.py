"""The store's contract: small values under text keys, written by conditional transactions.

Every back end (SQLite, memory, etcd) passes the same contract suite. Methods block, may be
called from any thread, and never wait without a bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from msgspec import Struct

from jobx.errors import Conflict


class Entry(Struct, frozen=True):
    """A key as it was read. ``revision`` grows with every write of the key."""

    key: str
    value: bytes
    revision: int


class Create(Struct, frozen=True):
    """Write ``key`` only if it does not exist."""

    key: str
    value: bytes


class Put(Struct, frozen=True):
    """Write ``key``, whatever it holds."""

    key: str
    value: bytes


class Replace(Struct, frozen=True):
    """Write ``key`` only if its revision is still ``revision``."""

    key: str
    value: bytes
    revision: int


class Delete(Struct, frozen=True):
    """Remove ``key`` if it exists; with ``revision``, only if that is still its revision."""

    key: str
    revision: int | None = None


class DeletePrefix(Struct, frozen=True):
    """Remove every key that starts with ``prefix``."""

    prefix: str


Write: TypeAlias = Create | Put | Replace | Delete | DeletePrefix


class Store(Protocol):
    """What every back end offers.

    Raises, from every method:
        StoreUnavailable: The store does not answer; nothing was written.
        StoreRefused: The store is damaged, read-only or closed.
    """

    def get(self, key: str) -> Entry | None:
        """Return the entry of ``key``, or None. Linearizable."""

    def range(
        self,
        prefix: str,
        *,
        after: str | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> list[Entry]:
        """Return entries whose keys start with ``prefix``, in key order (bytes of UTF-8).

        Args:
            prefix: What keys start with.
            after: Only keys beyond this one (before it when ``reverse``).
            limit: At most so many entries.
            reverse: Last key first.
        """

    def commit(self, writes: Sequence[Write]) -> None:
        """Do all writes or none, durably when it returns.

        Raises:
            Conflict: A condition did not hold; nothing was written. Names the key.
            StoreFull: No room; nothing was written.
            OutcomeUnknown: The write was sent and no answer came.
        """

    def commit_many(self, groups: Sequence[Sequence[Write]]) -> list[Conflict | None]:
        """Commit independent groups together, each all or none; one sync to disk for all.

        A conflict in one group does not touch the others. Returns, for each group, None or
        its conflict. Raises as ``commit`` for what concerns all.
        """

    def wait(self, key: str, revision: int, timeout_s: float) -> Entry | None:
        """Wait until ``key`` has another revision than ``revision`` (0: it does not exist).

        Returns the new entry, or None when the time ran out or the key is gone. Changes that
        follow each other fast may be seen as one. Sees writes of other processes.
        """

    def close(self) -> None:
        """Release everything; further calls raise StoreRefused. Idempotent."""
