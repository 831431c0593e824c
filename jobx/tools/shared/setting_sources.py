"""Where the value of each setting comes from: a default, a line of a file, or a variable."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from jobx import config_loading

DEFAULT: Final = "default"
_SECTION: Final = re.compile(r"\s*\[\s*([\w-]+)\s*(?:\.\s*(\w+)\s*)?\]")
_FIELD: Final = re.compile(r"\s*([\w-]+)\s*(?:\.\s*([\w-]+)\s*)?[.=]")


def sources(
    path: Path | None, environ: Mapping[str, str], flags: Mapping[str, Any]
) -> dict[str, str]:
    """Return where settings come from, by dotted name; those that are not in it are defaults.

    Args:
        path: The file of settings, if any; it was read before, so it is right.
        environ: The environment.
        flags: Settings by dotted name and the option that gives them; None values are ignored.
    """
    found = {} if path is None else _in_file(path)
    for section, name, variable, _ in config_loading.variables(environ):
        found[f"{section}.{name}"] = variable
    return found | {name: "an option" for name, value in flags.items() if value is not None}


def _in_file(path: Path) -> dict[str, str]:
    """Return the lines of settings; of one that is in no line of a common form, the file alone."""
    lines = _lines(path)
    names = (
        f"{section}.{name}"
        for section, fields in config_loading.read_file(path).items()
        for name in fields
    )
    return {name: lines.get(name, str(path)) for name in names}


def _lines(path: Path) -> dict[str, str]:
    """Return the line of each setting, and of what looks like one."""
    found: dict[str, str] = {}
    section = ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if head := _SECTION.match(line):
            section = ".".join(filter(None, head.groups()))
            if head[2]:
                found.setdefault(section, f"{path}:{number}")
        elif field := _FIELD.match(line):
            name = f"{section}.{field[1]}" if section else f"{field[1]}.{field[2]}"
            found.setdefault(name, f"{path}:{number}")
    return found
