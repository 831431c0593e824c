"""Handlers that are filters, such as shell scripts: run once a call, tab-separated lines."""

from __future__ import annotations

import math
import mmap
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from typing import Final

from jobx.handlers.failures import Misuse, shorten
from jobx.handlers.languages import lines
from jobx.handlers.languages.answer import Unread
from jobx.handlers.languages.base import Grouped
from jobx.handlers.languages.executable import Executable
from jobx.handlers.languages.program import Program
from jobx.handlers.markers import Map, Return
from jobx.handlers.scope.arguments import Arguments
from jobx.handlers.scope.names import Scope
from jobx.values import Value

_ESCAPED: Final = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_PLAIN: Final = {written: plain for plain, written in _ESCAPED.items()}
_TO_ESCAPE: Final = re.compile(r"[\\\t\n\r]")
_TO_PLAIN: Final = re.compile(r"\\[\\tnr]")
_INTEGER: Final = re.compile(r"-?(?:0|[1-9]\d*)")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d*)\.\d+(?:[eE][-+]?\d+)?")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAP: Final = "map "
_SESSION: Final = "S_SET"
#: Linux passes no longer variable to a program (MAX_ARG_STRLEN); its name and a zero byte count.
_VARIABLE_BYTES: Final = 32 * mmap.PAGESIZE


class Shell(Executable):
    """The processor for filters. Checked and started as an executable is."""

    endings = (".sh",)

    def _runner(
        self, program: Program, scope: Scope
    ) -> Callable[[Arguments | Grouped], Iterator[object]]:
        def run(given: Arguments | Grouped) -> Iterator[object]:
            pairs = _of_arguments(given) if isinstance(given, Arguments) else _of_groups(given)
            talk = program.talk(scope, lambda: iter(pairs), environment=_environment(scope))
            with closing(talk) as written:
                yield from _yielded(written, scope)

        return run


def _of_arguments(arguments: Arguments) -> Iterable[bytes]:
    return (_line(key, value) for key, value in arguments)


def _of_groups(grouped: Grouped) -> Iterable[bytes]:
    return (_line(key, value) for key, listed in grouped for value in listed)


def _line(key: Value, value: Value) -> bytes:
    return f"{_cell(key)}\t{_cell(value)}\n".encode()


def _cell(value: Value) -> str:
    return _TO_ESCAPE.sub(lambda found: _ESCAPED[found[0]], _shown(value))


def _shown(value: Value) -> str:
    return value if isinstance(value, str) else lines.dump(value).decode().rstrip("\n")


def _variables(session: Mapping[str, Value]) -> dict[str, str]:
    """Return the variables of a session: what its mapper S_SET under names that one may have.

    Raises:
        Misuse: A value cannot be one.
    """
    found = {f"S_{key}": _shown(session[key]) for key in session if _VARIABLE.fullmatch(key)}
    for name, text in found.items():
        if "\0" in text or len(f"{name}={text}".encode()) >= _VARIABLE_BYTES:
            reason = f"has a zero byte, or more than {_VARIABLE_BYTES >> 10} KiB: {shorten(text)}"
            raise Misuse("protocol", f"the session cannot be passed on: {name} {reason}")
    return found


def _environment(scope: Scope) -> dict[str, str]:
    """Return the executor's environment with the call's context and what the mapper S_SET.

    Raises:
        Misuse: What it S_SET cannot be a variable.
    """
    invocation = scope.at_work()
    request = invocation.request
    return {
        **os.environ,
        **_variables(invocation.session),
        "JOBX_CALL": {"mapper": "map", "combiner": "combine"}.get(invocation.stage, "reduce"),
        "JOBX_REQUEST": request.id,
        "JOBX_WORKFLOW": request.workflow,
        "JOBX_JOB": request.job,
        "JOBX_STEP": invocation.step,
        "JOBX_VERTEX": str(invocation.vertex),
        "JOBX_ATTEMPT": str(invocation.attempt),
    }


def _yielded(answered: Iterable[bytes], scope: Scope) -> Iterator[object]:
    """Yield what lines mean; a mapper that does not map on returns.

    Raises:
        Misuse: A line with a tab, or one that begins with ``map``, is not what it begins as; or
            there are only lines of neither kind.
    """
    has_begun = scope.at_work().stage != "mapper"
    output = Unread("a pair, key⇥value")
    for number, raw in enumerate(answered, 1):
        line = raw.decode("utf-8", "surrogateescape")
        cells = line.split("\t")
        if len(cells) == 1 and not line.startswith(_MAP):
            scope.take(raw + b"\n")
            output.note(raw, number)
            continue
        output.is_answered = True
        if len(cells) == 1:
            yield _step(line, number, has_begun)
            has_begun = True
        elif len(cells) == 3 and cells[0] == _SESSION:
            _keep(scope, cells, number)
        elif len(cells) == 2:
            if not has_begun:
                has_begun = True
                yield Return()
            yield _text(cells[0]), _value(cells[1], number)
        else:
            reason = f"has {len(cells) - 1} tabs; a pair has one, and \\t is a tab in a cell"
            raise Misuse("protocol", f"line {number} {reason}: {shorten(line)}")
    output.check()


def _keep(scope: Scope, cells: list[str], number: int) -> None:
    try:
        scope.set_session(_text(cells[1]), _value(cells[2], number))
    except ValueError as error:
        reason = f"line {number}: {_SESSION} {shorten(cells[1])}: {error}"
        raise Misuse("protocol", reason) from error


def _step(line: str, number: int, has_begun: bool) -> Map:
    """Return the marker for a line ``map STEP``."""
    step = line.removeprefix(_MAP).strip()
    if has_begun or not step:
        reason = "maps on, which a mapper does once, before its pairs, with a step"
        raise Misuse("protocol", f"line {number} {reason}: {shorten(line)}")
    return Map(step)


def _text(cell: str) -> str:
    return _TO_PLAIN.sub(lambda found: _PLAIN[found[0]], cell) if "\\" in cell else cell


def _value(cell: str, number: int) -> Value:
    """Return a number where the cell is written as one, else text."""
    if _INTEGER.fullmatch(cell):
        try:
            return int(cell)
        except ValueError as error:  # more digits than Python reads
            raise Misuse("protocol", f"line {number}: {error}") from error
    if not _NUMBER.fullmatch(cell):
        return _text(cell)
    value = float(cell)
    if math.isinf(value):
        raise Misuse("protocol", f"line {number}: the number {shorten(cell)} is out of range")
    return value
