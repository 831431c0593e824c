"""A program that answers calls over its standard descriptors."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from tempfile import NamedTemporaryFile
from typing import Final

from jobx.handlers.failures import GuestFailed, Misuse
from jobx.handlers.languages import lines
from jobx.handlers.languages.answer import ProgramAnswer
from jobx.handlers.languages.exchange import READ_BYTES, Exchange, Pipes, Replies
from jobx.handlers.languages.guests import Guests
from jobx.handlers.scope.names import Scope
from jobx.handlers.tracebacks import StackFrame, filename
from jobx.system import processes

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
        source_code: What that file contains; None: it is not a file of author code.
        restores: It puts back what handlers of a request changed when it is told to.
    """

    def __init__(
        self,
        guests: Guests,
        argv: Sequence[str],
        name: str,
        path: str,
        *,
        source_code: str | None = None,
        restores: bool = False,
    ) -> None:
        self._guests = guests
        self._argv = argv
        self._name = name
        self._path = path
        self._source_code = source_code
        self._idle: Pipes | None = None
        self._request_id = ""
        #: No call of the request that it serves has ended; one has, since it was last restored.
        self._is_first = self._is_used = False
        if restores:
            guests.on_restore(self._restore_once)
        self._restores = restores

    def talk(
        self,
        scope: Scope,
        call: Callable[[], Iterable[bytes]],
        answer: ProgramAnswer | None = None,
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
        self._begin(scope.at_work().request.id)
        idle = self._take_idle()
        pipes = idle or self._start(environment)
        replies = answer.replies if answer else Replies()
        exchange = Exchange(pipes, call(), replies, closes=environment is not None)
        is_answered = yield from self._lines(exchange, pipes, scope, answer)
        if idle and not is_answered:  # it ended after its last answer, before this call
            yield from self.talk(scope, call, answer, environment)

    def _begin(self, request_id: str) -> None:
        """Have what other requests changed put back, if that has not been done."""
        if self._restores and request_id != self._request_id:
            self._restore()
            self._request_id, self._is_first = request_id, True

    def _restore_once(self) -> None:
        """Restore it after the first call of a request, while nobody waits.

        Most requests call it no more. After each call of a long one, that would be in vain.
        """
        if self._is_first and self._is_used:
            self._is_first = False
            self._restore()

    def _restore(self) -> None:
        """Have what handlers changed in it put back; end it when it cannot."""
        idle = self._take_idle() if self._is_used else None
        self._is_used = False
        if idle is not None and _is_restored(idle):
            self._idle = idle
        elif idle is not None:
            self._guests.end(idle.guest)

    def _take_idle(self) -> Pipes | None:
        """Return the program that waits for a call, if it does: nobody else has it meanwhile.

        One that wrote since its last answer is out of step: that is no answer to the next call.
        """
        idle, self._idle = self._idle, None
        if idle is not None and (idle.guest.poll() is not None or idle.has_answer()):
            self._guests.end(idle.guest)
            return None
        return idle

    def _start(self, environment: Mapping[str, str] | None) -> Pipes:
        if self._source_code is not None:
            self._put(self._source_code)
        pipe = subprocess.PIPE
        streams = {"stdin": pipe, "stdout": pipe, "stderr": pipe}
        return Pipes(self._guests.start(self._argv, env=environment, bufsize=0, **streams))

    def _put(self, source_code: str) -> None:
        """Write the file of the source anew: author code may have changed or removed it.

        A program that reads it still has the file that was there.
        """
        folder = os.path.dirname(self._path)
        os.makedirs(folder, exist_ok=True)
        with NamedTemporaryFile("w", encoding="utf-8", dir=folder, delete=False) as file:
            file.write(source_code)
        os.replace(file.name, self._path)

    def _lines(
        self, exchange: Exchange, pipes: Pipes, scope: Scope, answer: ProgramAnswer | None
    ) -> Generator[bytes, None, bool]:
        """Yield the lines of an answer; False if the program ended before it took up the call."""
        tail = _Tail(scope)
        ahead: Iterator[bytes] = iter(())
        is_idle = is_answered = False
        try:
            for is_output, pieces in exchange.run():
                if is_output:
                    is_answered = is_answered or bool(pieces)
                    ahead = iter(pieces)
                    yield from ahead
                else:
                    tail.take(pieces)
            tail.take(exchange.rest(_END_S))
            is_answered = is_answered or not exchange.is_untouched
            self._check_end(self._end_of(pipes.guest), tail)
            return is_answered
        except GeneratorExit:
            tail.take(exchange.rest())
            if answer and answer.has_ended:
                for line in ahead:
                    answer.late(line)
                is_idle = exchange.is_settled
            raise
        finally:
            if is_idle and self._idle is None:
                self._idle, self._is_used = pipes, True
            else:
                self._guests.end(pipes.guest)

    def _end_of(self, guest: subprocess.Popen[bytes]) -> int:
        """Return the exit code of a program that closed its output.

        Raises:
            Misuse: It goes on; a signal that ends it now says nothing about it.
        """
        try:
            guest.wait(_END_S)
        except subprocess.TimeoutExpired:
            reason = (
                f"{self._argv[0]} closed its output before the end of its answer, and did not end"
            )
            raise Misuse("protocol", reason) from None
        return self._guests.end(guest)

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

    def _frames(self, complaint: str) -> list[StackFrame]:
        """Return the line of the source that the program complained about."""
        place = re.escape(self._path) + r"""["',]*[:,]? ?(?:line )?(\d+)"""
        lines = [int(found) for found in re.findall(place, complaint)]
        return [(filename(self._name), line, "handler") for line in lines[-1:]]


def _is_restored(pipes: Pipes) -> bool:
    """Tell a process to put back what handlers changed; return whether it says that it has."""
    try:
        os.write(pipes.stdin.fileno(), _RESTORE)
        is_answered = pipes.has_answer(_RESTORE_S)
        return is_answered and os.read(pipes.stdout, READ_BYTES) == lines.END
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
