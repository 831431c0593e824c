"""The store's contract: small values under text keys, written by conditional transactions.

Writes come in *units*, each all or nothing, and units in *chains*: a unit is written only behind
those before it. Each chain has an outcome of its own, so what is wrong with one concerns no other.

Every back end (SQLite, memory, etcd) passes the same contract suite. Methods block, may be
called from any thread, and never wait without a bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias, final

from msgspec import Struct

from jobx.errors import EntryDamaged, JobxError


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


@final  # told by its type alone
class Delete(Struct, frozen=True):
    """Remove ``key`` if it exists; with ``revision``, only if that is still its revision."""

    key: str
    revision: int | None = None


@final  # told by its type alone
class DeletePrefix(Struct, frozen=True):
    """Remove every key that starts with ``prefix``."""

    prefix: str


Write: TypeAlias = Create | Put | Replace | Delete | DeletePrefix
Unit: TypeAlias = Sequence[Write]
Chain: TypeAlias = Sequence[Unit]


class Limits(Struct, frozen=True):
    """What one unit may have: so many writes, and so many bytes of keys and values."""

    writes: int = 1 << 20
    size_bytes: int = 64 << 20


class CommitOutcome(Struct, frozen=True):
    """What became of a chain.

    Attributes:
        done: So many of its units, from the first on, are durable.
        error: Why the next one is not, None when all are. Conflict, TooLarge: it was not written,
            and never will be as it is. OutcomeUnknown: it may have been written. StoreUnavailable,
            StoreFull, StoreRefused: it was not written this time.
    """

    done: int
    error: JobxError | None = None


class Store(Protocol):
    """What every back end offers.

    Raises, from every method:
        StoreUnavailable: The store does not answer; nothing was written.
        StoreRefused: The store is damaged, read-only or closed.
        EntryDamaged: An entry that was to be read is not what was written.
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
        damaged: list[EntryDamaged] | None = None,
    ) -> list[Entry]:
        """Return entries whose keys start with ``prefix``, in key order (bytes of UTF-8).

        Args:
            prefix: What keys start with.
            after: Only keys beyond this one (before it when ``reverse``).
            limit: At most so many entries.
            reverse: Last key first.
            damaged: Takes what is wrong with entries that cannot be read, in place of an error.
        """

    def commit(self, writes: Unit) -> None:
        """Do all writes or none, durably when it returns.

        Raises:
            Conflict: A condition did not hold; nothing was written. Names the key.
            TooLarge: They are more than one unit may have; nothing was written.
            StoreFull: No room; nothing was written.
            OutcomeUnknown: The write was sent and no answer came. Reading back tells: until what
                was asked for has been written by somebody, or is overwritten, it may still appear.
        """

    def commit_many(self, chains: Sequence[Chain]) -> list[CommitOutcome]:
        """Commit independent chains together, with as few syncs to disk as can be.

        Returns the outcome of each chain. Raises as ``commit`` what concerns them all: then no
        unit of any was written, or, for OutcomeUnknown, each may have been.
        """

    def wait(self, key: str, revision: int, timeout_s: float) -> Entry | None:
        """Wait until ``key`` has another revision than ``revision`` (0: it does not exist).

        Returns the new entry, or None when the time ran out or the key is gone. Changes that
        follow each other fast may be seen as one. Sees writes of other processes.
        """

    def size_bytes(self) -> int:
        """Return how much there is to ``check``, 0 for nothing."""

    def check(self) -> None:
        """Check all that is stored, apart from what is checked when it is read; takes a while.

        Raises:
            StoreRefused: It is damaged.
        """

    def close(self) -> None:
        """Release everything; further calls raise StoreRefused. Idempotent."""
