"""Answers written to a file."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from jobx.errors import InvalidInput


def replace_file(path: Path, body: bytes) -> None:
    """Write or replace a file as a whole.

    Raises:
        InvalidInput: It cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            whole = Path(folder) / path.name
            whole.write_bytes(body)
            os.replace(whole, path)
    except OSError as error:
        raise InvalidInput("file", str(path), error.strerror or str(error)) from error
