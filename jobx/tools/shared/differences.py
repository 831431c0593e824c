"""Changes of a workflow in lines for people: what becomes of each entity, and how it differs."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import PurePath
from typing import Any, Final

import msgspec

from jobx.handlers.authoring import strict_yaml
from jobx.handlers.authoring.declaration import said_of
from jobx.kv.entities.applying import Action, Change
from jobx.model import Handler, Job

#: Lines of one difference that are shown.
MAX_LINES: Final = 200
#: Longest text that is compared line by line; to compare takes much longer the longer it is.
MAX_COMPARED: Final = 64 << 10

_WOULD: Final[Mapping[Action, str]] = {
    "added": "would add",
    "updated": "would update",
    "removed": "would remove",
    "kept": "would keep",
}
#: What stands for an option of a result writer, because it may be secret.
_HIDDEN: Final = "…"


def line(change: Change, file: PurePath | None, *, is_simulated: bool) -> str:
    """Return what becomes of an entity."""
    verb = _WOULD[change.action] if is_simulated else change.action
    text = f"{verb} {change.kind} {change.name}"
    if change.action == "kept":
        return f"{text}: nothing declares it; --prune removes it"
    return text if file is None else f"{text} ({file})"


def is_shown(change: Change) -> bool:
    """Tell whether people see a change; that of a computed field alone follows from others."""
    before, after = change.before, change.after
    return (
        change.kind != "workflow"
        or before is None
        or after is None
        or before.description != after.description
    )


def difference(change: Change, file: PurePath | None) -> list[str]:
    """Return how an updated entity differs, as a unified diff; options of writers are hidden."""
    before, after = change.before, change.after
    if change.action != "updated" or before is None or after is None:
        return []
    found: list[str] = []
    if isinstance(before, Handler) and isinstance(after, Handler):
        found += _compared(before.source_code, after.source_code, str(file or "source"))
    if not found:
        texts = _shown(before, after, "as stored"), _shown(after, before, "new")
        old, new = map(strict_yaml.write, texts)
        found += _compared(old, new, f"{change.kind} {change.name}")
    shown = found[:MAX_LINES]
    return [*shown, f"… {len(found) - MAX_LINES} more lines"] if found[MAX_LINES:] else shown


def _compared(before: str, after: str, name: str) -> Iterator[str]:
    if before == after:
        return
    if max(len(before), len(after)) > MAX_COMPARED:
        yield f"{name} differs: {len(before):,} characters become {len(after):,}"
        return
    lines = before.splitlines(), after.splitlines()
    compared = difflib.unified_diff(*lines, "stored", name, lineterm="")
    yield from islice(compared, 10 * MAX_LINES)


def _shown(entity: msgspec.Struct, other: msgspec.Struct, word: str) -> dict[str, Any]:
    """Return what is shown of an entity; of an option only whether ``other`` has another value."""
    said = said_of(entity)
    if isinstance(entity, Handler):
        said["language"] = entity.source_type
    if isinstance(entity, Job) and isinstance(other, Job) and entity.result_options:
        others = other.result_options
        said["result_options"] = {
            name: _HIDDEN if others.get(name, value) == value else f"{_HIDDEN} ({word})"
            for name, value in entity.result_options.items()
        }
    return said
