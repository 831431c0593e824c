"""Errors of back ends, with the paths that author code gave."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from jobx.handlers.files.paths import PathRefused
from jobx.handlers.files.quota import QuotaExceeded

#: For errors that come without a number.
_NUMBERS: Final = {
    FileNotFoundError: errno.ENOENT,
    FileExistsError: errno.EEXIST,
    NotADirectoryError: errno.ENOTDIR,
    IsADirectoryError: errno.EISDIR,
    PermissionError: errno.EACCES,
    TimeoutError: errno.ETIMEDOUT,
    ConnectionError: errno.ECONNRESET,
}


@contextmanager
def named(path: str, target: str | None = None) -> Iterator[None]:
    """Make errors of the back end name the path as author code gave it."""
    try:
        yield
    except OSError as error:
        if error.filename in (path, target) and error.filename is not None:
            raise
        number = error.errno or next((n for c, n in _NUMBERS.items() if isinstance(error, c)), None)
        reason = error.strerror or (os.strerror(number) if number else str(error))
        kind = type(error) if isinstance(error, PathRefused | QuotaExceeded) else OSError
        raise kind(number or errno.EIO, reason, path, None, target) from error
