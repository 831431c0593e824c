"""Detects hanging processes: a node by its heartbeat, others by their state in the kernel."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final

#: If our own wait took longer, we were stopped ourselves, and no other process hung.
_LONGEST_LOOK_S: Final = 1.5
_CHUNK_BYTES: Final = 4096
_WANTS_STOP: Final = b"!"


class Heartbeat:
    """A pipe to which a node writes while its loop turns.

    Attributes:
        write_fd: The end that the node inherits.
        wants_stop: Whether the node was asked to drain, and wants to be stopped.
    """

    def __init__(self) -> None:
        self.wants_stop = False
        self._read_fd, self.write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        os.set_blocking(self.write_fd, False)

    def was_heard(self) -> bool:
        """Return whether the node has written since the last look."""
        heard = False
        with suppress(BlockingIOError):
            while found := os.read(self._read_fd, _CHUNK_BYTES):
                heard = True
                self.wants_stop |= _WANTS_STOP in found
        return heard

    def close(self) -> None:
        """Close the pipe."""
        os.close(self._read_fd)
        os.close(self.write_fd)


class Stillness:
    """Measures how long a process has hung, by repeated looks.

    The time between two looks counts only up to a limit, so a stop of this process, or of the
    machine, is not counted.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._still_s = 0.0
        self._looked: float | None = None

    def reset(self) -> None:
        """Start over, because the process was restarted."""
        self._still_s, self._looked = 0.0, None

    def look(self, now: float, *, is_alive: bool) -> bool:
        """Look at monotonic ``now``; return whether the process has hung for too long."""
        since_s = 0.0 if self._looked is None else min(now - self._looked, _LONGEST_LOOK_S)
        self._looked = now
        self._still_s = 0.0 if is_alive else self._still_s + since_s
        return self._still_s >= self._limit_s


def beat(write_fd: int) -> None:
    """Write a heartbeat; if the pipe is full, none is missing."""
    _write(write_fd, b".")


def wants_stop(write_fd: int) -> None:
    """Ask the watcher to stop this process, as on SIGTERM."""
    _write(write_fd, _WANTS_STOP)


def _write(write_fd: int, sign: bytes) -> None:
    with suppress(OSError):
        os.write(write_fd, sign)
