"""Checks of source that take much for what they are given, in a process of their own.

``python -m jobx.handlers.authoring.checks`` reads what is asked (check or read), a language,
a source and a type from its standard input as JSON and writes what is known of it,
or what is wrong with it.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from typing import Any, Final

from jobx.errors import InvalidInput
from jobx.handlers import languages
from jobx.handlers.languages.base import Checked
from jobx.system import kernel

#: What a check may take, of the clock, of the processor, and of memory.
LIMIT_S: Final = 20.0
CPU_S: Final = 15
MEMORY_BYTES: Final = 1 << 30
#: A source up to this takes less than 100 ms in any language that is parsed in Python …
SMALL_BYTES: Final = 32 << 10
#: … or so much less for each ``finally``: what stands there is compiled again for each way out of
#: what it guards, and so twice as often with each that stands in another.
_FINALLY_BITS: Final = 3
_COMPILED: Final = "wasm"
_PARSED: Final = "python"


def check(source_type: str, source_code: str, handler_type: str) -> None:
    """Check a source; what may take much is checked in a process with limits.

    Raises:
        InvalidInput: It is wrong (the message names the line), or took more than it may.
    """
    finals = source_code.count("finally")
    if source_type == _COMPILED or _may_take_much(source_type, source_code, finals):
        _ask_outside(["check", source_type, source_code, handler_type])
    else:
        languages.processor(source_type).check(source_code, handler_type)


def read(source_type: str, source_code: str, handler_type: str) -> Checked:
    """Return what is known of a source without running it, as ``check`` does.

    Raises:
        InvalidInput: It cannot be told, or took more than it may.
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


def _ask_outside(asked: list[str]) -> list[Any]:
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "jobx.handlers.authoring.checks"],
            input=json.dumps(asked).encode(),
            capture_output=True,
            check=False,
            timeout=LIMIT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise _too_much(f"more than {LIMIT_S:g} s") from error
    if done.returncode != 0:
        raise _too_much(f"more than {CPU_S} s or {MEMORY_BYTES} bytes of memory")
    answer: dict[str, list[Any]] = json.loads(done.stdout)
    if "wrong" in answer:
        raise InvalidInput(*answer["wrong"])
    return answer["known"]


def _too_much(what: str) -> InvalidInput:
    return InvalidInput("handler source", "its check", f"takes {what}: make the source smaller")


def _main() -> None:
    kernel.limit(resource.RLIMIT_CPU, CPU_S)
    kernel.limit(resource.RLIMIT_AS, MEMORY_BYTES)
    what, source_type, source_code, handler_type = json.load(sys.stdin)
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
