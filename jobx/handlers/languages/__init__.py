"""Languages that handlers are written in, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from jobx.errors import InvalidInput
from jobx.handlers.languages.base import Checked, Loaded, Processor
from jobx.handlers.languages.python import Python

__all__ = ["Checked", "Loaded", "Processor", "processor"]

_PROCESSORS: Final[Mapping[str, Processor]] = {"python": Python()}


def processor(source_type: str) -> Processor:
    """Return the processor of a language.

    Raises:
        InvalidInput: There is none of that name.
    """
    found = _PROCESSORS.get(source_type)
    if found is None:
        known = ", ".join(sorted(_PROCESSORS))
        raise InvalidInput("source_type", repr(source_type), f"unknown; the languages are {known}")
    return found
