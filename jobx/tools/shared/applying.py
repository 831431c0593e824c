"""Applies a folder to the store: reads it, tries its handlers, makes the changes, tells of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Final

from jobx import meanings
from jobx.actors.egress.writers import registry
from jobx.errors import InvalidInput, JobxError, NotFound, WorkflowRefused
from jobx.handlers.authoring import mr_check, workflow_folder
from jobx.handlers.authoring.workflow_folder import FoundWorkflow
from jobx.kv.entities.applying import Change, apply_workflow
from jobx.kv.entities.entities import WorkflowSnapshot
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import request_entity
from jobx.kv.store import Store
from jobx.model import Handler
from jobx.tools.shared import differences, render
from jobx.tools.shared.command import Call

#: Faults, and open requests, that are told of at once.
MOST: Final = 20
#: Of ``apply --dry-run``: there is something to do.
TO_DO: Final = meanings.USAGE


def apply_folder(
    call: Call,
    folder: Path,
    *,
    name: str | None = None,
    prune: bool = False,
    simulate: bool = False,
) -> int:
    """Make a stored workflow what a folder says, tell what that changed; return the exit code.

    Args:
        call: The call of the command.
        folder: The folder.
        name: A name for the workflow instead of the one in the folder.
        prune: Remove what the folder does not have.
        simulate: Change nothing; the exit code is TO_DO if there is something to do.

    Raises:
        WorkflowRefused: Something in the folder is wrong; nothing was done.
        JobxError: Nothing, or not everything, was done; what was done has been told.
    """
    found = workflow_folder.read(
        folder, name, lambda job: registry.check_names(job, call.settings.results)
    )
    if found.workflow is None or found.faults:
        raise _refused(found.faults)
    with _store(call, simulate) as store:
        report = _Report(call, found, found.workflow, simulate)
        changes = apply_workflow(store, found.workflow, prune=prune, simulate=True)
        if faults := _tried(call, found, changes):
            raise _refused(faults)
        if not simulate:
            changes = _apply(store, report, prune, len(changes))
        report.say(changes, _open_requests(store, found.workflow, changes))
    _warn(call, found, changes)
    has_changes = any(one.action != "kept" for one in changes)
    return TO_DO if simulate and has_changes else meanings.OK


@dataclass(frozen=True, slots=True)
class _Report:
    """Tells of changes.

    Attributes:
        call: The call of the command.
        found: The folder.
        wanted: The workflow in it.
        is_simulated: Whether the changes would be, or were made.
    """

    call: Call
    found: FoundWorkflow
    wanted: WorkflowSnapshot
    is_simulated: bool

    def say(self, changes: Sequence[Change], open_requests: Sequence[str] = ()) -> None:
        """Write the changes to stdout; ``open_requests`` may use what is removed."""
        if self.call.as_json:
            self._say_json(changes, open_requests)
            return
        for one in filter(differences.is_shown, changes):
            render.say(differences.line(one, self._file(one), is_simulated=self.is_simulated))
            for line in differences.difference(one, self._file(one)):
                render.say(f"  {line}")
        if all(one.action == "kept" for one in changes):
            render.say(f"workflow {self.wanted.workflow.workflow_name} is up to date")
        if open_requests:
            named = ", ".join(open_requests)
            render.say(f"open requests use what they began with to their end: {named}")

    def _say_json(self, changes: Sequence[Change], open_requests: Sequence[str]) -> None:
        rows = []
        for one in filter(differences.is_shown, changes):
            file = self._file(one)
            rows.append(
                {
                    "kind": one.kind,
                    "name": one.name,
                    "action": one.action,
                    "file": None if file is None else str(file),
                    "difference": differences.difference(one, file),
                }
            )
        answer = {
            "workflow": self.wanted.workflow.workflow_name,
            "simulated": self.is_simulated,
            "changes": rows,
            "open_requests": open_requests,
        }
        render.say_json(answer)

    def _file(self, one: Change) -> PurePath | None:
        return self.found.files.get(one.name) if one.kind == "handler" else None


@contextmanager
def _store(call: Call, simulate: bool) -> Iterator[Store]:
    """Open the store; an empty one in memory if there is none, and none is to be made."""
    if simulate:
        try:
            call.find_store()
        except NotFound:
            yield MemoryStore()
            return
    with call.store(create=not simulate) as store:
        yield store


def _apply(store: Store, report: _Report, prune: bool, count: int) -> list[Change]:
    """Make the changes; tell what was done if that ends early."""
    done: list[Change] = []
    try:
        return apply_workflow(store, report.wanted, prune=prune, tell=done.extend)
    except JobxError:
        if done:
            report.say(done)
        render.complain(f"{len(done)} of {count} changes were made; to go on, apply it again")
        raise


def _tried(call: Call, found: FoundWorkflow, changes: Sequence[Change]) -> list[InvalidInput]:
    """Return why handlers that would change must not be stored: examples that do not hold."""
    handlers = [one.after for one in changes if isinstance(one.after, Handler)]
    faults: list[InvalidInput] = []
    if not any(handler.examples for handler in handlers):
        return faults
    with call.examples() as check:
        for handler in handlers:
            try:
                check(handler)
            except InvalidInput as error:
                where, value, reason = error.args
                file = found.files[handler.handler_name]
                faults.append(InvalidInput(f"{file}: {where}", value, reason))
    return faults


def _warn(call: Call, found: FoundWorkflow, changes: Sequence[Change]) -> None:
    """Tell what handlers that were written for mr do otherwise here."""
    environment = call.settings.executors.environment
    for one in changes:
        if isinstance(one.after, Handler) and one.name in found.files:
            for finding in mr_check.of_handler(found.files[one.name], one.after, environment):
                render.complain(str(finding))


def _open_requests(store: Store, wanted: WorkflowSnapshot, changes: Sequence[Change]) -> list[str]:
    """Return the first open requests of a workflow from which something is removed."""
    if not any(one.action == "removed" for one in changes):
        return []
    return list(request_entity.open_in(store, wanted.workflow.workflow_name, MOST))


def _refused(faults: Sequence[InvalidInput]) -> WorkflowRefused:
    """Return the error of a folder with faults; it has the first of very many."""
    lines = [" ".join(str(fault).split()) for fault in faults[:MOST]]
    if len(faults) > MOST:
        lines.append(f"and {len(faults) - MOST} more")
    return WorkflowRefused("\n".join(lines))
