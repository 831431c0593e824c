"""What files of handlers and scope factories that were written for mr need before they run here."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Final

from jobx import model
from jobx.errors import InvalidInput, TooLarge
from jobx.handlers import languages
from jobx.handlers.authoring import header, mr_reading, source
from jobx.handlers.authoring.mr_rules import RULES
from jobx.handlers.languages import python_source
from jobx.handlers.scope.mr_form import is_mr_form

_PYTHON: Final = ".py"
_LINE: Final = re.compile(r", line (\d+)$")
_FACTORY: Final = re.compile(r"^\s*(?:from|import)\s+mr\.handlers(?:\.|\s+import\s+)scope\b", re.M)
_SPEC: Final = re.compile(r"argument_spec")
#: Rules about what cannot be stored.
_REFUSALS: Final = frozenset({"refused", "syntax", "name", "folder", "encoding"})
#: The one argument of handlers of mr.
_LISTS: Final = frozenset({"arguments", "results"})


@dataclass(frozen=True, slots=True)
class Finding:
    """One place of a file.

    Attributes:
        file: The path, relative to the folder that was checked.
        line: The line, from 1.
        rule: The name of the difference, of ``mr_rules.RULES``.
        what: What the file does.
        write: What to write instead.
    """

    file: str
    line: int
    rule: str
    what: str
    write: str

    def __str__(self) -> str:
        """Return it as a line."""
        return f"{self.file}:{self.line}: {self.what}. Write: {self.write}"


def check(
    folder: Path, environment: Collection[str] = (), *, only_mr_form: bool = False
) -> list[Finding]:
    """Return what the files of a folder need, by file and line.

    Args:
        folder: A folder as mr loaded handlers from, or one of its scope factories.
        environment: Environment variables that author code may see.
        only_mr_form: Only look at handlers in the form of mr, as warnings for those who store them;
            what is refused then is told elsewhere.

    Raises:
        InvalidInput: The folder, or one in it, cannot be read.
    """
    found = [
        _finding(path, *one)
        for path in _paths(folder)
        for one in _of_file(folder, path, environment, only_mr_form=only_mr_form)
        if not only_mr_form or one[1] not in _REFUSALS
    ]
    return sorted(found, key=lambda finding: (finding.file, finding.line))


def of_handler(
    path: PurePath, handler: model.Handler, environment: Collection[str] = ()
) -> list[Finding]:
    """Return what a handler needs if it is in the form of mr, as ``check`` does.

    Args:
        path: Its file, for people.
        handler: The handler, which has been checked.
        environment: Environment variables that author code may see.
    """
    if not is_mr_form(handler.source_type, handler.handler_type, handler.argument_spec):
        return []
    found = _of_code(handler.source_code, None, environment, is_factory=False)
    return [_finding(path, *one) for one in found]


def _finding(path: PurePath, line: int, rule: str, write: str) -> Finding:
    return Finding(str(path), line, rule, RULES[rule].what, write or RULES[rule].write)


def _paths(folder: Path) -> Iterator[PurePath]:
    def refuse(error: OSError) -> None:
        reason = str(error.strerror)
        raise InvalidInput("folder of handlers", str(error.filename), reason) from error

    for parent, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
        for name in sorted(files):
            path = Path(parent) / name
            if "." in name and not name.startswith((".", "_")) and os.path.isfile(path):
                yield path.relative_to(folder)  # mr passed over all others


def _of_file(
    folder: Path, path: PurePath, environment: Collection[str], *, only_mr_form: bool
) -> Iterator[mr_reading.Finding]:
    try:
        text = source.read(folder / path)
    except InvalidInput as error:
        if path.suffix == _PYTHON:
            yield _unread(error)
        return
    if path.suffix != _PYTHON:
        yield from () if only_mr_form else _other_language(path, text)
        return
    is_factory = bool(_FACTORY.search(text)) and "get_handler_scope_factory" in text
    handler = None if is_factory else _handler(path, text)
    if only_mr_form and not isinstance(handler, model.Handler):
        return
    if not is_factory:
        yield from _of_header(path, text, handler)
    yield from _of_code(text, handler, environment, is_factory=is_factory)


def _unread(error: InvalidInput) -> mr_reading.Finding:
    fault = error.__cause__
    if isinstance(fault, UnicodeDecodeError):
        return fault.object.count(b"\n", 0, fault.start) + 1, "encoding", ""
    return 1, "refused", error.args[2]


def _other_language(path: PurePath, text: str) -> Iterator[mr_reading.Finding]:
    source_type = languages.by_ending(path.suffix)
    if source_type is None or any(part.startswith("_") for part in path.parts):
        return
    try:
        header.read("file", source_type, text)
    except (InvalidInput, TooLarge):
        yield 1, "language", ""


def _handler(path: PurePath, text: str) -> model.Handler | InvalidInput | None:
    """Return a handler in the form of mr, None for another one, or why it is refused."""
    try:
        parsed = source.parse("w", "h", "python", text)
    except InvalidInput as error:
        return error
    except TooLarge as error:
        return InvalidInput(f"file {path}", *map(str, error.args[1:]))
    spec = parsed.argument_spec
    return parsed if is_mr_form("python", parsed.handler_type, spec) else None


def _of_header(
    path: PurePath, text: str, handler: model.Handler | InvalidInput | None
) -> Iterator[mr_reading.Finding]:
    if any(part.startswith("_") for part in path.parts):
        yield 1, "folder", ""
    elif not _is_name(path):
        yield 1, "name", ""
    if not isinstance(handler, model.Handler):
        if _has_other_type(text):
            yield _line_of_spec(text), "argument-type", ""
        elif handler is not None:
            yield 1, "refused", handler.args[2]


def _is_name(path: PurePath) -> bool:
    try:
        source.name_of(path)
    except InvalidInput:
        return False
    return True


def _has_other_type(text: str) -> bool:
    """Tell whether a header has the one argument of mr, but not as a list."""
    try:
        spec: Any = header.read("", "python", text)[1].get("argument_spec")
    except (InvalidInput, TooLarge):
        return False
    named = isinstance(spec, list) and len(spec) == 1 and isinstance(spec[0], dict)
    return named and spec[0].get("name") in _LISTS and spec[0].get("type") != "list"


def _line_of_spec(text: str) -> int:
    found = _SPEC.search(text)
    return text.count("\n", 0, found.start()) + 1 if found else 1


def _of_code(
    text: str,
    handler: model.Handler | InvalidInput | None,
    environment: Collection[str],
    *,
    is_factory: bool,
) -> Iterator[mr_reading.Finding]:
    try:
        module = python_source.parse(text, "handler").module
    except InvalidInput as error:
        yield _line(error), "syntax", error.args[2]
        return
    yield from mr_reading.read(module, environment, is_factory=is_factory)
    if isinstance(handler, model.Handler):
        try:
            source.check(handler)
        except InvalidInput as error:
            yield _line(error), "refused", error.args[2]


def _line(error: InvalidInput) -> int:
    found = _LINE.search(str(error.args[0]))
    return int(found[1]) if found else 1
