"""Translation of the errors of SQLite."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Final

from jobx.errors import (
    InternalError,
    JobxError,
    OutcomeUnknown,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
    TooLarge,
)

#: With less room than this, an I/O error counts as a full disk.
_LITTLE_ROOM_BYTES: Final = 128 << 10
_WAITING: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM})
_REFUSED: Final = frozenset(
    {
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FORMAT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)
#: Results of a COMMIT whose transaction may still survive; a failed read is called corrupt too.
_UNKNOWN: Final = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT})
#: Results that SQLite also gives when there is no room for its shared memory or its log.
_MAYBE_FULL: Final = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN})


def translate(error: sqlite3.Error, path: Path) -> JobxError:
    """Return the JobxError of an error; nothing was written."""
    code = _code(error)
    if code == sqlite3.SQLITE_FULL or (code in _MAYBE_FULL and _is_full(path)):
        return StoreFull(str(path), str(error))
    if code == sqlite3.SQLITE_CORRUPT:
        return StoreRefused(str(path), f"{error}, or the disk fails to read it")
    if code in _WAITING:
        return StoreUnavailable(f"{path}: {error}")
    if code in _REFUSED:
        return StoreRefused(str(path), str(error))
    if code == sqlite3.SQLITE_TOOBIG:
        return TooLarge(str(path), "a value", str(error))
    return InternalError(f"SQLite at {path}: {error}")


def translate_commit(error: sqlite3.Error, path: Path) -> JobxError:
    """Return the error of a COMMIT, which may survive a crash after a failed sync."""
    known = translate(error, path)
    if _code(error) in _UNKNOWN and not isinstance(known, StoreFull):
        return OutcomeUnknown(str(path), str(error))
    return known


def may_pass(error: BaseException | None) -> bool:
    """Tell whether the disk may have failed to read once; SQLite calls that corrupt too."""
    return isinstance(error, sqlite3.Error) and _code(error) in _UNKNOWN


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def _is_full(path: Path) -> bool:
    try:
        room = os.statvfs(path.parent)
    except OSError:
        return False
    return room.f_bavail * room.f_frsize < _LITTLE_ROOM_BYTES
