"""The store on etcd: its v3 API, servers 3.4 and later.

Entries are keys of etcd as they are, so that ``etcdctl get --prefix entities/`` shows them. All
units of a commit go out in as few transactions as possible; each unit is tried alone only if a
condition fails.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any, Final

from aetcd.rpc import rpc_pb2

from jobx.errors import (
    Conflict,
    EntryDamaged,
    JobxError,
    OutcomeUnknown,
    StoreUnavailable,
)
from jobx.kv.etcd.connection import EtcdConnection, Server, opened
from jobx.kv.etcd.leases import EtcdLease
from jobx.kv.etcd.transactions import Numbered, Space, groups
from jobx.kv.etcd.watches import EtcdChanges, EtcdWatch
from jobx.kv.leases import Held
from jobx.kv.net_effect import Played, play
from jobx.kv.prefixes import span
from jobx.kv.served_store import ServedStore
from jobx.kv.store import STORE_FAULTS, Chain, CommitOutcome, Entry, Limits, Unit
from jobx.kv.write_batch import coalesce, name_of, too_large

#: etcd's default limits of one transaction; a part of its 1.5 MiB is overhead.
LIMITS: Final = Limits(writes=128, size_bytes=1 << 20)
#: How often a waiting reader polls, in case its watch is dead or behind a compaction.
_LOOK_S: Final = 30.0
#: A commit begins no transaction after this many times the time limit of one.
_COMMIT_TIMEOUTS: Final = 10


class EtcdStore(ServedStore):
    """The contract of ``Store`` on a cluster of etcd.

    Args:
        connection: The connection to its servers; it is closed with the store.
        root: The prefix of all keys.
        limits: The limits of one unit.

    Raises:
        StoreUnavailable: No server answers.
        StoreRefused: They cannot be used as they are.
    """

    def __init__(
        self,
        connection: EtcdConnection,
        root: str = "",
        limits: Limits = LIMITS,
    ) -> None:
        self._connection = connection
        self._space = Space(root)
        self.limits = limits
        opened(connection, lambda: self.range("", limit=1, damaged=[]))

    def range(
        self,
        prefix: str,
        *,
        after: str | None = None,
        limit: int | None = None,
        reverse: bool = False,
        damaged: list[EntryDamaged] | None = None,
    ) -> list[Entry]:
        """See ``Store.range``. In reverse, a server reads the whole range whatever the limit."""
        low, high = self._space.bounds(*span(prefix, after, reverse))
        self._connection.check_open()
        if limit == 0 or (high != b"\0" and low >= high):
            return []
        order = rpc_pb2.RangeRequest.DESCEND if reverse else rpc_pb2.RangeRequest.NONE
        found: list[Entry] = []
        while True:
            left = limit - len(found) if limit else 0
            request = rpc_pb2.RangeRequest(key=low, range_end=high, limit=left, sort_order=order)
            answer = self._read(request)
            found += self._entries(answer.kvs, damaged)
            if not answer.more or len(found) == limit:
                return found
            last = answer.kvs[-1].key  # damaged entries do not count
            low, high = (low, last) if reverse else (last + b"\0", high)

    def commit_many(self, chains: Sequence[Chain]) -> list[CommitOutcome]:
        """See ``Store.commit_many``."""
        self._connection.check_open()
        last = time.monotonic() + _COMMIT_TIMEOUTS * self._connection.timeout_s
        ends = _Ends(chains)
        for group in groups(chains, self.limits):
            units = [(number, unit) for number, unit in group if ends.is_open(number)]
            try:
                self._write_group(units, ends, last)
            except STORE_FAULTS as error:
                ends.stop(error, {number for number, _ in units})
                break
        return ends.outcomes()

    def _look(self, key: str, revision: int, limit_s: float) -> None:
        create = rpc_pb2.WatchCreateRequest(key=self._space.key(key), start_revision=revision)
        request = rpc_pb2.WatchRequest(create_request=create)
        with closing(self._connection.watch(request, min(limit_s, _LOOK_S))) as answers:
            next((answer for answer in answers if answer.events or answer.canceled), None)

    def lease(self, key: str, holder: str, ttl_s: float, value: str = "") -> EtcdLease:
        """See ``Leases.lease``."""
        place = self._space.key(key)
        return EtcdLease(self._connection, place, key, Held(holder, value=value), ttl_s)

    def watch(self, prefix: str) -> EtcdWatch:
        """See ``Leases.watch``."""
        return EtcdWatch(self._connection, self._space, prefix)

    def changes(self, prefix: str) -> EtcdChanges:
        """See ``Followed.changes``."""
        return EtcdChanges(self._connection, self._space, prefix)

    def close(self) -> None:
        """See ``Store.close``."""
        self._connection.close()

    def _seen(self, key: str) -> tuple[Entry | None, int]:
        name = self._space.key(key)
        if not name:
            self._connection.check_open()
            return None, 0
        answer = self._read(rpc_pb2.RangeRequest(key=name))
        entry = self._entry(answer.kvs[0]) if answer.kvs else None
        return entry, answer.header.revision

    def _read(self, request: Any) -> Any:
        return self._connection.call(_range, request, self._connection.deadline())

    def _entries(self, items: Any, damaged: list[EntryDamaged] | None) -> list[Entry]:
        found = []
        for item in items:
            try:
                found.append(self._entry(item))
            except EntryDamaged as error:
                if damaged is None:
                    raise
                damaged.append(error)
        return found

    def _entry(self, item: Any) -> Entry:
        try:
            return Entry(self._space.name(item.key), item.value, item.mod_revision)
        except UnicodeDecodeError as error:
            raise EntryDamaged(
                repr(item.key), "its name is no text; JobX did not write it"
            ) from error

    def _write_group(self, units: list[Numbered], ends: _Ends, last: float) -> None:
        """Write units in order, several as one transaction if that is possible."""
        if len(units) > 1:
            coalesced = coalesce([write for _, unit in units for write in unit])
            if coalesced is not None:
                first = name_of(units[0][1][-1]) if units[0][1] else ""
                request = self._space.coalesced(coalesced)
                answer = self._transact(request, first, last)
                if not isinstance(answer, JobxError) and answer.succeeded:
                    for number, _ in units:
                        ends.wrote(number)
                    return
        for number, unit in units:
            if ends.is_open(number):
                ends.settle(number, self._try_unit(unit, last))

    def _try_unit(self, unit: Unit, last: float) -> JobxError | None:
        """Write a unit, all or none; return its error, or None once it is written."""
        large = too_large(unit, self.limits)
        if large is not None or not unit:
            return large
        played = play(unit)
        request = self._space.transaction(played)
        answer = self._transact(request, name_of(unit[-1]), last)
        if isinstance(answer, JobxError):
            return answer
        if answer.succeeded:
            return None if played.refused is None else Conflict(played.refused)
        return Conflict(_broken(played, answer))

    def _transact(self, request: Any, key: str, last: float) -> Any:
        """Make a transaction with a deadline of its own, unless it begins after ``last``.

        An error that is only its own is returned: a server may allow less than ``limits``.
        """
        if time.monotonic() > last:
            raise StoreUnavailable("etcd is too slow for all that there is to write")
        try:
            return self._connection.call(_txn, request, self._connection.deadline(), key)
        except STORE_FAULTS:
            raise
        except JobxError as error:
            return error


class _Ends:
    """The progress of each chain, and its error."""

    def __init__(self, chains: Sequence[Chain]) -> None:
        self._done = [0] * len(chains)
        self._units = [len(chain) for chain in chains]
        self._errors: list[JobxError | None] = [None] * len(chains)

    def is_open(self, number: int) -> bool:
        return self._errors[number] is None

    def wrote(self, number: int) -> None:
        self._done[number] += 1

    def settle(self, number: int, error: JobxError | None) -> None:
        if error is None:
            self.wrote(number)
        self._errors[number] = error

    def stop(self, error: JobxError, asked: set[int]) -> None:
        """End all chains that have units left; ``asked`` are those with a call."""
        spared = error
        if isinstance(error, OutcomeUnknown):
            spared = StoreUnavailable(f"it was not tried to write this: {error}")
        for number, units in enumerate(self._units):
            if self._errors[number] is None and self._done[number] < units:
                self._errors[number] = error if number in asked else spared

    def outcomes(self) -> list[CommitOutcome]:
        return [CommitOutcome(*one) for one in zip(self._done, self._errors, strict=True)]


def _range(server: Server) -> Any:
    return server.range


def _txn(server: Server) -> Any:
    return server.txn


def _broken(played: Played, answer: Any) -> str:
    """Return the first key, in the unit's order, whose condition did not hold."""
    found = (response.response_range.kvs for response in answer.responses)
    for (key, revision), items in zip(played.conditions.items(), found, strict=True):
        if (items[0].mod_revision if items else 0) != revision:
            return key
    return next(iter(played.conditions))
