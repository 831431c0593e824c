"""Checks of sources that may need much time or memory, in a process with limits.

``python -m jobx.handlers.authoring.checks`` reads a question (check or read), a language, a source
and a type from standard input as JSON, and writes the answer or the error.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from dataclasses import dataclass
from typing import Any, Final

from jobx.errors import InvalidInput, Unavailable
from jobx.handlers import languages
from jobx.handlers.languages.base import Checked
from jobx.system import kernel
from jobx.system.errors import translate


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a check: wall time, processor time, memory."""

    wall_s: float
    cpu_s: int
    memory_bytes: int


_PARSING: Final = Limits(20.0, 15, 1 << 30)
#: A module of a few megabytes takes five seconds of a processor, and threads that reserve memory.
_COMPILING: Final = Limits(120.0, 60, 4 << 30)
#: Python parses a source up to this in less than 100 ms, in any language …
SMALL_BYTES: Final = 32 << 10
#: … or this much less for each ``finally``, which is compiled again for each way out of the code
#: that it guards, and so twice as often for each level of nesting.
_FINALLY_BITS: Final = 3
#: The language whose programs are compiled when they are checked, and loaded.
COMPILED: Final = "wasm"
#: Characters that are told of what a check that failed by itself wrote.
_SHOWN: Final = 200
_PARSED: Final = "python"


def check(source_type: str, source_code: str, handler_type: str) -> None:
    """Check a source; large ones in a process with limits.

    Raises:
        InvalidInput: It is wrong (the message names the line), or it exceeded a limit.
    """
    finals = source_code.count("finally")
    if source_type == COMPILED or _may_take_much(source_type, source_code, finals):
        _ask_outside(["check", source_type, source_code, handler_type])
    else:
        languages.processor(source_type).check(source_code, handler_type)


def read(source_type: str, source_code: str, handler_type: str) -> Checked:
    """Return what a source says without running it, in the same way as ``check``.

    Raises:
        InvalidInput: It cannot be read, or it exceeded a limit.
    """
    if _may_take_much(source_type, source_code, 0):
        per_key, parameters, optional = _ask_outside(
            ["read", source_type, source_code, handler_type]
        )
        return Checked(per_key, tuple(parameters), tuple(optional))
    return languages.processor(source_type).read(source_code, handler_type)


def _may_take_much(source_type: str, source_code: str, finals: int) -> bool:
    most = SMALL_BYTES >> (_FINALLY_BITS * finals)
    return source_type == _PARSED and len(source_code) > most


def limits_of(source_type: str) -> Limits:
    """Return the limits of a check of a language."""
    return _COMPILING if source_type == COMPILED else _PARSING


def _ask_outside(asked: list[str]) -> list[Any]:
    limits = limits_of(asked[1])
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "jobx.handlers.authoring.checks"],
            input=json.dumps(asked).encode(),
            capture_output=True,
            check=False,
            timeout=limits.wall_s,
        )
    except subprocess.TimeoutExpired as error:
        raise _too_much(f"more than {limits.wall_s:g} s") from error
    except OSError as error:
        raise translate(error, "the check of a handler") from error
    if done.returncode < 0 or b"MemoryError" in done.stderr:
        raise _too_much(f"more than {limits.cpu_s} s or {limits.memory_bytes} bytes of memory")
    if done.returncode > 0:
        last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise Unavailable(f"a handler cannot be checked now: {last[:_SHOWN]}")
    answer: dict[str, list[Any]] = json.loads(done.stdout)
    if "wrong" in answer:
        raise InvalidInput(*answer["wrong"])
    return answer["known"]


def _too_much(what: str) -> InvalidInput:
    return InvalidInput("handler source", "its check", f"takes {what}: make the source smaller")


def _main() -> None:
    what, source_type, source_code, handler_type = json.load(sys.stdin)
    limits = limits_of(source_type)
    kernel.limit(resource.RLIMIT_CPU, limits.cpu_s)
    kernel.limit(resource.RLIMIT_AS, limits.memory_bytes)
    processor = languages.processor(source_type)
    asked = processor.check if what == "check" else processor.read
    try:
        known = asked(source_code, handler_type)
    except InvalidInput as error:
        json.dump({"wrong": [str(part) for part in error.args]}, sys.stdout)
    else:
        json.dump({"known": [known.per_key, known.parameters, known.optional]}, sys.stdout)


if __name__ == "__main__":
    _main()
