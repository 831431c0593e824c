"""Languages that handlers are written in, by name and by file ending.

A processor is imported when its language is first asked for, so executors carry only what they
use. Other packages add languages as entry points of the group ``jobx.languages``.
"""

from __future__ import annotations

import functools
import importlib
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from jobx.errors import InvalidInput
from jobx.handlers.languages.base import Checked, Grouped, Loaded, Processor

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = [
    "Checked",
    "Grouped",
    "Loaded",
    "Processor",
    "by_ending",
    "ending_of",
    "processor",
]

_GROUP: Final = "jobx.languages"
_OWN: Final = MappingProxyType(
    {
        "executable": "Executable",
        "javascript": "JavaScript",
        "python": "Python",
        "shell": "Shell",
        "wasm": "Wasm",
    }
)


def processor(source_type: str) -> Processor:
    """Return the processor of a language.

    Raises:
        InvalidInput: There is none of that name; the message lists those that there are.
    """
    if source_type in _OWN or source_type in _added():
        return _load(source_type)
    known = ", ".join(_names())
    raise InvalidInput("source_type", repr(source_type), f"unknown; the languages are {known}")


def by_ending(suffix: str) -> str | None:
    """Return the language of files that end in ``suffix``, or None when there is none."""
    return next((name for name in _names() if suffix in _load(name).endings), None)


def ending_of(source_type: str) -> str | None:
    """Return the ending of files in a language; None if it is unknown, or another's come first."""
    if source_type not in _names():
        return None
    return next((end for end in _load(source_type).endings if by_ending(end) == source_type), None)


def _names() -> list[str]:
    return sorted({*_OWN, *_added()})


@functools.cache
def _load(name: str) -> Processor:
    found: Processor
    if name in _OWN:
        module = importlib.import_module(f"{__name__}.{name}")
        found = getattr(module, _OWN[name])()
    else:
        found = _added()[name].load()
    return found


@functools.cache
def _added() -> dict[str, EntryPoint]:
    """Return the languages of other packages; reads all installed ones, so only on demand."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - large, and executors need it not

    return {point.name: point for point in entry_points(group=_GROUP)}
