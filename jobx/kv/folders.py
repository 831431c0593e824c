"""Folders on the local disk, and what the errors of the operating system mean for a store."""

from __future__ import annotations

from pathlib import Path

from jobx import system_errors
from jobx.errors import JobxError


def translate(error: OSError, path: Path) -> JobxError:
    """Return the error that a caller can decide on."""
    return system_errors.translate(error, str(path))


def create_folder(path: Path) -> None:
    """Create a folder and those above it, for its owner only; one that exists is left as it is.

    Raises:
        StoreFull: No room left.
        StoreRefused: It cannot be created, or something else has its name.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise translate(error, path) from error
