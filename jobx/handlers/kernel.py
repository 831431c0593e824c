"""What the Linux kernel does for a process on request, and Python has no function for."""

from __future__ import annotations

import ctypes
import os
from typing import Final

#: Options of prctl(2).
DIE_WITH_PARENT: Final = 1
ADOPT_ORPHANS: Final = 36
NO_NEW_PRIVILEGES: Final = 38

_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def prctl(option: int, argument: int) -> None:
    """Set an option of this process; raises OSError when the kernel refuses."""
    if _LIBC.prctl(option, argument, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
