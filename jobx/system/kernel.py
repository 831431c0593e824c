"""Calls of the Linux kernel for which Python has no quick function."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the part of ``signal`` that is in C
import ctypes
import os
import resource
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

#: Options of prctl(2).
DIE_WITH_PARENT: Final = 1
ADOPT_ORPHANS: Final = 36
NO_NEW_PRIVILEGES: Final = 38
#: Options of mallopt(3).
_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_ARENAS: Final = -8

#: Blocks of memory of this size return to the system when they are freed …
_LARGE_BYTES: Final = 32 << 10
#: … and smaller ones at the end of all when so much is free there.
_SPARE_BYTES: Final = 1 << 20
#: Freed memory that is worth to be given back.
_MUCH_BYTES: Final = 64 << 20

#: As ``signal.signal`` and ``signal.getsignal``, but without enums: the lookup of a handler's enum
#: takes several times as long as everything else.
set_handler: Final[Callable[[int, Any], Any]] = _signal.signal
handler_of: Final[Callable[[int], Any]] = _signal.getsignal
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def reset_signals() -> None:
    """Undo what a parent can leave behind: SIGCHLD that is ignored, and signals that are blocked.

    While SIGCHLD is ignored, the kernel tells nobody how a child ended. Only the main thread may
    change a handler; in any other one, nothing happens.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    if handler_of(_signal.SIGCHLD) == _signal.SIG_IGN:
        set_handler(_signal.SIGCHLD, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())


def prctl(option: int, argument: int) -> None:
    """Set an option of this process; raises OSError when the kernel refuses."""
    if _LIBC.prctl(option, argument, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def limit(number: int, most: int) -> None:
    """Limit this process, and all that it starts, to ``most`` or to its present limit."""
    _, hard = resource.getrlimit(number)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(number, (most, most))


def give_back_memory(large_bytes: int = _LARGE_BYTES) -> None:
    """Make freed memory of this process, and of its threads, return to the system.

    Blocks of ``large_bytes`` do so at once; each of their pages costs time when it is used anew.
    """
    with suppress(AttributeError):  # another C library lacks these options, or does not need them
        for option, number in (
            (_MMAP_THRESHOLD, large_bytes),
            (_TRIM_THRESHOLD, _SPARE_BYTES),
            (_ARENAS, 1),
        ):
            _LIBC.mallopt(option, number)


class _Mallinfo(ctypes.Structure):
    """What mallinfo2(3) gives."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


class Heap:
    """Returns what a process has freed to the system, when that is much.

    Large requests leave it. To return it stops all threads that allocate, a millisecond for each
    megabyte or so; and what lies between used blocks cannot be returned. So a look at it is cheap,
    and only what was freed since the last time counts.
    """

    def __init__(self) -> None:
        self._freed_bytes = 0

    def give_back(self) -> bool:
        """Return memory if more than ``_MUCH_BYTES`` were freed since the last time."""
        try:
            look, trim = _LIBC.mallinfo2, _LIBC.malloc_trim
        except AttributeError:  # another C library
            return False
        look.restype = _Mallinfo
        freed_bytes = int(look().fordblks)
        is_much = freed_bytes - self._freed_bytes > _MUCH_BYTES
        if is_much:
            trim(0)
        if is_much or freed_bytes < self._freed_bytes:
            self._freed_bytes = freed_bytes  # what was returned is counted on
        return is_much


def give_way() -> None:
    """Let this process, and all that it starts, interrupt no other process when it wakes up.

    Otherwise the kernel lets an executor interrupt the node in the very call that sends it a
    frame, and the node comes back to cold caches. With 16 clients this saves about a tenth of the
    time. The process gets no less of the processors. A policy that somebody chose for it stays.
    """
    with suppress(OSError):  # a sandbox may forbid it, and nothing depends on it
        if os.sched_getscheduler(0) == os.SCHED_OTHER:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
