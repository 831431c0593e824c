"""Make a workflow's handlers equal to a folder of source files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from jobx import model
from jobx.errors import InUse, InvalidInput
from jobx.handlers.authoring import handler_files
from jobx.handlers.authoring.handler_files import HandlerFiles
from jobx.kv.entities.entities import Entities
from jobx.kv.entities.step_handlers import StepHandlers
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
    files = handler_files.find(folder)
    run = _Run(entities, workflow, files, simulate, force, trial)
    rows = [SyncRow(str(path), "skipped", reason) for path, reason in files.skipped.items()]
    rows += [SyncRow(str(path), "refused", str(error)) for path, error in files.refused.items()]
    rows.sort(key=lambda row: row.handler)
    rows += [run.take(name, stored.get(name)) for name in sorted(files.named)]
    rows += [run.leave(name) for name in sorted(stored.keys() - files.named.keys())]
    return SyncReport(tuple(rows), simulate)


@dataclass(frozen=True, slots=True)
class _Run:
    entities: Entities
    workflow: str
    files: HandlerFiles
    simulate: bool
    force: bool
    trial: Callable[[model.Handler], None]

    def take(self, name: str, stored: model.Handler | None) -> SyncRow:
        """Store the handler of a name that has files."""
        try:
            handler = self.files.read(self.workflow, name)
            row = self._compare(handler, stored)
            if row.action != "unchanged":
                self.trial(handler)
                if not self.simulate:
                    self.entities.put(handler)
        except (InvalidInput, InUse) as error:
            files = " and ".join(map(str, self.files.named[name]))
            return SyncRow(name, "refused", f"{files}: {error}")
        return row

    def leave(self, name: str) -> SyncRow:
        """Remove the handler of a name that has no file."""
        steps = StepHandlers(self.entities.store, self.workflow).using(name)
        if steps:
            names = ", ".join(step.step_name for step in steps)
            return SyncRow(name, "kept", f"has no file, but is used by step {names}")
        if not self.simulate:
            self.entities.delete(model.Handler, self.workflow, name)
        return SyncRow(name, "removed", "has no file")

    def _compare(self, handler: model.Handler, stored: model.Handler | None) -> SyncRow:
        name = handler.handler_name
        if stored is None:
            return SyncRow(name, "added")
        if stored.version != version_of(handler):
            return SyncRow(name, "updated")
        if self.force:
            return SyncRow(name, "updated", "is unchanged, but forced")
        return SyncRow(name, "unchanged")
