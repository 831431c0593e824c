"""Programs that check the syntax of a handler without running it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from typing import Final

from jobx.errors import InvalidInput, Unavailable
from jobx.system.errors import translated

_WHAT: Final = "the check of a handler"
_CHECK_S: Final = 30.0


def complaint(argv: Sequence[str], source: str = "") -> str:
    """Return the faults of a handler that a program reports; empty if there are none.

    Args:
        argv: The program and its arguments.
        source: Its standard input.

    Raises:
        InvalidInput: The check takes too long.
        Unavailable, StoreRefused: The machine lacks resources for a check.
    """
    with translated(_WHAT):
        try:
            done = subprocess.run(  # noqa: S603 - it only reads
                argv, input=source.encode(), capture_output=True, check=False, timeout=_CHECK_S
            )
        except subprocess.TimeoutExpired as error:
            raise InvalidInput("handler source", argv[0], f"cannot be checked: {error}") from error
    if done.returncode < 0:
        raise Unavailable(f"{_WHAT} was ended by signal {-done.returncode}")
    if done.returncode == 0:
        return ""
    return done.stderr.decode("utf-8", "replace").strip() or f"{argv[0]} says nothing"
