"""Runs a handler at the user's terminal, under Python's debugger: ``jobx handler test --pdb``.

``python -m jobx.handlers.trial.debugged STREAM_FD``: frames as an executor gets them, after its
configuration. Nothing is captured or limited: a breakpoint and the end of a failed invocation open
the debugger on the standard streams.
"""

from __future__ import annotations

import bdb
import mmap
import os
import pdb
import signal
import socket
import sys
from types import TracebackType
from typing import Final

import msgspec

from jobx import work
from jobx.frames import FrameSocket
from jobx.handlers import tracebacks
from jobx.handlers.execution import work_kinds
from jobx.handlers.execution.main import Config, state_of
from jobx.handlers.execution.shared_page import PAGE_BYTES, SharedPage
from jobx.handlers.execution.time_limit import TimeLimit
from jobx.handlers.scope.names import Scope
from jobx.segments import ReadyReport, ResultReport
from jobx.system import kernel
from jobx.work import LoadHandler, WorkFrame

_OWN_CODE: Final = "jobx."


class _Terminal(Scope):
    """The names for author code; what it logs and prints is seen at once."""

    def take(self, piece: bytes) -> None:
        """Write to the standard output."""
        sys.stdout.flush()
        sys.stdout.buffer.write(piece)
        sys.stdout.flush()


def _post_mortem(error: BaseException) -> None:
    """Open the debugger where an invocation failed."""
    if isinstance(error, bdb.BdbQuit | SystemExit):
        return
    said = f"{tracebacks.type_name(type(error))}: {tracebacks.message_of(error)}"
    sys.stdout.write(f"{tracebacks.of_exception(error, str)}{said}\n")
    frames = _of_author(tracebacks.frames_of(error))
    if frames is None:
        sys.stdout.write("no line of the handler was running, so there is nothing to look at\n")
    else:
        pdb.post_mortem(frames)


def _of_author(innermost: TracebackType | None) -> TracebackType | None:
    """Return a traceback without JobX's own frames around those of the author and of libraries."""
    while innermost is not None and not tracebacks.shown_file(innermost.tb_frame):
        innermost = innermost.tb_next
    last, at = innermost, innermost
    while at is not None:
        if not str(at.tb_frame.f_globals.get("__name__")).startswith(_OWN_CODE):
            last = at
        at = at.tb_next
    if last is not None:
        last.tb_next = None
    return innermost


def main(arguments: list[str]) -> None:
    """Run what comes over the stream, until the other end closes it."""
    kernel.prctl(kernel.DIE_WITH_PARENT, signal.SIGKILL)
    stream = FrameSocket(socket.socket(fileno=int(arguments[0])))
    config = Config(**msgspec.msgpack.decode(stream.receive_body() or b""))
    page = SharedPage(mmap.mmap(-1, PAGE_BYTES))
    state = state_of(config, os.getcwd(), page, _Terminal(), time_limit=TimeLimit())
    state.examine = _post_mortem
    stream.send(ReadyReport(os.getpid()))
    while (body := stream.receive_body()) is not None:
        order = work.decode(body)
        if isinstance(order, LoadHandler):
            state.load(order)
        elif isinstance(order, WorkFrame):
            segments = work_kinds.run(state, order)
            stream.send(ResultReport(order.id, order.work.request.id, segments))


if __name__ == "__main__":
    main(sys.argv[1:])
