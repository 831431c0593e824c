"""The store's contract: small values under text keys, written by conditional transactions.

Writes come in *units*, each all or nothing, and units in *chains*: a unit is written only after
those before it. Each chain has its own outcome, so an error in one chain affects no other.

A store without transactions (etcd's v2 API) has only the *guard* of a unit to exclude others: its
last conditional write. So units that must exclude each other have a guard with the same key, such
as an event, the token of a workflow or the head of a collection.

Every back end (SQLite, memory, etcd) passes the same contract suite. Methods block, may be
called from any thread, and never wait without a bound.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final, Protocol, TypeAlias, final

from msgspec import Struct

from jobx.errors import (
    EntryDamaged,
    JobxError,
    OutcomeUnknown,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
)

#: Errors of the store itself, and not of a write.
STORE_FAULTS: Final = (StoreUnavailable, StoreFull, StoreRefused, OutcomeUnknown)


class Entry(Struct, frozen=True):
    """A key and its value. ``revision`` grows with every write of the key."""

    key: str
    value: bytes
    revision: int


class Create(Struct, frozen=True):
    """Write ``key`` only if it does not exist."""

    key: str
    value: bytes


class Put(Struct, frozen=True):
    """Write ``key`` unconditionally."""

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
    """Limits of one unit: its number of writes, and the bytes of its keys and values."""

    writes: int = 1 << 20
    size_bytes: int = 64 << 20


class CommitOutcome(Struct, frozen=True):
    """The outcome of a chain.

    Attributes:
        done: Number of its durable units, from the first on.
        error: Why the next unit is not durable, None if all are. Conflict, TooLarge: it was not
            written, and never will be in this form. OutcomeUnknown: it may have been written.
            StoreUnavailable, StoreFull, StoreRefused: it was not written this time.
    """

    done: int
    error: JobxError | None = None


class Store(Protocol):
    """The contract of every back end.

    Raises, from every method:
        StoreUnavailable: The store does not answer; nothing was written.
        StoreRefused: The store is damaged, read-only or closed.
        EntryDamaged: An entry differs from what was written.
    """

    @property
    def limits(self) -> Limits:
        """The limits of one unit."""

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
            prefix: Prefix of the keys.
            after: Only keys after this one (before it if ``reverse``).
            limit: Largest number of entries.
            reverse: Last key first.
            damaged: Collects the errors of unreadable entries, instead of raising them.
        """

    def commit(self, writes: Unit) -> None:
        """Do all writes or none, durably when it returns.

        Raises:
            Conflict: A condition did not hold; nothing was written. Names the key.
            TooLarge: They exceed the limits of a unit; nothing was written.
            StoreFull: No room; nothing was written.
            OutcomeUnknown: The write was sent and no answer came. Read it back: it may still appear
                until somebody has written or overwritten it.
        """

    def commit_many(self, chains: Sequence[Chain]) -> list[CommitOutcome]:
        """Commit independent chains together, with as few syncs to disk as possible.

        Returns the outcome of each chain. Raises as ``commit`` for errors of all chains: then no
        unit was written, or, for OutcomeUnknown, each may have been.
        """

    def wait(self, key: str, revision: int, timeout_s: float) -> Entry | None:
        """Wait until ``key`` has another revision than ``revision`` (0: it does not exist).

        Returns the new entry, or None if the time ran out or the key is gone. It may see several
        fast changes as one. It sees writes of other processes.
        """

    def size_bytes(self) -> int:
        """Return the size of the data for ``check``, 0 if there is nothing to check."""

    def check(self) -> None:
        """Check all stored data, except for what every read checks; this takes a while.

        Raises:
            StoreRefused: It is damaged.
        """

    def close(self) -> None:
        """Release everything; further calls raise StoreRefused. Idempotent."""


class ChainStore(ABC):
    """The part of a store for which one unit is one chain."""

    @abstractmethod
    def commit_many(self, chains: Sequence[Chain]) -> list[CommitOutcome]:
        """See ``Store.commit_many``."""

    def commit(self, writes: Unit) -> None:
        """See ``Store.commit``."""
        (outcome,) = self.commit_many([[writes]])
        if outcome.error is not None:
            raise outcome.error
