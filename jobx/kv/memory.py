"""The store in memory: the reference for every back end, and the store of tests."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import Final

from jobx.errors import Conflict, EntryDamaged, InUse, JobxError, StoreRefused
from jobx.kv.changes import Changed
from jobx.kv.leases import Held, Holders, decode, encode
from jobx.kv.prefixes import span
from jobx.kv.store import (
    Chain,
    ChainStore,
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


class MemoryStore(ChainStore):
    """The contract of ``Store`` on a dictionary and a sorted list of its keys.

    Args:
        limits: What one unit may have.
    """

    def __init__(self, *, limits: Limits = Limits()) -> None:  # noqa: B008 - it is frozen
        self.limits = limits
        self.changed = threading.Condition()
        #: When an entry is removed, monotonic, and its revision; unless it is written again.
        self._expiries: dict[str, tuple[float, int]] = {}
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
                if not self.sleep_until(deadline):
                    return None

    def lease(self, key: str, holder: str, ttl_s: float, value: str = "") -> MemoryLease:
        """See ``Leases.lease``."""
        return MemoryLease(self, key, holder, ttl_s, value)

    def watch(self, prefix: str) -> MemoryWatch:
        """See ``Leases.watch``."""
        return MemoryWatch(self, prefix)

    def changes(self, prefix: str) -> MemoryChanges:
        """See ``Followed.changes``."""
        return MemoryChanges(self, prefix)

    def expire_at(self, key: str, at: float) -> None:
        """Remove an entry at a time, unless it is written again; the caller has ``changed``."""
        self._expiries[key] = at, self._entries[key].revision

    def sleep_until(self, deadline: float) -> bool:
        """Wait for a change; return False at the deadline. The caller has ``changed``."""
        until = min([deadline, *(at for at, _ in self._expiries.values())])
        left_s = until - time.monotonic()
        return self.changed.wait(max(0.0, left_s)) or time.monotonic() < deadline

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
        if self._expiries:
            self._expire(time.monotonic())

    def _expire(self, now: float) -> None:
        for key, (at, revision) in list(self._expiries.items()):
            entry = self._entries.get(key)
            if entry is None or entry.revision != revision:
                del self._expiries[key]
            elif at <= now:
                self._set(key, None)
                self.changed.notify_all()

    def _span(self, prefix: str, after: str | None, reverse: bool) -> list[str]:
        low, high = span(prefix, after, reverse)
        end = len(self._keys) if high is None else bisect_left(self._keys, high)
        return self._keys[bisect_left(self._keys, low) : end]

    def _try_chain(self, chain: Chain) -> CommitOutcome:
        for done, unit in enumerate(chain):
            error = too_large(unit, self.limits) or self._try_unit(unit)
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
    """The contract of ``Lease``; see ``Leases.lease`` for the arguments."""

    def __init__(self, store: MemoryStore, key: str, holder: str, ttl_s: float, value: str) -> None:
        self._store = store
        self._key = key
        self._held = Held(holder, value=value)
        self._ttl_s = ttl_s
        self._is_released = False

    def acquire(self) -> None:
        """See ``Lease.acquire``."""
        self._is_released = False
        deadline = time.monotonic() + self._ttl_s
        while True:
            try:
                self.renew()
            except InUse:
                if time.monotonic() > deadline:
                    raise
            else:
                return
            time.sleep(_LOOK_S)

    def renew(self, value: str | None = None) -> bool:
        """See ``Lease.renew``."""
        with self._store.changed:
            if value is not None:
                self._held = self._held.showing(value)
            if self._is_released:
                return True
            found = self._found()
            if found is not None and found.holder != self._held.holder:
                raise InUse("lease", self._key, found.holder)
            is_kept = found is not None and found.term == self._held.term
            if not is_kept:
                self._held = self._held.anew()
            if found != self._held:
                self._store.commit([Put(self._key, encode(self._held))])
            self._store.expire_at(self._key, time.monotonic() + self._ttl_s)
            return is_kept

    def release(self) -> None:
        """See ``Lease.release``."""
        with self._store.changed:
            self._is_released = True
            found = self._found()
            if found is not None and found.term == self._held.term:
                self._store.commit([Delete(self._key)])

    def _found(self) -> Held | None:
        entry = self._store.get(self._key)
        return decode(entry.value) if entry else None


class MemoryWatch:
    """The contract of ``Watch``."""

    def __init__(self, store: MemoryStore, prefix: str) -> None:
        self._store = store
        self._prefix = prefix
        self._last: Holders | None = None

    def next(self, timeout_s: float) -> Holders | None:
        """See ``Watch.next``."""
        deadline = time.monotonic() + timeout_s
        with self._store.changed:
            while True:
                entries = self._store.range(self._prefix)
                found = {entry.key: decode(entry.value) for entry in entries}
                if found != self._last:
                    self._last = found
                    return dict(found)
                if not self._store.sleep_until(deadline):
                    return None


class MemoryChanges:
    """The contract of ``Changes``."""

    def __init__(self, store: MemoryStore, prefix: str) -> None:
        self._store = store
        self._prefix = prefix
        self._revision = -1

    def next(self, timeout_s: float) -> Changed:
        """See ``Changes.next``."""
        deadline = time.monotonic() + timeout_s
        with self._store.changed:
            while True:
                entries = self._store.range(self._prefix)
                found = [entry.key for entry in entries if entry.revision > self._revision]
                is_first, last = self._revision < 0, [entry.revision for entry in entries]
                self._revision = max([self._revision, 0, *last])
                if is_first:
                    return Changed([], has_gap=True)
                if found or not self._store.sleep_until(deadline):
                    return Changed(found)


def _holds(write: Create | Put | Replace | Delete, before: Entry | None) -> bool:
    match write:
        case Create():
            return before is None
        case Replace(revision=revision) | Delete(revision=int(revision)):
            return before is not None and before.revision == revision
        case _:
            return True
