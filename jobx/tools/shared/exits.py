"""Exit codes of the command line, from ``jobx/meanings.py``."""

from __future__ import annotations

from jobx.errors import JobxError
from jobx.meanings import (
    FAILED,
    INTERNAL,
    INTERRUPTED,
    INVALID,
    NOT_FOUND,
    OK,
    STORE,
    TAKEN,
    UNAVAILABLE,
    UNKNOWN,
    USAGE,
    meaning_of,
)

__all__ = [
    "FAILED",
    "INTERNAL",
    "INTERRUPTED",
    "INVALID",
    "NOT_FOUND",
    "OK",
    "STORE",
    "TAKEN",
    "UNAVAILABLE",
    "UNKNOWN",
    "USAGE",
    "code_of",
]


def code_of(error: JobxError) -> int:
    """Return the exit code of an error."""
    return meaning_of(type(error)).exit_code
