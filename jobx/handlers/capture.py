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
from contextlib import suppress
from typing import Any, Final, TextIO

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
        self._stdin = _nothing()
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
        if _stream("stdin") is not self._stdin or self._stdin.closed:
            self._stdin = _nothing()
            _set_stream("stdin", self._stdin)
        if _is_lost(_stream("stdout")):
            _set_stream("stdout", CapturedStream(1, self._take))
        if _is_lost(_stream("stderr")):
            _set_stream("stderr", CapturedStream(2, self._take))

    def _flush(self) -> None:
        """Take what author code left in the streams, which it may have replaced."""
        for stream in (_stream("stdout"), _stream("stderr")):
            if type(stream) is CapturedStream and not stream.is_changed:
                continue  # nothing waits in it, and to flush it would take longer than all else
            if isinstance(stream, io.TextIOWrapper):
                with suppress(Exception):  # it may be closed, and may be of the author's class
                    stream.flush()

    def drain(self) -> None:
        """Take what is in the pipe now."""
        self._flush()
        self._empty()

    def _empty(self) -> None:
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
            self._empty()


def _nothing() -> TextIO:
    """Return a standard input at its end."""
    return open(0, encoding="utf-8", closefd=False)


def _stream(name: str) -> object:
    """Return a stream of ``sys``; None if author code deleted it."""
    return getattr(sys, name, None)


def _set_stream(name: str, stream: TextIO) -> None:
    for attribute in (name, f"__{name}__"):
        setattr(sys, attribute, stream)


def _is_lost(stream: object) -> bool:
    """Tell whether a stream is not as author code finds it first."""
    return type(stream) is not CapturedStream or stream.is_changed or stream.closed


class CapturedStream(io.TextIOWrapper):
    """sys.stdout and sys.stderr of an executor: nothing of what is written waits in them.

    Attributes:
        is_changed: Author code set an attribute or other settings, closed it, or took its buffer.
    """

    is_changed = True

    def __init__(self, descriptor: int, take: Callable[[bytes], None]) -> None:
        self._take = take
        self.mode = "w"  # type: ignore[misc]  # as Python sets it
        super().__init__(
            _CapturedBuffer(_CapturedBytes(descriptor, take)),
            encoding="utf-8",
            errors="backslashreplace",
            newline="\n",
            write_through=True,
        )
        super().__setattr__("is_changed", False)

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__("is_changed", True)
        super().__setattr__(name, value)

    def write(self, text: str) -> int:
        """Capture text."""
        if self.is_changed or type(text) is not str:
            return super().write(text)
        self._take(text.encode("utf-8", "backslashreplace"))  # the same, in a third of the time
        return len(text)

    def close(self) -> None:
        """Close it until the next work of the executor."""
        self.is_changed = True
        super().close()

    def reconfigure(self, **settings: Any) -> None:
        """Change its settings until the next work of the executor."""
        self.is_changed = True
        super().reconfigure(**settings)

    def detach(self) -> Any:
        """Return its buffer, which it loses."""
        self.is_changed = True
        return super().detach()


class _CapturedBuffer(io.BufferedWriter):
    """Writes at once, so that output of all kinds is captured in order."""

    def write(self, body: Any) -> int:
        written = super().write(body)
        self.flush()
        return written


class _CapturedBytes(io.RawIOBase):
    mode = "wb"

    def __init__(self, descriptor: int, take: Callable[[bytes], None]) -> None:
        self._descriptor = descriptor
        self._take = take
        self.name = "<stdout>" if descriptor == 1 else "<stderr>"

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        """Return the descriptor that ends in the same place."""
        return self._descriptor

    def write(self, body: Any) -> int:
        taken = bytes(body)
        self._take(taken)
        return len(taken)
