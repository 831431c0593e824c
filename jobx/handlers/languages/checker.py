"""Programs that check the syntax of a handler, and run nothing of it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from typing import Final

from jobx.errors import InvalidInput, Unavailable
from jobx.system.errors import translated

_WHAT: Final = "the check of a handler"
_CHECK_S: Final = 30.0


def complaint(argv: Sequence[str], source: str = "") -> str:
    """Return what a program says is wrong with a handler; empty: nothing is.

    Args:
        argv: The program and its arguments.
        source: What it reads.

    Raises:
        InvalidInput: It takes too long for that.
        Unavailable, StoreRefused: The machine lacks what a check takes.
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
