"""A program that answers calls over its standard descriptors."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from typing import IO, Final, cast

from jobx.handlers.failures import Frame, GuestFailed, Misuse, filename
from jobx.handlers.languages import lines
from jobx.handlers.languages.child_processes import Guests
from jobx.handlers.scope.names import Scope
from jobx.system import processes

_READ_BYTES: Final = 1 << 16
_WRITE_BYTES: Final = 1 << 16
#: Longest line that a program may write.
MAX_LINE_BYTES: Final = 64 << 20
#: What is kept of stderr for the failure.
_TAIL_BYTES: Final = 4096
#: A program that closed its output gets so long to end.
_END_S: Final = 1.0
#: One that is to put back what handlers changed gets so long for it.
_RESTORE_S: Final = 1.0
_RESTORE: Final = b'{"restore":true}\n'
#: What one that aborts has said when it was for want of memory.
_NO_MEMORY: Final = "out of memory"


class Program:
    """A program that serves calls; it is started when it is called, and again after it ended.

    Args:
        guests: Starts it.
        argv: The program and its arguments.
        name: What it is called in complaints about it: as the handler, when it is of one.
        path: File with its source, which complaints of the program are about.
    """

    def __init__(self, guests: Guests, argv: Sequence[str], name: str, path: str) -> None:
        self._guests = guests
        self._argv = argv
        self._name = name
        self._path = path
        self._idle: subprocess.Popen[bytes] | None = None
        self._is_used = False

    def talk(
        self,
        scope: Scope,
        call: Callable[[], Iterable[bytes]],
        answer: lines.Answer | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Generator[bytes, None, None]:
        """Send a call and yield the lines of the answer; close it where the answer ends.

        Args:
            scope: Takes what the program writes to its standard error.
            call: Returns the lines of the call.
            answer: Takes the lines: tells their end, takes those after it, and has replies.
            environment: Run the program for this call alone, in this environment: its input ends
                with the call.

        Raises:
            GuestFailed: The program ended with another code than 0, or cannot be started.
            Misuse: A line is too long.
        """
        idle = self._take_idle()
        guest = idle or self._start(environment)
        is_answered = False
        replies = answer.replies if answer else deque()
        exchange = _Exchange(guest, call(), replies, closes=environment is not None)
        with closing(self._lines(exchange, guest, scope, answer)) as written:
            for line in written:
                is_answered = True
                yield line
        if idle and not is_answered:  # it had ended after its last answer
            yield from self.talk(scope, call, answer, environment)

    def restore(self) -> None:
        """Have what handlers changed in it put back; end it when it cannot."""
        idle = self._take_idle() if self._is_used else None
        if idle is not None and _is_restored(idle):
            self._idle, self._is_used = idle, False
        elif idle is not None:
            self._guests.end(idle)

    def _take_idle(self) -> subprocess.Popen[bytes] | None:
        """Return the program that waits for a call, if it does: nobody else has it meanwhile.

        One that wrote since its last answer is out of step: that is no answer to the next call.
        """
        idle, self._idle = self._idle, None
        if idle is not None and (idle.poll() is not None or _has_written(idle)):
            self._guests.end(idle)
            return None
        return idle

    def _start(self, environment: Mapping[str, str] | None) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        streams = {"stdin": pipe, "stdout": pipe, "stderr": pipe}
        return self._guests.start(self._argv, env=environment, bufsize=0, **streams)

    def _lines(
        self,
        exchange: _Exchange,
        guest: subprocess.Popen[bytes],
        scope: Scope,
        answer: lines.Answer | None,
    ) -> Generator[bytes, None, None]:
        tail = _Tail(scope)
        ahead: Iterator[bytes] = iter(())
        is_idle = False
        try:
            for is_output, pieces in exchange.run():
                if is_output:
                    ahead = iter(pieces)
                    yield from ahead
                else:
                    tail.take(pieces)
            tail.take(exchange.rest())
            self._check_end(self._guests.end(guest, _END_S), tail)
        except GeneratorExit:
            tail.take(exchange.rest())
            if answer and answer.has_ended:
                for line in ahead:
                    answer.late(line)
                is_idle = exchange.is_settled
            raise
        finally:
            if is_idle and self._idle is None:
                self._idle, self._is_used = guest, True
            else:
                self._guests.end(guest)

    def _check_end(self, code: int, tail: _Tail) -> None:
        """See how a program ended that closed its output."""
        if code == -signal.SIGABRT and _NO_MEMORY in tail.text:
            reason = f"{self._argv[0]} ran out of memory and aborted"
            raise GuestFailed("memory", "MemoryError", reason)
        if code < 0:
            raise GuestFailed(
                "crash", "GuestCrashed", f"{self._argv[0]} {processes.how_ended(code)}"
            )
        if code > 0:
            text = tail.text.replace(self._path, self._name).strip()
            said = text.rsplit("\n", 1)[-1]
            reason = f"{self._argv[0]} {processes.how_ended(code)}" + (f": {said}" if said else "")
            raise GuestFailed("author", "ProgramFailed", reason, self._frames(tail.text))

    def _frames(self, complaint: str) -> list[Frame]:
        """Return the line of the source that the program complained about."""
        place = re.escape(self._path) + r"""["',]*[:,]? ?(?:line )?(\d+)"""
        lines = [int(found) for found in re.findall(place, complaint)]
        return [(filename(self._name), line, "handler") for line in lines[-1:]]


def _has_written(guest: subprocess.Popen[bytes]) -> bool:
    poll = select.poll()
    poll.register(cast("IO[bytes]", guest.stdout), select.POLLIN)
    return bool(poll.poll(0))


def _is_restored(guest: subprocess.Popen[bytes]) -> bool:
    """Tell a process to put back what handlers changed; return whether it says that it has."""
    stdin, stdout = cast("IO[bytes]", guest.stdin), cast("IO[bytes]", guest.stdout)
    poll = select.poll()
    poll.register(stdout, select.POLLIN)
    try:
        os.write(stdin.fileno(), _RESTORE)
        is_answered = poll.poll(1e3 * _RESTORE_S)
        return bool(is_answered) and os.read(stdout.fileno(), _READ_BYTES) == lines.END
    except OSError:
        return False


class _Tail:
    """The standard error of a program: captured, and its end kept for the failure."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._kept = b""

    @property
    def text(self) -> str:
        return self._kept.decode("utf-8", "replace")

    def take(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            self._scope.take(piece)
            self._kept = (self._kept + piece)[-_TAIL_BYTES:]


class _Exchange:
    """Writes a call and reads the answer at the same time, so that neither waits for the other."""

    def __init__(
        self,
        guest: subprocess.Popen[bytes],
        sent: Iterable[bytes],
        replies: deque[Iterable[bytes]],
        *,
        closes: bool,
    ) -> None:
        streams = (guest.stdin, guest.stdout, guest.stderr)  # pipes, all three
        self._stdin, self._stdout, self._stderr = cast("tuple[IO[bytes], ...]", streams)
        self._sent = deque([iter(sent)])
        self._replies = replies
        self._is_between_lines = True
        self._pending = memoryview(b"")
        self._unfinished: list[bytes] = []  # pieces of a line that has no end yet
        self._unfinished_bytes = 0
        self._closes = closes
        self._poll = select.poll()
        self._poll.register(self._stdout, select.POLLIN)
        self._poll.register(self._stderr, select.POLLIN)
        os.set_blocking(self._stdin.fileno(), False)
        self._write()

    @property
    def is_settled(self) -> bool:
        """Whether all was sent, and nothing is left of a line that came."""
        return not (self._sent or self._replies or self._pending or self._unfinished)

    def run(self) -> Iterator[tuple[bool, list[bytes]]]:
        """Yield what comes until stdout is closed: (True, lines of it) or (False, of stderr)."""
        stdout, stderr = self._stdout.fileno(), self._stderr.fileno()
        while True:
            if self._replies:
                self._write()
            for descriptor, _ in self._poll.poll():
                if descriptor not in (stdout, stderr):
                    self._write()
                elif chunk := os.read(descriptor, _READ_BYTES):
                    is_output = descriptor == stdout
                    yield is_output, self._lines(chunk) if is_output else [chunk]
                elif descriptor == stderr:
                    self._poll.unregister(descriptor)
                else:
                    last = b"".join(self._unfinished)
                    self._unfinished = []
                    yield True, [last] if last else []
                    return

    def rest(self) -> Iterator[bytes]:
        """Yield what is in stderr now."""
        os.set_blocking(self._stderr.fileno(), False)
        try:
            while chunk := os.read(self._stderr.fileno(), _READ_BYTES):
                yield chunk
        except BlockingIOError:
            return

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
        try:
            while self._pending or self._fill():
                written = os.write(self._stdin.fileno(), self._pending)
                self._pending = self._pending[written:]
        except BlockingIOError:
            self._poll.register(self._stdin, select.POLLOUT)
            return
        except BrokenPipeError:  # it ended, or does not want to know
            self._sent.clear()
            self._replies.clear()
            self._pending = memoryview(b"")
        if not self._stdin.closed:
            self._forget_stdin()

    def _fill(self) -> bool:
        """Take up what is sent next, replies before more of the call; False: that was all."""
        filled = bytearray()
        while len(filled) < _WRITE_BYTES:
            if self._replies and self._is_between_lines:
                self._sent.appendleft(iter(self._replies.popleft()))
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

    def _forget_stdin(self) -> None:
        with suppress(KeyError):  # it never was full
            self._poll.unregister(self._stdin)
        if self._closes:
            self._stdin.close()
