"""A program that answers calls over its standard descriptors."""

from __future__ import annotations

import os
import re
import select
import subprocess
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from typing import IO, Final, cast

from jobx.handlers.failures import Frame, GuestFailed, Misuse, filename
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


class Program:
    """A program of one handler; it is started when it is called, and again after it ended.

    Args:
        guests: Starts it.
        argv: The program and its arguments.
        name: The handler's name.
        path: File with the handler's source, which complaints of the program are about.
    """

    def __init__(self, guests: Guests, argv: Sequence[str], name: str, path: str) -> None:
        self._guests = guests
        self._argv = argv
        self._name = name
        self._path = path
        self._idle: subprocess.Popen[bytes] | None = None

    def talk(
        self,
        scope: Scope,
        call: Callable[[], Iterator[bytes]],
        is_over: Callable[[], bool],
        late: Callable[[bytes], object],
        environment: Mapping[str, str] | None = None,
    ) -> Generator[bytes, None, None]:
        """Send a call and yield the lines of the answer; close it where the answer ends.

        Args:
            scope: Takes what the program writes to its standard error.
            call: Returns the lines of the call.
            is_over: Tells whether the last line was the end of the answer.
            late: Takes lines that came with that end and after it.
            environment: Run the program for this call alone, in this environment: its input ends
                with the call.

        Raises:
            GuestFailed: The program ended with another code than 0, or cannot be started.
            Misuse: A line is too long.
        """
        idle = self._take_idle()
        guest = idle or self._start(environment)
        is_answered = False
        exchange = _Exchange(guest, call(), closes=environment is not None)
        with closing(self._lines(exchange, guest, scope, is_over, late)) as lines:
            for line in lines:
                is_answered = True
                yield line
        if idle and not is_answered:  # it had ended after its last answer
            yield from self.talk(scope, call, is_over, late, environment)

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
        is_over: Callable[[], bool],
        late: Callable[[bytes], object],
    ) -> Generator[bytes, None, None]:
        tail = _Tail(scope)
        ahead: Iterator[bytes] = iter(())
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
            if is_over():
                for line in ahead:
                    late(line)
                if exchange.is_settled:
                    self._idle = guest
            raise
        finally:
            if guest is not self._idle:
                self._guests.end(guest)

    def _check_end(self, code: int, tail: _Tail) -> None:
        """See how a program ended that closed its output."""
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
        self, guest: subprocess.Popen[bytes], sent: Iterator[bytes], *, closes: bool
    ) -> None:
        streams = (guest.stdin, guest.stdout, guest.stderr)  # pipes, all three
        self._stdin, self._stdout, self._stderr = cast("tuple[IO[bytes], ...]", streams)
        self._sent: Iterator[bytes] | None = sent
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
        return self._sent is None and not self._unfinished

    def run(self) -> Iterator[tuple[bool, list[bytes]]]:
        """Yield what comes until stdout is closed: (True, lines of it) or (False, of stderr)."""
        stdout, stderr = self._stdout.fileno(), self._stderr.fileno()
        while True:
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
            self._sent = None
        if not self._stdin.closed:
            self._forget_stdin()

    def _fill(self) -> bool:
        """Take up the next lines of the call; False when there are no more."""
        if self._sent is None:
            return False
        filled = bytearray()
        for line in self._sent:
            filled += line
            if len(filled) >= _WRITE_BYTES:
                break
        else:
            self._sent = None
        self._pending = memoryview(filled)
        return bool(filled)

    def _forget_stdin(self) -> None:
        with suppress(KeyError):  # it never was full
            self._poll.unregister(self._stdin)
        if self._closes:
            self._stdin.close()
