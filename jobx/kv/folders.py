"""Folders on the local disk, and what the errors of the operating system mean for a store."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Final

from jobx.errors import JobxError, StoreFull, StoreRefused, StoreUnavailable

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_PASSING: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR, errno.EAGAIN})


def translate(error: OSError, path: Path) -> JobxError:
    """Return the error that a caller can decide on."""
    reason = error.strerror or str(error)
    if error.errno in _FULL:
        return StoreFull(str(path), reason)
    if error.errno in _PASSING:
        return StoreUnavailable(f"{path}: {reason}")
    return StoreRefused(str(path), reason)


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
