"""Makes stdout and stderr of a command take every character; knows errors of a closed one."""

from __future__ import annotations

import codecs
import errno
import os
import sys
from io import TextIOWrapper
from typing import Final

#: Name of the error handler that writes characters a stream lacks as JSON escapes.
_ESCAPES: Final = "jobx.escapes"
#: Errors of a stream that takes nothing: full, closed, or on a sick disk.
_REFUSALS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EBADF, errno.EIO, errno.EFBIG})


def prepare() -> None:
    """Make stdout and stderr take all text: what their encoding lacks is a JSON escape in it.

    So JSON stays JSON. A stream that was closed gets a descriptor that refuses, so that no file
    that is opened later gets its number.
    """
    codecs.register_error(_ESCAPES, _escape)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None and not _is_open(number):
            os.open(os.devnull, os.O_RDONLY)  # gets the lowest number, which is this one
            os.set_inheritable(number, True)  # and keeps it in processes that are started
            if name != "stdin":
                made = open(number, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - as long as the process
                setattr(sys, name, made)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=_ESCAPES)


def is_refusal(error: BaseException) -> bool:
    """Return whether an error is of a stream that takes nothing."""
    return isinstance(error, OSError) and error.filename is None and error.errno in _REFUSALS


def leave() -> None:
    """Send what is left to nowhere: the interpreter's last flush must not complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and not _takes(stream):
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _takes(stream: TextIOWrapper) -> bool:
    try:
        stream.flush()
    except OSError:
        return False
    return True


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _escape(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    pairs = (units[at : at + 2].hex() for at in range(0, len(units), 2))
    return "".join(f"\\u{pair}" for pair in pairs), error.end
