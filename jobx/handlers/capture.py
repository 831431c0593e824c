"""Standard descriptors of an executor: what author code writes there is captured, bounded.

Descriptor 0 is /dev/null; 1 and 2 are a pipe, so that programs and C code are captured as well.
The pipe is emptied by a thread, so a flood neither blocks its writer nor grows anything.
"""

from __future__ import annotations

import io
import os
import select
import sys
import threading
from collections.abc import Callable
from typing import Any, Final

_READ_BYTES: Final = 1 << 16


class Capture:
    """Takes what is written to the standard descriptors.

    Args:
        lift: Moves a descriptor to where author code is not likely to close it.
        take: Gets captured bytes.
    """

    def __init__(self, lift: Callable[[int], int], take: Callable[[bytes], None]) -> None:
        self._take = take
        self._lock = threading.Lock()
        read, write = os.pipe()
        self._pipe = lift(read)
        self._write = lift(write)
        self._null = lift(os.open(os.devnull, os.O_RDWR))
        os.set_blocking(self._pipe, False)
        self._arrived = select.poll()
        self._arrived.register(self._pipe, select.POLLIN)
        self.restore()

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The descriptors that it needs."""
        return (0, 1, 2, self._pipe, self._write, self._null)

    def start(self) -> None:
        """Empty the pipe from now on; the thread ends with the process."""
        threading.Thread(target=self._run, name="output", daemon=True).start()

    def restore(self) -> None:
        """Put the descriptors and streams in place, as author code may have changed them."""
        for number, source in enumerate((self._null, self._write, self._write)):
            os.dup2(source, number)  # whether it is needed would take longer to find out
        if _is_lost(sys.stdout):
            sys.stdout = CapturedStream(1, self._take)
        if _is_lost(sys.stderr):
            sys.stderr = CapturedStream(2, self._take)

    def drain(self) -> None:
        """Take what is in the pipe now."""
        with self._lock:
            if not self._arrived.poll(0):  # nearly always, and quicker than a read that fails
                return
            try:
                while piece := os.read(self._pipe, _READ_BYTES):
                    self._take(piece)
            except OSError:  # empty, or closed by author code
                return

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._pipe, select.POLLIN)
        while True:
            if any(events & ~select.POLLIN for _, events in poll.poll()):
                return
            self.drain()


def _is_lost(stream: object) -> bool:
    return not isinstance(stream, CapturedStream) or stream.closed or stream.buffer.closed


class CapturedStream(io.TextIOBase):
    """sys.stdout and sys.stderr of an executor."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, descriptor: int, take: Callable[[bytes], None]) -> None:
        self._descriptor = descriptor
        self._take = take
        self.buffer = _CapturedBytes(take)

    def write(self, text: str) -> int:
        """Capture text."""
        self._take(text.encode("utf-8", "backslashreplace"))
        return len(text)

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the descriptor that ends in the same place."""
        return self._descriptor


class _CapturedBytes(io.RawIOBase):
    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take

    def writable(self) -> bool:
        return True

    def write(self, body: Any) -> int:
        taken = bytes(body)
        self._take(taken)
        return len(taken)
