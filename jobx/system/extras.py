"""What is installed only when asked for, and how one asks for it."""

from __future__ import annotations

from typing import Final

#: The name to install by; the index has another project of the package's name.
DISTRIBUTION: Final = "jobx-runtime"


def install(extra: str) -> str:
    """Return the command that adds the packages of an extra to an installed JobX."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"
