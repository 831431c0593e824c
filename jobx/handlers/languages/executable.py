"""Handlers that any program may run: the first line of the source, ``#!``, names it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import PurePosixPath
from typing import Any, Final

from jobx.errors import InvalidInput
from jobx.handlers.failures import GuestFailed
from jobx.handlers.languages import lines
from jobx.handlers.languages.answer import ProgramAnswer
from jobx.handlers.languages.base import Checked, Grouped, Loaded, without_author_code
from jobx.handlers.languages.checker import complaint
from jobx.handlers.languages.guests import Guests
from jobx.handlers.languages.program import Program
from jobx.handlers.scope import arguments as args
from jobx.handlers.scope.arguments import Arguments
from jobx.handlers.scope.names import Scope
from jobx.handlers.tracebacks import filename, show_source

_SHELLS: Final = frozenset({"sh", "bash", "dash", "ksh", "zsh"})
#: dash says ``name: 3: Syntax error``, bash ``name: line 3: syntax error``.
_FAULT: Final = re.compile(r"^[^\n]*?: (?:line )?(\d+): ([^\n]*)", re.MULTILINE)


class Executable:
    """The processor for programs that speak the line protocol."""

    endings: tuple[str, ...] = (".exec",)

    def read(self, source_code: str, handler_type: str) -> Checked:
        """Report nothing: only a declared ``per_key`` says that keys are treated alone.

        Raises:
            InvalidInput: The first line names no program.
        """
        command(source_code)
        return Checked()

    def check(self, source_code: str, handler_type: str) -> Checked:
        """Check the first line, and of a shell script its syntax.

        Raises:
            InvalidInput: One is wrong, or the shell is not installed.
        """
        checked = self.read(source_code, handler_type)
        shell = _shell(command(source_code))
        if shell is not None:
            _check_syntax(shell, source_code)
        return checked

    @without_author_code
    def load(self, handler: Mapping[str, Any], scope: Scope, guests: Guests) -> Loaded:
        """Make a handler ready to run; its program starts when it is first called.

        Raises:
            InvalidInput: The first line names no program.
            GuestFailed: The program may not run handlers on this node.
        """
        run = self._runner(_program(handler, guests), scope)
        per_key = handler.get("per_key", False)
        if handler["handler_type"] != "mapper":
            return Loaded(handler["name"], per_key, run)
        spec = handler.get("argument_spec") or ()
        return Loaded(
            handler["name"],
            per_key,
            lambda given: lines.held(run(args.cast(given, spec) if spec else given)),
        )

    def _runner(
        self, program: Program, scope: Scope
    ) -> Callable[[Arguments | Grouped], Iterator[object]]:
        def run(given: Arguments | Grouped) -> Iterator[object]:
            if isinstance(given, Arguments):
                answer = ProgramAnswer(scope)
                talk = program.talk(scope, lambda: lines.map_call(scope, given), answer)
            else:
                answer = ProgramAnswer(scope, given)
                talk = program.talk(scope, lambda: lines.reduce_call(scope, given), answer)
            with closing(talk) as written:
                yield from answer.yielded(written)
            answer.check()

        return run


def command(source_code: str) -> list[str]:
    """Return the program that the first line names, and the one argument that it may have.

    Raises:
        InvalidInput: It names none by an absolute path.
    """
    first = source_code.partition("\n")[0].strip()
    words = first.removeprefix("#!").split(maxsplit=1)
    if not first.startswith("#!") or not words or not words[0].startswith("/") or "\0" in first:
        reason = "must be #! and the absolute path of the program that runs the handler"
        raise InvalidInput("handler source, line 1", repr(first[:80]), reason)
    return words


def _program(handler: Mapping[str, Any], guests: Guests) -> Program:
    name, argv = handler["name"], command(handler["source_code"])
    if os.path.dirname(argv[0]) not in guests.programs:
        reason = f"{argv[0]} may not run handlers on this node: see executors.programs"
        raise GuestFailed("capability", "ProgramRefused", reason)
    show_source(filename(name), handler["source_code"])
    # Messages of a program contain the name of the file, so it is the name of the handler.
    script = os.path.join(guests.folder, f"handler-{handler['version']}", name)
    return Program(guests, [*argv, script], name, script, source_code=handler["source_code"])


def _shell(argv: list[str]) -> str | None:
    """Return the shell that a first line names, also through env, or None."""
    name = PurePosixPath(argv[-1] if argv[0].endswith("/env") else argv[0]).name
    return name if name in _SHELLS else None


def _check_syntax(shell: str, source_code: str) -> None:
    found = shutil.which(shell)
    if found is None:
        raise InvalidInput("handler source, line 1", shell, "is not installed on this machine")
    said = complaint([found, "-n"], source_code)
    if said:
        fault = _FAULT.search(said)
        line, reason = fault.groups() if fault else ("1", said[-200:])
        text = source_code.split("\n")[min(int(line), source_code.count("\n") + 1) - 1]
        raise InvalidInput(f"handler source, line {line}", text.strip()[:80], reason)
