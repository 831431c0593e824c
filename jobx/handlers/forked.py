"""Processes that author code forks from an executor: they run author code, and never answer."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from jobx.handlers.capture import CapturedStream


class Forked:
    """Knows whether this process is the one that was asked, or a copy of it.

    Attributes:
        is_copy: Author code forked this process; noticed where Python's own fork made it.
    """

    def __init__(self) -> None:
        self.is_copy = False
        self._pid = os.getpid()

    def watch(self, let_go: Callable[[], None]) -> None:
        """Call ``let_go`` in each copy: it parts with what is of the process that was asked."""

        def in_copy() -> None:
            self.is_copy = True
            let_go()
            # What a copy writes is captured by the process that was asked.
            sys.stdout, sys.stderr = CapturedStream(1, _to(1)), CapturedStream(2, _to(2))

        os.register_at_fork(after_in_child=in_copy)

    def check(self) -> None:
        """End this process if it is a copy, also one that Python does not know of."""
        if os.getpid() != self._pid:
            end(sys.exception())


def end(error: BaseException | None) -> NoReturn:
    """End a copy as Python ends a program that ran to its end, or raised ``error``."""
    code = 0
    with suppress(BaseException):
        if isinstance(error, SystemExit):
            code = _code_of(error.code)
        elif error is not None:
            code = 1
            os.write(2, "".join(traceback.format_exception(error)).encode(errors="replace"))
    os._exit(code)


def _code_of(given: object) -> int:
    if given is None:
        return 0
    if isinstance(given, int):
        return given & 0xFF
    os.write(2, f"{given}\n".encode(errors="replace"))
    return 1


def _to(descriptor: int) -> Callable[[bytes], None]:
    return lambda body: _write(descriptor, body)


def _write(descriptor: int, body: bytes) -> None:
    rest = memoryview(body)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
