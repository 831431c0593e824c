"""The store in memory: the reference for every back end, and the store of tests."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import Final

from jobx.errors import Conflict, EntryDamaged, InUse, JobxError, StoreRefused
from jobx.kv.prefixes import span
from jobx.kv.store import (
    Chain,
    CommitOutcome,
    Create,
    Delete,
    DeletePrefix,
    Entry,
    Limits,
    Put,
    Replace,
    Unit,
    Write,
)
from jobx.kv.write_batch import name_of, too_large

#: How often it is looked whether the holder of a lease has lost it.
_LOOK_S: Final = 0.02


class MemoryStore:
    """The contract of ``Store`` on a dictionary and a sorted list of its keys.

    Args:
        limits: What one unit may have.
    """

    def __init__(self, *, limits: Limits = Limits()) -> None:  # noqa: B008 - it is frozen
        self._limits = limits
        self.changed = threading.Condition()
        #: When leases are lost, by key, monotonic.
        self.leases: dict[str, float] = {}
        self._entries: dict[str, Entry] = {}
        self._keys: list[str] = []
        self._revision = 0
        self._closed = False

    def get(self, key: str) -> Entry | None:
        """See ``Store.get``."""
        with self.changed:
            self._check_open()
            return self._entries.get(key)

    def range(
        self,
        prefix: str,
        *,
        after: str | None = None,
        limit: int | None = None,
        reverse: bool = False,
        damaged: list[EntryDamaged] | None = None,
    ) -> list[Entry]:
        """See ``Store.range``."""
        with self.changed:
            self._check_open()
            keys = self._span(prefix, after, reverse)
            if reverse:
                keys.reverse()
            return [self._entries[key] for key in keys[:limit]]

    def commit(self, writes: Unit) -> None:
        """See ``Store.commit``."""
        (outcome,) = self.commit_many([[writes]])
        if outcome.error is not None:
            raise outcome.error

    def commit_many(self, chains: Sequence[Chain]) -> list[CommitOutcome]:
        """See ``Store.commit_many``."""
        with self.changed:
            self._check_open()
            outcomes = list(map(self._try_chain, chains))
            self.changed.notify_all()
            return outcomes

    def wait(self, key: str, revision: int, timeout_s: float) -> Entry | None:
        """See ``Store.wait``."""
        deadline = time.monotonic() + timeout_s
        with self.changed:
            while True:
                self._check_open()
                entry = self._entries.get(key)
                if (entry.revision if entry else 0) != revision:
                    return entry
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    return None
                self.changed.wait(left_s)

    def lease(self, key: str, holder: str, ttl_s: float) -> MemoryLease:
        """See ``Leases.lease``."""
        return MemoryLease(self, key, holder, ttl_s)

    def size_bytes(self) -> int:
        """See ``Store.size_bytes``."""
        return 0

    def check(self) -> None:
        """See ``Store.check``."""

    def close(self) -> None:
        """See ``Store.close``."""
        with self.changed:
            self._closed = True
            self.changed.notify_all()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreRefused("the store in memory", "it is closed")

    def _span(self, prefix: str, after: str | None, reverse: bool) -> list[str]:
        low, high = span(prefix, after, reverse)
        end = len(self._keys) if high is None else bisect_left(self._keys, high)
        return self._keys[bisect_left(self._keys, low) : end]

    def _try_chain(self, chain: Chain) -> CommitOutcome:
        for done, unit in enumerate(chain):
            error = too_large(unit, self._limits) or self._try_unit(unit)
            if error is not None:
                return CommitOutcome(done, error)
        return CommitOutcome(len(chain))

    def _try_unit(self, unit: Unit) -> JobxError | None:
        undo: list[tuple[str, Entry | None]] = []
        self._revision += 1
        for write in unit:
            if not self._apply(write, undo):
                for key, entry in reversed(undo):
                    self._set(key, entry)
                return Conflict(name_of(write))
        return None

    def _apply(self, write: Write, undo: list[tuple[str, Entry | None]]) -> bool:
        """Do a write whose condition holds and note how to undo it; return whether it held."""
        if isinstance(write, DeletePrefix):
            for key in self._span(write.prefix, None, False):
                undo.append((key, self._entries[key]))
                self._set(key, None)
            return True
        before = self._entries.get(write.key)
        if not _holds(write, before):
            return False
        undo.append((write.key, before))
        after = None
        if not isinstance(write, Delete):
            after = Entry(write.key, write.value, self._revision)
        self._set(write.key, after)
        return True

    def _set(self, key: str, entry: Entry | None) -> None:
        if entry is None:
            if self._entries.pop(key, None) is not None:
                del self._keys[bisect_left(self._keys, key)]
            return
        if key not in self._entries:
            insort(self._keys, key)
        self._entries[key] = entry


class MemoryLease:
    """The contract of ``Lease``. Who holds it is an entry; when it is lost is beside that."""

    def __init__(self, store: MemoryStore, key: str, holder: str, ttl_s: float) -> None:
        self._store = store
        self._key = key
        self._holder = holder.encode()
        self._ttl_s = ttl_s
        self._is_released = False

    def acquire(self) -> None:
        """See ``Lease.acquire``."""
        self._is_released = False
        deadline = time.monotonic() + self._ttl_s
        while True:
            try:
                return self.renew()
            except InUse:
                if time.monotonic() > deadline:
                    raise
            time.sleep(_LOOK_S)

    def renew(self) -> None:
        """See ``Lease.renew``."""
        with self._store.changed:
            if self._is_released:
                return
            entry, now = self._store.get(self._key), time.monotonic()
            is_held = entry is not None and self._store.leases.get(self._key, 0.0) > now
            if entry is not None and is_held and entry.value != self._holder:
                raise InUse("lease", self._key, entry.value.decode())
            if entry is None or entry.value != self._holder:
                self._store.commit([Put(self._key, self._holder)])
            self._store.leases[self._key] = now + self._ttl_s

    def release(self) -> None:
        """See ``Lease.release``."""
        with self._store.changed:
            self._is_released = True
            entry = self._store.get(self._key)
            if entry is not None and entry.value == self._holder:
                self._store.commit([Delete(self._key)])


def _holds(write: Create | Put | Replace | Delete, before: Entry | None) -> bool:
    match write:
        case Create():
            return before is None
        case Replace(revision=revision) | Delete(revision=int(revision)):
            return before is not None and before.revision == revision
        case _:
            return True
