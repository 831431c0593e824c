"""Checks of source that take much for what they are given, in a process of their own.

``python -m jobx.handlers.checks`` reads a language, a type and a source from its standard input as
JSON and writes what is wrong with it, or null.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from typing import Final

from jobx.errors import InvalidInput
from jobx.handlers import languages

#: What a check may take, of the clock, of the processor, and of memory.
LIMIT_S: Final = 20.0
CPU_S: Final = 15
MEMORY_BYTES: Final = 1 << 30
#: A source up to this takes little in any language that is parsed in Python.
SMALL_BYTES: Final = 64 << 10
_COMPILED: Final = "wasm"
_PARSED: Final = "python"


def check(source_type: str, source_code: str, handler_type: str) -> None:
    """Check a source; what may take much is checked in a process with limits.

    Raises:
        InvalidInput: It is wrong (the message names the line), or took more than it may.
    """
    is_large = source_type == _PARSED and len(source_code) > SMALL_BYTES
    if source_type == _COMPILED or is_large:
        _check_outside([source_type, source_code, handler_type])
    else:
        languages.processor(source_type).check(source_code, handler_type)


def _check_outside(asked: list[str]) -> None:
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "jobx.handlers.checks"],
            input=json.dumps(asked).encode(),
            capture_output=True,
            check=False,
            timeout=LIMIT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise _too_much(f"more than {LIMIT_S:g} s") from error
    if done.returncode != 0:
        raise _too_much(f"more than {CPU_S} s or {MEMORY_BYTES} bytes of memory")
    wrong = json.loads(done.stdout)
    if wrong is not None:
        raise InvalidInput(*wrong)


def _too_much(what: str) -> InvalidInput:
    return InvalidInput("handler source", "its check", f"takes {what}: make the source smaller")


def _main() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    source_type, source_code, handler_type = json.load(sys.stdin)
    wrong = None
    try:
        languages.processor(source_type).check(source_code, handler_type)
    except InvalidInput as error:
        wrong = [str(part) for part in error.args]
    json.dump(wrong, sys.stdout)


if __name__ == "__main__":
    _main()
