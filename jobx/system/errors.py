"""Meanings of errors of the operating system: a full disk, a temporary lack, or a refusal."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from jobx.errors import (
    BlobDamaged,
    BlobUnreadable,
    JobxError,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
)

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
#: Errors of a temporary lack: descriptors, memory.
LACKS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
#: Descriptors that a resolver needs, with some to spare.
_SPARE: Final = 4
_PASSING: Final = LACKS | {errno.EINTR, errno.EAGAIN}
_MISSING: Final = frozenset({errno.ENOENT, errno.ENOTDIR})


def translate(error: OSError, where: str) -> JobxError:
    """Return the JobX error of an error of the operating system; ``where`` is the path."""
    reason = error.strerror or str(error)
    if error.errno in FULL:
        return StoreFull(where, reason)
    if error.errno in _PASSING:
        return StoreUnavailable(f"{where}: {reason}")
    return StoreRefused(where, reason)


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turn errors of the operating system into JobX errors, for the length of a ``with``."""
    try:
        yield
    except OSError as error:
        raise translate(error, where) from error


def translate_read(error: OSError, name: str) -> JobxError:
    """Return the error of a blob that could not be read: only a missing one is damaged."""
    reason = error.strerror or str(error)
    if error.errno in _MISSING:
        return BlobDamaged(name, reason)
    if error.errno in _PASSING:
        return StoreUnavailable(f"blob {name}: {reason}")
    return BlobUnreadable(name, reason)


def is_own_lack(error: BaseException | None) -> bool:
    """Tell whether an error comes from a lack of resources in this process."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in LACKS:
            return True
        error = error.__cause__ or error.__context__
    return False


def is_of_own_limit(error: BaseException) -> bool:
    """Tell whether an error comes from a limit of this process, which others need not have.

    That is the size of its files, or the number of its descriptors if it can open nothing.
    """
    cause = error.__cause__ or error.__context__  # what is compiled sets no cause
    if not isinstance(cause, OSError):
        return False
    if cause.errno == errno.EMFILE:
        return not _has_room()
    return cause.errno == errno.EFBIG


def _has_room() -> bool:
    try:
        _open_some()
    except OSError as error:
        return error.errno != errno.EMFILE
    return True


def confirm_room(error: BaseException | None) -> None:
    """Raise the lack of resources behind an error that does not show it.

    A resolver that can open no file reports an unknown name.

    Raises:
        OSError: There is no room for descriptors, or there was none for memory.
    """
    while error is not None:
        if isinstance(error, socket.gaierror):
            if error.errno == socket.EAI_MEMORY:
                raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)) from error
            _open_some()
        error = error.__cause__ or error.__context__


def _open_some() -> None:
    opened: list[int] = []
    try:
        opened += (os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC) for _ in range(_SPARE))
    finally:
        for descriptor in opened:
            os.close(descriptor)
