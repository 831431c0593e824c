"""Folders on the local disk, and the meaning of disk errors for a store."""

from __future__ import annotations

import errno
import logging
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from jobx.errors import JobxError, StoreRefused
from jobx.system import errors

#: Mode bits of everybody but the owner.
_OTHERS: Final = 0o077
#: Closing one of these would stop the machine.
_EVERYBODYS: Final = ("/tmp", "/var/tmp", "/dev/shm", "/")  # noqa: S108 - to refuse them

#: What is written at once. For one write of megabytes, Linux fills its cache with blocks of memory
#: as large, which it mostly takes from what was never used: that takes many times as long.
PIECE_BYTES: Final = 256 << 10
#: Opening a link, a folder for writing, a socket, or a FIFO that nobody reads.
_NO_FILE: Final = frozenset({errno.ELOOP, errno.EISDIR, errno.ENXIO})

log = logging.getLogger(__name__)


def translate(error: OSError, path: Path) -> JobxError:
    """Return the JobX error of an error of the disk."""
    return errors.translate(error, str(path))


def sync(folder: str | Path) -> None:
    """Make the names in a folder survive the loss of power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folders(blob: str) -> None:
    """Make the name of a blob survive the loss of power.

    Its folder, ``<root>/<workflow>/<request>``, may be new, and the one above as well.
    """
    for _ in range(3):
        blob = os.path.dirname(blob)
        sync(blob)


def pieces(body: bytes | bytearray | memoryview) -> Iterator[memoryview]:
    """Yield a body, without a copy, in pieces that are written one by one."""
    view = memoryview(body)
    for start in range(0, len(view), PIECE_BYTES):
        yield view[start : start + PIECE_BYTES]


def open_regular(path: str, flags: int = os.O_RDONLY, mode: int = 0o600) -> int:
    """Open a file where somebody else may have put something in its place, and return its number.

    It never waits, as for a writer of a FIFO, nor follows a link, nor opens a device for long.

    Raises:
        FileNotFoundError: It is missing, or something else is in its place.
        OSError: It cannot be opened.
    """
    try:
        opened = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode)
    except OSError as error:
        if error.errno in _NO_FILE:
            raise _no_file(path) from error
        raise
    try:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            raise _no_file(path)
    except OSError:
        os.close(opened)
        raise
    return opened


def _no_file(path: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, "something else than a file is in its place", path)


def create_folder(path: Path) -> None:
    """Create a folder and its parents, for its owner only; an existing folder is not changed.

    Raises:
        StoreFull: No room left.
        StoreRefused: It cannot be created, or something else has its name.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError as error:
        what = "leads to no folder" if path.is_symlink() else "is no folder"
        raise StoreRefused(str(path), f"it {what}; name one") from error
    except OSError as error:
        raise translate(error, path) from error


def own_folder(path: Path) -> None:
    """Create a folder for its owner alone, or close an existing one to others.

    Raises:
        StoreFull: No room left.
        StoreRefused: It cannot be created, belongs to another user, or is shared by many.
    """
    create_folder(path)
    # Where all users may create folders, an existing one may be another user's trap.
    is_exposed = bool(path.parent.stat().st_mode & stat.S_ISVTX)
    found = path.lstat() if is_exposed else path.stat()
    if found.st_uid != os.geteuid() and (is_exposed or os.geteuid() != 0):
        raise StoreRefused(str(path), f"it belongs to another user ({found.st_uid})")
    if not stat.S_ISDIR(found.st_mode) or _is_everybodys(path):
        raise StoreRefused(str(path), "it is no folder of this user's own; name one that is")
    _close(path, found.st_mode)


def _is_everybodys(path: Path) -> bool:
    names = set(_EVERYBODYS)
    with suppress(FileNotFoundError):  # there is none that takes a file
        names |= {tempfile.gettempdir()} - {os.getcwd()}  # which stands in for one that does not
    return any(os.path.exists(name) and path.samefile(name) for name in names)


@contextmanager
def born_private() -> Iterator[None]:
    """Make new files private from their first instant, for the length of a ``with``."""
    before = os.umask(_OTHERS)
    try:
        yield
    finally:
        os.umask(before)


def close_to_others(path: Path) -> None:
    """Close a file that others could read, and log it; a missing file is fine.

    Raises:
        StoreRefused: It is not ours to close.
    """
    with suppress(FileNotFoundError):
        _close(path, path.stat().st_mode)


def _close(path: Path, mode: int) -> None:
    if not mode & _OTHERS:
        return
    try:
        path.chmod(stat.S_IMODE(mode) & ~_OTHERS)
    except OSError as error:
        raise translate(error, path) from error
    log.warning("%s was open to other users (mode %o); it is closed now", path, stat.S_IMODE(mode))


def free_bytes(folder: Path) -> int:
    """Return how many bytes are free for this user where a folder is; blocks."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
