"""The files of a folder of handlers: which are handlers, and of what name."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from jobx import model
from jobx.errors import InvalidInput
from jobx.handlers import languages
from jobx.handlers.authoring import source


@dataclass(frozen=True, slots=True)
class HandlerFiles:
    """What is below a folder, with paths relative to it.

    Attributes:
        folder: The folder.
        named: The files of handlers, by name of handler; several are one too many.
        skipped: Files that are no handlers, each with the reason.
        refused: Files whose path makes no name, each with the error.
    """

    folder: Path
    named: Mapping[str, Sequence[PurePath]]
    skipped: Mapping[PurePath, str]
    refused: Mapping[PurePath, InvalidInput]

    def read(self, workflow: str, name: str) -> model.Handler:
        """Return the handler of a name that has files, checked.

        Raises:
            InvalidInput: It is wrong, or has several files.
        """
        files = self.named[name]
        if len(files) > 1:
            raise InvalidInput("handler name", name, "several files give the same name")
        source_type = languages.by_ending(files[0].suffix) or ""
        handler = source.parse(workflow, name, source_type, source.read(self.folder / files[0]))
        source.check(handler)
        return handler


def find(folder: Path) -> HandlerFiles:
    """Return the files below a folder, without names that begin with ``.``.

    Raises:
        InvalidInput: The folder, or one in it, cannot be read.
    """
    named: dict[str, list[PurePath]] = defaultdict(list)
    skipped: dict[PurePath, str] = {}
    refused: dict[PurePath, InvalidInput] = {}
    for path in sorted(_files(folder)):
        if reason := _why_skipped(folder, path):
            skipped[path] = reason
            continue
        try:
            named[source.name_of(path)].append(path)
        except InvalidInput as error:
            refused[path] = error
    return HandlerFiles(folder, named, skipped, refused)


def _files(folder: Path) -> Iterator[PurePath]:
    def refuse(error: OSError) -> None:
        raise InvalidInput(
            "folder of handlers", str(error.filename), str(error.strerror)
        ) from error

    for parent, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith((".", "__"))]
        linked = (name for name in folders if (Path(parent) / name).is_symlink())
        for name in (*files, *linked):  # which are not followed
            if not name.startswith("."):
                yield (Path(parent) / name).relative_to(folder)


def _why_skipped(folder: Path, path: PurePath) -> str | None:
    if any(part.startswith("_") for part in path.parts):
        return "starts with '_'"
    if os.path.isdir(folder / path):
        return "is a link to a folder"
    if languages.by_ending(path.suffix) is None:
        return f"no language is known for files that end in {path.suffix or 'nothing'}"
    if not os.path.isfile(folder / path):
        return "is not a regular file"
    return None
