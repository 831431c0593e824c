"""Folders on the local disk, and what the errors of the operating system mean for a store."""

from __future__ import annotations

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

log = logging.getLogger(__name__)


def translate(error: OSError, path: Path) -> JobxError:
    """Return the error that a caller can decide on."""
    return errors.translate(error, str(path))


def create_folder(path: Path) -> None:
    """Create a folder and those above it, for its owner only; one that exists is left as it is.

    Raises:
        StoreFull: No room left.
        StoreRefused: It cannot be created, or something else has its name.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise translate(error, path) from error


def own_folder(path: Path) -> None:
    """Create a folder that is its owner's alone; one that others could enter is closed to them.

    Raises:
        StoreFull: No room left.
        StoreRefused: It cannot be created, belongs to another user, or is one that many share.
    """
    create_folder(path)
    # Where all users may create folders, one of the name that is wanted may be another's trap.
    is_exposed = bool(path.parent.stat().st_mode & stat.S_ISVTX)
    found = path.lstat() if is_exposed else path.stat()
    if found.st_uid != os.geteuid() and (is_exposed or os.geteuid() != 0):
        raise StoreRefused(str(path), f"it belongs to another user ({found.st_uid})")
    if not stat.S_ISDIR(found.st_mode) or _is_everybodys(path):
        raise StoreRefused(str(path), "it is no folder of this user's own; name one that is")
    _close(path, found.st_mode)


def _is_everybodys(path: Path) -> bool:
    names = {tempfile.gettempdir(), *_EVERYBODYS}
    return any(os.path.exists(name) and path.samefile(name) for name in names)


@contextmanager
def born_private() -> Iterator[None]:
    """Have what is created meanwhile be its owner's alone from its first instant."""
    before = os.umask(_OTHERS)
    try:
        yield
    finally:
        os.umask(before)


def close_to_others(path: Path) -> None:
    """Close a file that others could read, and say so; a missing one is fine.

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
