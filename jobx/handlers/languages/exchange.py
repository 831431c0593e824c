"""What goes to and fro between an executor and a program, over the pipes of the program."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import termios
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Final, cast

from jobx.handlers.failures import Misuse

READ_BYTES: Final = 1 << 16
_WRITE_BYTES: Final = 1 << 16
#: Longest line that a program may write.
MAX_LINE_BYTES: Final = 64 << 20
#: Replies that may wait for a program to read them, and their bytes.
MAX_REPLIES: Final = 1000
_REPLIES_BYTES: Final = 16 << 20
#: A program that has more to read, and asks on, gets so long to read some of it.
_STALL_S: Final = 5.0
#: How often it is seen whether a program has ended whose stderr another process keeps open.
_GLANCE_S: Final = 0.02


class Pipes:
    """The pipes of a running program, made ready once for all calls.

    Attributes:
        guest: The program.
        poll: Tells which pipe is ready: those from the program, and the other while it is full.
    """

    def __init__(self, guest: subprocess.Popen[bytes]) -> None:
        streams = (guest.stdin, guest.stdout, guest.stderr)  # pipes, all three
        self.guest = guest
        self.stdin, *others = cast("tuple[IO[bytes], ...]", streams)
        self.stdout, self.stderr = (stream.fileno() for stream in others)
        self.poll = select.poll()
        self.poll.register(self.stdout, select.POLLIN)
        self.poll.register(self.stderr, select.POLLIN)
        self._poll_stdout = select.poll()
        self._poll_stdout.register(self.stdout, select.POLLIN)
        os.set_blocking(self.stdin.fileno(), False)

    def has_answer(self, timeout_s: float = 0.0) -> bool:
        """Tell whether the program has written to stdout, or closed it."""
        return bool(self._poll_stdout.poll(1e3 * timeout_s))

    def takes_more(self, timeout_s: float) -> bool:
        """Wait until the program has read some of what it was sent; tell whether it has."""
        poll = select.poll()
        poll.register(self.stdin, select.POLLOUT)
        return bool(poll.poll(1e3 * timeout_s))

    def unread(self) -> int:
        """Return how many bytes that it was sent the program has not read."""
        size = fcntl.ioctl(self.stdin.fileno(), termios.FIONREAD, bytes(4))
        return int(struct.unpack("i", size)[0])

    def complaints(self, patience_s: float) -> Iterator[bytes]:
        """Yield what comes to stderr until it is closed, the program ended, or time is over."""
        deadline = time.monotonic() + patience_s
        poll = select.poll()
        poll.register(self.stderr, select.POLLIN)
        while time.monotonic() < deadline:
            if poll.poll(1e3 * _GLANCE_S):
                piece = os.read(self.stderr, READ_BYTES)
                if not piece:
                    return
                yield piece
            elif self.guest.poll() is not None:
                return

    def complaint(self) -> bytes:
        """Return what is in stderr now, or a piece of it."""
        is_there = any(ready == self.stderr for ready, _ in self.poll.poll(0))
        return os.read(self.stderr, READ_BYTES) if is_there else b""


class Replies:
    """Replies that wait to be sent, each in lines.

    Attributes:
        make_room: Called when there are more than may wait.
    """

    def __init__(self) -> None:
        self.make_room: Callable[[], None] = lambda: None
        self._waiting: deque[tuple[Iterable[bytes], int]] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def are_too_many(self) -> bool:
        """Whether more wait than may; one may, of any size."""
        waiting = len(self._waiting)
        return waiting > MAX_REPLIES or (waiting > 1 and self._bytes > _REPLIES_BYTES)

    def add(self, lines: Iterable[bytes], size_bytes: int = 0) -> None:
        """Add a reply, which takes ``size_bytes`` while it waits.

        Raises:
            Misuse: Too many wait, and the program reads none of them.
        """
        self._waiting.append((lines, size_bytes))
        self._bytes += size_bytes
        if self.are_too_many:
            self.make_room()

    def next(self) -> Iterable[bytes]:
        """Return the reply that has waited longest; it waits no more."""
        lines, size_bytes = self._waiting.popleft()
        self._bytes -= size_bytes
        return lines

    def clear(self) -> None:
        """Drop them."""
        self._waiting.clear()
        self._bytes = 0


class Exchange:
    """Writes a call and reads the answer at the same time, so that neither waits for the other."""

    def __init__(
        self, pipes: Pipes, sent: Iterable[bytes], replies: Replies, *, closes: bool
    ) -> None:
        self._pipes = pipes
        self._sent = deque([iter(sent)])
        self._replies = replies
        replies.make_room = self._make_room
        self._untaken = pipes.unread()
        self._is_between_lines = True
        self._pending = memoryview(b"")
        self._unfinished: list[bytes] = []  # pieces of a line that has no end yet
        self._unfinished_bytes = 0
        self._closes = closes
        self._is_full = False  # the pipe to the program was: the poll looks after it
        self._write()

    @property
    def is_settled(self) -> bool:
        """Whether all was sent, and nothing is left of a line that came."""
        return not (self._sent or self._replies or self._pending or self._unfinished)

    @property
    def is_untouched(self) -> bool:
        """Whether the program has read nothing of what was sent, as far as that can be told."""
        return not self._closes and self._pipes.unread() == self._untaken

    def run(self) -> Iterator[tuple[bool, list[bytes]]]:
        """Yield what comes until stdout is closed: (True, lines of it) or (False, of stderr)."""
        stdout, stderr, poll = self._pipes.stdout, self._pipes.stderr, self._pipes.poll
        while True:
            if self._replies:
                self._write()
            for descriptor, _ in poll.poll():
                if descriptor not in (stdout, stderr):
                    self._write()
                elif chunk := os.read(descriptor, READ_BYTES):
                    is_output = descriptor == stdout
                    yield is_output, self._lines(chunk) if is_output else [chunk]
                elif descriptor == stderr:
                    poll.unregister(descriptor)
                else:
                    last = b"".join(self._unfinished)
                    self._unfinished = []
                    yield True, [last] if last else []
                    return

    def rest(self, patience_s: float = 0.0) -> Iterator[bytes]:
        """Yield what is in stderr now, and what comes until it is closed or time is over."""
        if patience_s:
            yield from self._pipes.complaints(patience_s)
        yield from iter(self._pipes.complaint, b"")

    def _make_room(self) -> None:
        """Send replies until no more wait than may.

        Raises:
            Misuse: The program does not read them.
        """
        while self._replies.are_too_many:
            self._write()
            if self._replies.are_too_many and not self._pipes.takes_more(_STALL_S):
                reason = f"it asks on while {len(self._replies)} replies wait: read each one first"
                raise Misuse("protocol", reason)

    def _lines(self, chunk: bytes) -> list[bytes]:
        *lines, last = chunk.split(b"\n")
        if lines:
            lines[0] = b"".join([*self._unfinished, lines[0]])
            self._unfinished, self._unfinished_bytes = [], 0
        if last:
            self._unfinished.append(last)
            self._unfinished_bytes += len(last)
        if self._unfinished_bytes > MAX_LINE_BYTES:
            raise Misuse("protocol", f"a line is longer than {MAX_LINE_BYTES} bytes")
        return lines

    def _write(self) -> None:
        """Write as much of the call as the program takes now."""
        stdin = self._pipes.stdin
        try:
            while self._pending or self._fill():
                written = os.write(stdin.fileno(), self._pending)
                self._pending = self._pending[written:]
                self._untaken += written
        except BlockingIOError:
            self._is_full = True
            self._pipes.poll.register(stdin, select.POLLOUT)
            return
        except BrokenPipeError:  # it ended, or does not want to know
            self._sent.clear()
            self._replies.clear()
            self._pending = memoryview(b"")
        if self._is_full:
            self._is_full = False
            self._pipes.poll.unregister(stdin)
        if self._closes:
            stdin.close()

    def _fill(self) -> bool:
        """Take up what is sent next, replies before more of the call; False: that was all."""
        filled = bytearray()
        while len(filled) < _WRITE_BYTES:
            if self._replies and self._is_between_lines:
                self._sent.appendleft(iter(self._replies.next()))
            if not self._sent:
                break
            piece = next(self._sent[0], None)
            if piece is None:
                self._sent.popleft()
                continue
            filled += piece
            self._is_between_lines = piece.endswith(b"\n")
        self._pending = memoryview(filled)
        return bool(filled)
