"""A workflow as a folder: ``workflow.yaml``, and the files of its handlers in ``handlers``.

    wordcount/workflow.yaml
    wordcount/handlers/count_words.py
    wordcount/handlers/add_up.py

``read`` tells of everything that is wrong at once. Its inverse is ``folder_writing.files_of``.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path, PurePath
from typing import Any, Final

from jobx.errors import InvalidInput, NotFound, quote
from jobx.handlers import languages
from jobx.handlers.authoring import declaration, handler_files, source
from jobx.handlers.authoring.declaration import FILE, Declaration, Origin
from jobx.handlers.authoring.declaration_reading import Reading
from jobx.handlers.authoring.handler_files import HandlerFiles
from jobx.kv.entities.entities import WorkflowSnapshot
from jobx.kv.entities.references import HANDLER_FIELDS
from jobx.kv.entities.stored_form import as_stored
from jobx.model import Handler, Job

#: The folder of handlers, beside the file.
HANDLERS: Final = "handlers"
#: Most handlers of a folder.
MAX_HANDLERS: Final = 10_000

_NONE: Final = HandlerFiles(Path(), {}, {}, {})
#: Names that are looked at for a hint, and that a hint has.
_LOOKED_AT: Final = 1000
_NAMED: Final = 8


@dataclass(frozen=True, slots=True)
class FoundWorkflow:
    """What a folder says.

    Attributes:
        workflow: The workflow, without what is wrong; None: not even its name is right.
        faults: What is wrong.
        files: The file of each handler, relative to the folder.
        skipped: Files below ``handlers`` that are no handlers, each with the reason.
    """

    workflow: WorkflowSnapshot | None
    faults: tuple[InvalidInput, ...]
    files: Mapping[str, PurePath] = field(default_factory=dict)
    skipped: Mapping[PurePath, str] = field(default_factory=dict)

    @property
    def checked(self) -> WorkflowSnapshot:
        """The workflow.

        Raises:
            InvalidInput: Something is wrong; this is the first of the faults.
        """
        if self.faults or self.workflow is None:
            raise self.faults[0]
        return self.workflow


def read(
    folder: Path, name: str | None = None, check_job: Callable[[Job], None] = lambda _: None
) -> FoundWorkflow:
    """Return what a folder says, and what is wrong with it.

    Args:
        folder: The folder.
        name: A name for the workflow instead of the one in the folder.
        check_job: A further check of each job; it raises InvalidInput.

    Raises:
        NotFound: It has no ``workflow.yaml``.
        InvalidInput: That cannot be read.
    """
    reading = Reading(_text(folder), name)
    declared = reading.declaration()
    if declared is None:
        return FoundWorkflow(None, tuple(reading.faults))
    sources = _Sources(folder, declared, reading)
    sources.read()
    wanted = WorkflowSnapshot(declared.workflow, declared.jobs, declared.steps, sources.handlers)
    _check_references(wanted, sources, reading)
    for job in wanted.jobs.values():
        try:
            check_job(job)
        except InvalidInput as error:
            where, value, reason = error.args
            reading.refuse(("jobs", job.job_name), value, f"{where}: {reason}")
    return FoundWorkflow(wanted, tuple(reading.faults), sources.files, sources.skipped)


class _Sources:
    """Reads the files of handlers; what is wrong becomes faults of ``reading``."""

    def __init__(self, folder: Path, declared: Declaration, reading: Reading) -> None:
        self.handlers: dict[str, Handler] = {}
        #: The file of each handler, wrong ones included.
        self.files: dict[str, PurePath] = {}
        self.skipped: Mapping[PurePath, str] = {}
        self._folder = folder
        self._workflow = declared.workflow.workflow_name
        self._origins = declared.origins
        self._reading = reading

    def read(self) -> None:
        found = self._find()
        told = {PurePath(origin.file) for origin in self._origins.values()}
        base = PurePath(HANDLERS)
        named = {
            name: left
            for name, paths in found.named.items()
            if (left := [path for path in paths if base / path not in told])
        }
        self.skipped = {base / path: reason for path, reason in found.skipped.items()}
        for path, fault in found.refused.items():
            self._refuse(base / path, fault)
        found = dataclasses.replace(found, named=named)
        for name, origin in self._origins.items():
            self._take(name, PurePath(origin.file), partial(self._from_origin, name, origin))
        for name, paths in sorted(named.items()):
            self._take(name, base / paths[0], partial(self._from_file, found, name))

    def _find(self) -> HandlerFiles:
        folder = self._folder / HANDLERS
        if not os.path.lexists(folder):
            return _NONE
        try:
            _check_inside(self._folder, PurePath(HANDLERS))
            found = handler_files.find(folder)
            if len(found.named) > MAX_HANDLERS:
                raise InvalidInput(
                    "folder", f"{len(found.named)} handlers", f"may have at most {MAX_HANDLERS}"
                )
        except InvalidInput as error:
            self._refuse(PurePath(HANDLERS), error)
            return _NONE
        return found

    def _take(self, name: str, path: PurePath, load: Callable[[], Handler]) -> None:
        try:
            if name in self.files:
                reason = f"{self.files[name]} is this handler already, by {FILE}"
                raise InvalidInput("handler name", quote(name), reason)
            self.files[name] = path
            self.handlers[name] = load()
        except InvalidInput as error:
            self._refuse(path, error)

    def _from_file(self, found: HandlerFiles, name: str) -> Handler:
        for path in found.named[name]:
            _check_inside(self._folder, PurePath(HANDLERS) / path)
        return as_stored(found.read(self._workflow, name))

    def _from_origin(self, name: str, origin: Origin) -> Handler:
        path = PurePath(origin.file)
        if path.is_absolute() or ".." in path.parts:
            raise InvalidInput("file", quote(origin.file), "must be a path below the folder")
        if not os.path.isfile(self._folder / path):
            raise InvalidInput("file", quote(origin.file), "is not there, or is no regular file")
        _check_inside(self._folder, path)
        language = origin.language or languages.by_ending(path.suffix)
        if language is None:
            ending = path.suffix or "nothing"
            reason = f"is needed: files that end in {ending} may be of any"
            raise InvalidInput("language", "none", reason)
        text = source.read_bare(self._folder / path, language)
        own: dict[str, Any] = {"workflow_name": self._workflow, "handler_name": name}
        handler = Handler(**own, **origin.fields, source_type=language, source_code=text)
        source.check(handler)
        return as_stored(handler)

    def why_skipped(self, name: str) -> str:
        """Return a hint at a file that would be a handler, if it were not skipped."""
        found = (item for item in self.skipped.items() if item[0].stem == name)
        return next((f"; {path} is skipped: {reason}" for path, reason in found), "")

    def _refuse(self, path: PurePath, error: InvalidInput) -> None:
        where, value, reason = error.args
        self._reading.faults.append(type(error)(f"{path}: {where}", value, reason))


def named_files(folder: Path) -> set[PurePath]:
    """Return the files of handlers that ``workflow.yaml`` names.

    Raises:
        NotFound: It is not there.
        InvalidInput: It cannot be read.
    """
    declared = Reading(_text(folder)).declaration()
    return {PurePath(origin.file) for origin in declared.origins.values()} if declared else set()


def _text(folder: Path) -> str:
    path = folder / FILE
    if not os.path.isfile(path):
        hint = f"{path}; jobx init {folder} writes one to start from"
        raise NotFound("file", hint)
    _check_inside(folder, PurePath(FILE))
    try:
        with path.open("rb") as stream:
            return declaration.read_text(stream.read(declaration.MAX_FILE_BYTES + 1))
    except OSError as error:
        raise InvalidInput("file", str(path), error.strerror or str(error)) from error


def _check_inside(folder: Path, path: PurePath) -> None:
    """Refuse a path that leads out of a folder over a link."""
    root = os.path.realpath(folder)
    real = os.path.realpath(folder / path)
    if os.path.commonpath((root, real)) != root:
        raise InvalidInput("file", quote(str(path)), f"is a link that leads out of {folder}")


def _check_references(wanted: WorkflowSnapshot, sources: _Sources, reading: Reading) -> None:
    for job in wanted.jobs.values():
        if reading.is_enough:
            return
        if job.initial_step_name not in wanted.steps:
            reason = f"there is no such step{_near(job.initial_step_name, wanted.steps)}"
            place = ("jobs", job.job_name, "step")
            reading.refuse(place, quote(job.initial_step_name), reason)
    for step in wanted.steps.values():
        if reading.is_enough:
            return
        for handler_type, name in HANDLER_FIELDS.items():
            handler = getattr(step, name)
            place = ("steps", step.step_name, handler_type)
            if handler in wanted.handlers:
                is_one = wanted.handlers[handler].handler_type
                if is_one != handler_type:
                    reason = f"{sources.files[handler]} is a {is_one}, not a {handler_type}"
                    reading.refuse(place, quote(handler), reason)
            elif handler is not None and handler not in sources.files:  # else it is told already
                hint = sources.why_skipped(handler) or _near(handler, sources.files)
                reason = f"there is no file of such a handler{hint}"
                reading.refuse(place, quote(handler), reason)


def _near(name: str, known: Iterable[str]) -> str:
    """Return a hint at the names that there are; it looks at the first of very many."""
    names = list(islice(known, _LOOKED_AT))
    if near := difflib.get_close_matches(name, names, 1):
        return f"; did you mean {near[0]}?"
    more = ", …" if len(names) > _NAMED else ""
    return f"; there are {', '.join(names[:_NAMED])}{more}" if names else "; there are none"
