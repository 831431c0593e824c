"""Signals as an odd parent leaves them to the processes that it starts."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

#: One stops a process, the other ends a handler at its time limit.
BLOCKED = frozenset({signal.SIGTERM, signal.SIGALRM})


@contextmanager
def odd_signals() -> Iterator[None]:
    """Ignore SIGCHLD and block ``BLOCKED``; what is started meanwhile inherits it."""
    handler = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGCHLD, handler)
