"""Programs that author code runs."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from jobx.handlers.failures import HandlerTimeout, RunError

_STDERR_SHOWN: Final = 2000


def run(
    cmd: str | Sequence[str],
    input_data: str | bytes | None,
    success_code: int | None,
    *,
    env: Mapping[str, str],
    limit_s: float | None,
    note: Callable[[str], None],
) -> subprocess.CompletedProcess[bytes]:
    """Run a program without a shell.

    Args:
        cmd: Program and arguments; a text is split like a shell command.
        input_data: Its standard input.
        success_code: The exit code of success; None accepts any.
        env: Its whole environment.
        limit_s: Seconds after which it is killed; None means never.
        note: Called with its standard error.

    Raises:
        RunError: It ended with another code.
        HandlerTimeout: It was killed.
    """
    argv = shlex.split(cmd) if isinstance(cmd, str) else list(cmd)
    try:
        done = subprocess.run(  # noqa: S603 - running programs is what authors ask for
            argv,
            input=input_data.encode() if isinstance(input_data, str) else input_data or b"",
            capture_output=True,
            check=False,
            env=env,
            timeout=limit_s,
        )
    except subprocess.TimeoutExpired as error:
        raise HandlerTimeout(f"{argv[0]} was still running at the time limit") from error
    complaints = text(done.stderr)
    note(complaints)
    if success_code is not None and done.returncode != success_code:
        tail = complaints[-_STDERR_SHOWN:]
        raise RunError(f"{argv[0]} ended with code {done.returncode}: {tail}".rstrip(": "))
    return done


def text(output: bytes) -> str:
    """Return the output of a program as text."""
    return output.decode("utf-8", "replace")
