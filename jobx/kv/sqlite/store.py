"""The store on SQLite: one file, several processes.

One connection writes, behind a lock; readers are borrowed from a pool. The database is in WAL
mode with ``synchronous=FULL``: what was committed survives the loss of power.

A commit runs as few statements as possible, because each one releases the interpreter's lock and
may wait several milliseconds to get it back from a busy event loop. So all units of a commit are
first tried as one, with many rows per statement; each unit is tried alone only if a condition
fails.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

from jobx.errors import EntryDamaged, StoreRefused, StoreUnavailable
from jobx.kv.prefixes import span
from jobx.kv.sqlite import wal
from jobx.kv.sqlite.errors import may_pass, translate, translate_commit
from jobx.kv.sqlite.reading import select, select_one
from jobx.kv.sqlite.statements import (
    CHANGES,
    SCHEMA,
    TABLES,
    Collision,
    try_unit,
    write_coalesced,
)
from jobx.kv.store import Chain, ChainStore, CommitOutcome, Entry, Limits
from jobx.kv.write_batch import Coalesced, coalesce, too_large
from jobx.system.disk import born_private, close_to_others, own_folder

T = TypeVar("T")

#: Endings of the names of a database and of SQLite's files next to it, with the database's mode.
_ENDS: Final = ("", "-wal", "-shm")
#: How often a waiting reader checks for writes of other processes.
_POLL_S: Final = 0.05
_CHECKPOINT_PAGES: Final = 4000
_WAL_LIMIT_BYTES: Final = 64 << 20


class SqliteStore(ChainStore):
    """The contract of ``Store`` on one SQLite file.

    Args:
        path: The file; it and its folder are created.
        busy_timeout_s: How long a write waits for those of other threads and processes.
        limits: The limits of one unit.
        is_alone: No other process has it open, so the log of a killed process is checked.

    Raises:
        StoreRefused: The file cannot be opened or written, is damaged, is not a store, or was
            written by a newer JobX.
        StoreFull: No room left.
        StoreUnavailable: It was locked for too long.
    """

    def __init__(
        self,
        path: Path,
        *,
        busy_timeout_s: float = 5.0,
        limits: Limits = Limits(),  # noqa: B008 - it is frozen
        is_alone: bool = False,
    ) -> None:
        self._path = path.absolute()
        self.limits = limits
        self._busy_timeout_s = busy_timeout_s
        self._lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._changed = threading.Condition()
        self._commits = 0
        self._closed = False
        own_folder(self._path.parent)
        for end in _ENDS:
            close_to_others(self._path.with_name(self._path.name + end))
        if is_alone:
            wal.check(self._path)
        try:
            with born_private():
                self._open()
        except sqlite3.Error as error:
            raise translate(error, self._path) from error

    def get(self, key: str) -> Entry | None:
        """See ``Store.get``."""
        return self._read(lambda reader: select_one(reader, key))

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
        bounds = span(prefix, after, reverse)
        told = len(damaged or ())

        def ask(reader: sqlite3.Connection) -> list[Entry]:
            if damaged is not None:
                del damaged[told:]
            return select(reader, bounds, limit, reverse, damaged)

        return self._read(ask)

    def commit_many(self, chains: Sequence[Chain]) -> list[CommitOutcome]:
        """See ``Store.commit_many``."""
        together = [write for chain in chains for unit in chain for write in unit]
        coalesced = None if too_large(together, self.limits) else coalesce(together)
        if coalesced is not None and self._try_coalesced(coalesced):
            return [CommitOutcome(len(chain)) for chain in chains]
        with self._transaction() as writer:
            return [self._try_chain(writer, chain) for chain in chains]

    def _try_coalesced(self, coalesced: Coalesced) -> bool:
        try:
            with self._transaction() as writer:
                write_coalesced(writer, coalesced)
        except Collision:
            return False
        return True

    def _try_chain(self, writer: sqlite3.Connection, chain: Chain) -> CommitOutcome:
        for done, unit in enumerate(chain):
            error = too_large(unit, self.limits) or try_unit(writer, unit)
            if error is not None:
                return CommitOutcome(done, error)
        return CommitOutcome(len(chain))

    def wait(self, key: str, revision: int, timeout_s: float) -> Entry | None:
        """See ``Store.wait``."""
        deadline = time.monotonic() + timeout_s
        seen = None
        with self._reader() as reader:
            while True:
                commits = self._commits
                (version,) = reader.execute("PRAGMA data_version").fetchone()
                if version != seen:
                    seen = version
                    entry = select_one(reader, key)
                    if (entry.revision if entry else 0) != revision:
                        return entry
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    return None
                self._pause(commits, min(left_s, _POLL_S))

    def size_bytes(self) -> int:
        """Return the size of the file, without its log."""
        with self._reader() as reader:
            ((pages, page_bytes),) = reader.execute(
                "SELECT page_count, page_size FROM pragma_page_count, pragma_page_size"
            )
        return int(pages * page_bytes)

    def check(self) -> None:
        """Check that every page is where it should be; it reads all of the file.

        Entries are checked when they are read.

        Raises:
            StoreRefused: The file is damaged.
        """
        with self._reader() as reader:
            ((found,),) = reader.execute("PRAGMA quick_check(1)").fetchall()
        if found != b"ok":
            reason = found.decode(errors="replace").splitlines()[-1]
            raise StoreRefused(str(self._path), f"it is damaged ({reason}); restore a backup of it")

    def close(self) -> None:
        """See ``Store.close``."""
        self._closed = True
        self._announce()
        self._close_idle()
        with self._lock:
            # Commits that cannot be moved out of the WAL now are safe in it.
            with suppress(sqlite3.Error):
                self._writer.execute("PRAGMA busy_timeout = 0")
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._writer.close()

    def _open(self) -> None:
        self._writer = self._connect()
        try:
            self._prepare()
        except BaseException:
            self._writer.close()
            raise

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path,
            timeout=self._busy_timeout_s,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            connection.execute("PRAGMA synchronous = FULL")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _prepare(self) -> None:
        (schema,) = self._writer.execute("PRAGMA user_version").fetchone()
        if schema > SCHEMA:
            reason = f"a newer JobX wrote it (schema {schema}, this one knows {SCHEMA})"
            raise StoreRefused(str(self._path), reason)
        self._enter_wal()
        self._writer.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        self._writer.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES}")
        with self._transaction() as writer:
            (schema,) = writer.execute("PRAGMA user_version").fetchone()
            if schema == 0:
                self._create_tables(writer)
            for older in range(schema or SCHEMA, SCHEMA):
                writer.execute(CHANGES[older])
            if schema != SCHEMA:
                writer.execute(f"PRAGMA user_version = {SCHEMA}")
            # Detects a read-only file now rather than at the first request.
            writer.execute("UPDATE counter SET revision = revision WHERE false")

    def _enter_wal(self) -> None:
        """Switch to WAL; SQLite does not always wait for another process that switches too."""
        deadline = time.monotonic() + self._busy_timeout_s
        while True:
            try:
                (mode,) = self._writer.execute("PRAGMA journal_mode = WAL").fetchone()
                break
            except sqlite3.OperationalError as error:
                busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        if mode != "wal":
            raise StoreRefused(str(self._path), f"it cannot be put in WAL mode (it is in {mode})")

    def _create_tables(self, writer: sqlite3.Connection) -> None:
        if writer.execute("SELECT 1 FROM sqlite_master").fetchone():
            raise StoreRefused(str(self._path), "it is a database of another program")
        for statement in TABLES:
            writer.execute(statement)

    def _read(self, ask: Callable[[sqlite3.Connection], T]) -> T:
        """Return the result of ``ask``; after a failure of the disk it is read once more."""
        try:
            with self._reader() as reader:
                return ask(reader)
        except StoreRefused as error:
            if not may_pass(error.__cause__):
                raise
        with self._reader() as reader:
            return ask(reader)

    @contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        """Lend a reading connection; each statement sees the last commit of all processes."""
        self._check_open()
        try:
            reader = self._borrow()
            try:
                yield reader
            finally:
                self._idle.append(reader)
                if self._closed:
                    self._close_idle()
        except sqlite3.Error as error:
            raise translate(error, self._path) from error

    def _borrow(self) -> sqlite3.Connection:
        try:
            return self._idle.pop()
        except IndexError:
            reader = self._connect()
            reader.text_factory = bytes  # a damaged key may not be text
            return reader

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Lend the writing connection; commit at the end, roll back on any exception."""
        if not self._lock.acquire(timeout=self._busy_timeout_s):
            raise StoreUnavailable(f"{self._path} was locked for {self._busy_timeout_s:g} s")
        try:
            self._check_open()
            self._writer.execute("BEGIN IMMEDIATE")
            yield self._writer
            self._commit()
        except BaseException as error:
            self._roll_back()
            if isinstance(error, sqlite3.Error):
                raise translate(error, self._path) from error
            raise
        finally:
            self._lock.release()
        self._announce()

    def _commit(self) -> None:
        try:
            self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            raise translate_commit(error, self._path) from error

    def _roll_back(self) -> None:
        # SQLite has already rolled back after most failures, such as a full disk.
        with suppress(sqlite3.Error):
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")

    def _pause(self, commits: int, timeout_s: float) -> None:
        """Wait for the next commit of this process."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._commits != commits, timeout_s)
        self._check_open()

    def _announce(self) -> None:
        with self._changed:
            self._commits += 1
            self._changed.notify_all()

    def _close_idle(self) -> None:
        with suppress(IndexError):
            while True:
                self._idle.pop().close()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreRefused(str(self._path), "it is closed")
