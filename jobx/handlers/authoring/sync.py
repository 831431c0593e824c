"""Make a workflow's handlers equal to a folder of source files."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal, TypeAlias

from jobx import model
from jobx.errors import InUse, InvalidInput
from jobx.handlers.authoring import source
from jobx.kv.entities.entities import Entities
from jobx.kv.entities.versions import version_of

SyncAction: TypeAlias = Literal[
    "added", "updated", "unchanged", "removed", "kept", "skipped", "refused"
]


@dataclass(frozen=True, slots=True)
class SyncRow:
    """The outcome for a handler, or for a file that is none (then ``handler`` is its path)."""

    handler: str
    action: SyncAction
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a sync did, or would do if ``simulated``: files first, then handlers without a file."""

    rows: tuple[SyncRow, ...]
    simulated: bool

    @property
    def failed(self) -> bool:
        """Whether a file was refused."""
        return any(row.action == "refused" for row in self.rows)


def sync(
    entities: Entities,
    workflow: str,
    folder: Path,
    simulate: bool = False,
    force: bool = False,
    *,
    trial: Callable[[model.Handler], None] = lambda _: None,
) -> SyncReport:
    """Store the new and changed handlers of a folder, and remove those without a file.

    A handler that a step uses is kept. A file that is no handler is refused; the others are
    stored, and a stored handler of its name stays.

    Args:
        entities: Where handlers are stored.
        workflow: Name of the workflow.
        folder: Folder of handler files, at any depth.
        simulate: Only report, and change nothing.
        force: Store unchanged handlers as well.
        trial: Runs the examples of a handler before it is stored; raises InvalidInput.

    Raises:
        NotFound: The workflow does not exist.
        InvalidInput: The folder, or one in it, cannot be read.
    """
    entities.get(model.Workflow, workflow)
    stored = {known.handler_name: known for known in entities.list(model.Handler, workflow)}
    rows, named = _sort_out(folder)
    run = _Run(entities, workflow, folder, simulate, force, trial)
    rows += [run.take(name, files, stored.get(name)) for name, files in sorted(named.items())]
    rows += [run.leave(name) for name in sorted(stored.keys() - named.keys())]
    return SyncReport(tuple(rows), simulate)


@dataclass(frozen=True, slots=True)
class _Run:
    entities: Entities
    workflow: str
    folder: Path
    simulate: bool
    force: bool
    trial: Callable[[model.Handler], None]

    def take(self, name: str, files: list[PurePath], stored: model.Handler | None) -> SyncRow:
        """Store the handler of a name that has files."""
        try:
            handler = self._load(name, files)
            row = self._compare(handler, stored)
            if row.action != "unchanged":
                self.trial(handler)
                if not self.simulate:
                    self.entities.put(handler)
        except (InvalidInput, InUse) as error:
            return SyncRow(name, "refused", f"{' and '.join(map(str, files))}: {error}")
        return row

    def leave(self, name: str) -> SyncRow:
        """Remove the handler of a name that has no file."""
        steps = self.entities.steps_using(self.workflow, name)
        if steps:
            names = ", ".join(step.step_name for step in steps)
            return SyncRow(name, "kept", f"has no file, but is used by step {names}")
        if not self.simulate:
            self.entities.delete(model.Handler, self.workflow, name)
        return SyncRow(name, "removed", "has no file")

    def _load(self, name: str, files: list[PurePath]) -> model.Handler:
        if len(files) > 1:
            raise InvalidInput("handler name", name, "several files give the same name")
        source_type = source.source_type_of(files[0].suffix) or ""
        handler = source.parse(
            self.workflow, name, source_type, source.read(self.folder / files[0])
        )
        source.check(handler)
        return handler

    def _compare(self, handler: model.Handler, stored: model.Handler | None) -> SyncRow:
        name = handler.handler_name
        if stored is None:
            return SyncRow(name, "added")
        if stored.version != version_of(handler):
            return SyncRow(name, "updated")
        if self.force:
            return SyncRow(name, "updated", "is unchanged, but forced")
        return SyncRow(name, "unchanged")


def _sort_out(folder: Path) -> tuple[list[SyncRow], dict[str, list[PurePath]]]:
    """Return rows for files that are no handlers, and the other files by name of handler."""
    rows: list[SyncRow] = []
    named: dict[str, list[PurePath]] = defaultdict(list)
    for path in _files(folder):
        if reason := _why_skipped(folder, path):
            rows.append(SyncRow(str(path), "skipped", reason))
            continue
        try:
            named[source.name_of(path)].append(path)
        except InvalidInput as error:
            rows.append(SyncRow(str(path), "refused", str(error)))
    return rows, named


def _files(folder: Path) -> list[PurePath]:
    """Return the files below ``folder``, relative to it, without names that begin with ``.``."""

    def refuse(error: OSError) -> None:
        raise InvalidInput(
            "folder of handlers", str(error.filename), str(error.strerror)
        ) from error

    found: list[PurePath] = []
    for parent, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith((".", "__"))]
        shown = [name for name in files if not name.startswith(".")]
        found += [(Path(parent) / name).relative_to(folder) for name in shown]
    return sorted(found)


def _why_skipped(folder: Path, path: PurePath) -> str | None:
    if any(part.startswith("_") for part in path.parts):
        return "starts with '_'"
    if source.source_type_of(path.suffix) is None:
        return f"no language is known for files that end in {path.suffix or 'nothing'}"
    if not (folder / path).is_file():
        return "is not a regular file"
    return None
