"""The store on etcd's v2 API: servers up to 3.5 that have it switched on (``--enable-v2``).

What is written together goes out side by side, in threads: first what all units demand, then what
leads to their guards, then the guards, then what follows them (see ``units``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import Any, Final

from jobx.errors import EntryDamaged, JobxError, OutcomeUnknown, StoreRefused, StoreUnavailable
from jobx.kv.etcd2.calls import Call, Look, Steps, T, TreeNode
from jobx.kv.etcd2.chain_order import waits
from jobx.kv.etcd2.changes import Etcd2Changes
from jobx.kv.etcd2.connection import Etcd2Connection
from jobx.kv.etcd2.errors import hung_up, is_no_etcd
from jobx.kv.etcd2.http_pool import CONNECTIONS
from jobx.kv.etcd2.leases import Etcd2Lease
from jobx.kv.etcd2.names import Names
from jobx.kv.etcd2.notes import Notes
from jobx.kv.etcd2.reading import Reader
from jobx.kv.etcd2.redo import Redo
from jobx.kv.etcd2.units import UnitWriter
from jobx.kv.etcd2.watches import Etcd2Watch
from jobx.kv.leases import Held
from jobx.kv.served_store import ServedStore
from jobx.kv.store import STORE_FAULTS, Chain, CommitOutcome, Entry, Limits
from jobx.kv.write_batch import too_large

#: v2 has no limit of its own below 10 MB, and keeps all values in memory.
LIMITS: Final = Limits(writes=4096, size_bytes=1 << 20)
#: Calls that are made side by side. python-etcd spends most of a call in the interpreter.
_THREADS: Final = 8
#: How long a waiting reader waits at most before it looks whether the store is closed.
LOOK_S: Final = 2.0
#: A commit makes no call after this many times the time limit of one.
_COMMIT_TIMEOUTS: Final = 10
#: How long a key that was seen to wait for its guard may go on to do so.
_PATIENCE_S: Final = 1.0


class Etcd2Store(ServedStore):
    """The contract of ``Store`` on a cluster of etcd, v2 API.

    Args:
        connection: The connection to its servers; it is closed with the store.
        root: The prefix of all keys.
        limits: The limits of one unit.
        patience_s: How long an open marker or an Idempotency-Key may wait for its guard.

    Raises:
        StoreUnavailable: No server answers.
        StoreRefused: They cannot be used as they are.
    """

    def __init__(
        self,
        connection: Etcd2Connection,
        root: str = "",
        limits: Limits = LIMITS,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self._connection = connection
        self.limits = limits
        self._names = Names(root)
        notes = Notes(patience_s)
        redo = Redo(self._names, notes)
        self._reader = Reader(self._names, notes, redo)
        self._writer = UnitWriter(self._names, notes, self._reader, redo)
        self._threads = ThreadPoolExecutor(min(_THREADS, CONNECTIONS), thread_name_prefix="etcd2")
        try:
            self._probe()
        except BaseException:
            self.close()
            raise

    def _probe(self) -> None:
        """Check that the servers can be used."""
        place = f"etcd at {self._connection.where}"
        try:
            base: TreeNode = self._connection.make(Look(self._names.base))
        except StoreUnavailable as error:
            if is_no_etcd(error.__cause__):
                raise StoreRefused(place, f"something else is there: {error.__cause__}") from error
            if not hung_up(error.__cause__):
                raise
            hint = "it hangs up; does it speak TLS (etcds2://) or not, or want store.cert_file?"
            raise StoreRefused(place, hint) from error
        if base.index and not base.is_folder:
            reason = f"{base.path} is no folder; choose another prefix in store.url"
            raise StoreRefused(place, reason)

    def _seen(self, key: str) -> tuple[Entry | None, int]:
        return self._take(self._reader.get(key))

    def range(
        self,
        prefix: str,
        *,
        after: str | None = None,
        limit: int | None = None,
        reverse: bool = False,
        damaged: list[EntryDamaged] | None = None,
    ) -> list[Entry]:
        """See ``Store.range``. Whole folders are read, whatever the limit."""
        self._connection.check_open()
        return self._take(self._reader.range(prefix, after, limit, reverse, damaged))

    def commit_many(self, chains: Sequence[Chain]) -> list[CommitOutcome]:
        """See ``Store.commit_many``."""
        self._connection.check_open()
        ways = [_Way(self._write_chain(chain, done := [0]), done) for chain in chains]
        before = [[ways[number] for number in numbers] for numbers in waits(chains)]
        wave = _Wave(self, time.monotonic() + _COMMIT_TIMEOUTS * self._connection.timeout_s)
        left = list(zip(ways, before, strict=True))
        while left := [(way, others) for way, others in left if not way.has_ended]:
            going = [way for way, others in left if all(other.has_ended for other in others)]
            calls = [way.begin() for way in going]
            answers = iter(wave.make([call for some in calls for call in some]))
            for way, some in zip(going, calls, strict=True):
                way.go_on([next(answers) for _ in some])
        return [CommitOutcome(way.done[0], way.error) for way in ways]

    def _look(self, key: str, revision: int, limit_s: float) -> None:
        self._connection.watch(self._names.path(key), revision, min(limit_s, LOOK_S))

    def lease(self, key: str, holder: str, ttl_s: float, value: str = "") -> Etcd2Lease:
        """See ``Leases.lease``."""
        path = self._names.path(key)
        return Etcd2Lease(self._connection, path, key, Held(holder, value=value), ttl_s)

    def watch(self, prefix: str) -> Etcd2Watch:
        """See ``Leases.watch``."""
        return Etcd2Watch(self._connection, self._names, prefix)

    def changes(self, prefix: str) -> Etcd2Changes:
        """See ``Followed.changes``."""
        return Etcd2Changes(self._connection, self._names, prefix)

    def close(self) -> None:
        """See ``Store.close``."""
        self._connection.close()
        self._threads.shutdown(cancel_futures=True)

    def _write_chain(self, chain: Chain, done: list[int]) -> Steps[JobxError | None]:
        """Write a chain, and count its units that are written."""
        for unit in chain:
            large = too_large(unit, self.limits)
            refused = large or (yield from self._writer.write(unit))
            if refused is not None:
                return refused
            done[0] += 1
        return None

    def _take(self, steps: Steps[T]) -> T:
        """Make the calls of steps, and return what they return."""
        try:
            calls = next(steps)
            while True:
                answers = self._make_all(calls, self._connection.make)
                failed = next((one for one in answers if isinstance(one, JobxError)), None)
                calls = steps.send(answers) if failed is None else steps.throw(failed)
        except StopIteration as end:
            result: T = end.value
            return result
        except OutcomeUnknown as error:  # of what others have left to do
            raise StoreUnavailable(str(error)) from error

    def _make_all(self, calls: list[Call], make: Any) -> list[Any]:
        """Make calls side by side; errors are answers."""

        def attempt(call: Call) -> Any:
            try:
                return make(call)
            except JobxError as error:
                return error

        if len(calls) == 1:
            return [attempt(calls[0])]
        try:
            return list(self._threads.map(attempt, calls))
        except (CancelledError, RuntimeError):  # the threads end, with the store
            self._connection.check_open()
            raise


class _Wave:
    """The calls of a commit: none is made any more after one that no server answered."""

    def __init__(self, store: Etcd2Store, last: float) -> None:
        self._store = store
        self._last = last
        self._failed: JobxError | None = None

    def make(self, calls: list[Call]) -> list[Any]:
        """Make calls; errors are answers."""
        return self._store._make_all(calls, self._make)

    def _make(self, call: Call) -> Any:
        if self._failed is not None:
            raise StoreUnavailable(f"it was not tried to write this: {self._failed}")
        if time.monotonic() > self._last:
            raise StoreUnavailable("etcd is too slow for all that there is to write")
        try:
            return self._store._connection.make(call)
        except STORE_FAULTS as error:
            self._failed = error
            raise


class _Way:
    """The progress of a chain."""

    def __init__(self, steps: Steps[JobxError | None], done: list[int]) -> None:
        self._steps = steps
        self._calls: list[Call] | None = None
        self.done = done
        self.error: JobxError | None = None
        self.has_ended = False

    def begin(self) -> list[Call]:
        """Return the calls that it waits for."""
        if self._calls is None:
            self._advance(lambda: next(self._steps))
        return self._calls or []

    def go_on(self, answers: list[Any]) -> None:
        """Take the answers of its calls."""
        if self.has_ended:
            return
        failed = next((one for one in answers if isinstance(one, JobxError)), None)
        if failed is None:
            self._advance(lambda: self._steps.send(answers))
        else:
            self._advance(lambda: self._steps.throw(failed))

    def _advance(self, ahead: Callable[[], list[Call]]) -> None:
        try:
            self._calls = ahead()
        except StopIteration as end:
            self.has_ended, self._calls, self.error = True, [], end.value
        except JobxError as error:
            self.has_ended, self._calls, self.error = True, [], error
