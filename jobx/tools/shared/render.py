"""Writes answers: tables and trees for people, JSON for programs."""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

import click
import msgspec
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobx import printable, values
from jobx.model import Counts, Delivery, Failure

#: Wide enough that nothing is cut, because people copy ids. A terminal wraps by itself.
_ANSWER_WIDTH: Final = 10_000
#: Cells up to this width are aligned.
_WIDEST_CELL: Final = 48
#: Between two columns.
_GAP: Final = 2
#: Rows of a table of pairs that are aligned at once.
_BLOCK_ROWS: Final = 1000
_STYLES: Final = (
    ("green", ("succeeded", "ready", "idle")),
    ("red", ("failed", "lost", "stopped")),
    ("yellow", ("cancelled", "draining")),
    ("cyan", ("running", "queued", "pending", "busy")),
)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise  # noqa: PLE0704 - rich calls this in an except clause; our entry knows better


def console(*, stderr: bool = False) -> Console:
    """Return a console on stdout (for answers) or stderr; with colour only on a terminal."""
    stream, width = (sys.stderr, None) if stderr else (sys.stdout, _ANSWER_WIDTH)
    return _Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


def terminal() -> Console:
    """Return a console on stdout, a terminal, as wide as that is."""
    return _Console(file=sys.stdout, highlight=False, markup=False, emoji=False)


def say(line: str) -> None:
    """Write one or more lines to stdout."""
    console().print(printable.lines(line), soft_wrap=True)


def complain(line: str) -> None:
    """Write one line to stderr, after the name of the program."""
    click.echo(f"jobx: {printable.line(line)}", err=True)


def to_json(answer: Any, *, indent: int | None = 2) -> str:
    """Return entities, views and JSON values as JSON text; the caller has tagged other values.

    Programs read it and people see it, so nothing in it can control a terminal.
    """
    plain = msgspec.to_builtins(answer)
    text = json.dumps(plain, indent=indent, ensure_ascii=False)
    return printable.json_text(text)


def say_json(answer: Any) -> None:
    """Write an answer to stdout as JSON."""
    sys.stdout.write(f"{to_json(answer)}\n")


def say_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table with column names to stdout.

    A column is as wide as its widest cell, up to a limit: a longer cell moves only its own row, so
    that one long text does not make every row wrap. A terminal that is too narrow gets cells whose
    text wraps between its words, or if its words are too long, a line for each cell.
    """
    lines = [[Text(name, style="bold") for name in columns]]
    lines += [[_cell(value) for value in row] for row in rows]
    if console().is_terminal and max(map(_width, lines)) > (room := terminal().width):
        _say_narrow(lines, room)
        return
    widths = [
        max((cell.cell_len for cell in cells if cell.cell_len <= _WIDEST_CELL), default=0)
        for cells in zip(*lines, strict=True)
    ]
    out = console()
    for line in lines:
        shown = Text()
        for cell, width in zip(line[:-1], widths, strict=False):
            shown.append_text(cell).append(" " * (max(0, width - cell.cell_len) + 2))
        out.print(shown.append_text(line[-1]), soft_wrap=True)


def _width(line: Sequence[Text]) -> int:
    return sum(cell.cell_len + _GAP for cell in line) - _GAP


def _say_narrow(lines: list[list[Text]], room: int) -> None:
    """Write a table whose first line has the names, within the width of a terminal."""
    names, *rows = lines
    words = [max(_longest_word(cell) for cell in cells) for cells in zip(*lines, strict=True)]
    if sum(words) + _GAP * (len(words) - 1) <= room:
        table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0))
        for name, width in zip(names, words, strict=True):
            table.add_column(name, min_width=width, overflow="fold")
        for row in rows:
            table.add_row(*row)
        terminal().print(table)
        return
    widest, out = max(name.cell_len for name in names), console()
    gaps = [" " * (widest - name.cell_len + _GAP) for name in names]
    for row in rows:
        parts: list[Text | str] = []
        for name, gap, cell in zip(names, gaps, row, strict=True):
            parts += (name, gap, cell, "\n")
        out.print(Text.assemble(*parts), soft_wrap=True)


def _longest_word(cell: Text) -> int:
    return max(map(cell_len, cell.plain.split()), default=0)


def say_fields(fields: Mapping[str, object]) -> None:
    """Write names and values to stdout, one a line; those that are None are left out."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in fields.items():
        if value is not None:
            shown = Text(printable.lines(value)) if isinstance(value, str) else _cell(value)
            table.add_row(name, shown)
    console().print(table)


def say_pairs(pairs: Iterable[values.Pair], form: str, request_id: str) -> None:
    """Write the pairs of a result to stdout.

    Args:
        pairs: Written as they come, except for a table.
        form: ``json`` (one document), ``ndjson`` (a pair a line) or ``table``.
        request_id: The id in the document.
    """
    if form == "table":
        _say_pair_table(pairs)
        return
    lines = (to_json(values.to_jsonable(pair), indent=None) for pair in pairs)
    if form == "ndjson":
        sys.stdout.writelines(f"{line}\n" for line in lines)
        return
    sys.stdout.write(f'{{"request_id": {json.dumps(request_id)}, "result": {{"pairs": [')
    sys.stdout.writelines(f"{',' if number else ''}\n{line}" for number, line in enumerate(lines))
    sys.stdout.write("\n]}}\n")


def _say_pair_table(pairs: Iterable[values.Pair]) -> None:
    """Write pairs as a table. A table of rich would first measure all its cells.

    Keys are as wide as the widest so far, block by block.
    """
    lines = ([_cell(item).plain for item in values.to_jsonable(pair)] for pair in pairs)
    width = len("key")
    block = [["key", "value"], *islice(lines, _BLOCK_ROWS)]
    while block:
        width = max(width, *(cell_len(key) for key, _ in block))
        sys.stdout.writelines(f"{set_cell_size(key, width)}  {value}\n" for key, value in block)
        block = list(islice(lines, _BLOCK_ROWS))


def progress(counts: Counts) -> str:
    """Return the progress of a request in words."""
    text = f"{counts.finished:,} of {counts.mapped:,} mappers finished"
    return f"{text}, {counts.retried:,} retried" if counts.retried else text


def instant(wall_at: float | None) -> str:
    """Return a wall-clock instant in local time, or nothing for None."""
    if wall_at is None:
        return ""
    try:
        moment = datetime.datetime.fromtimestamp(wall_at).astimezone()
    except (OverflowError, OSError, ValueError):  # a clock that was far off
        return f"{wall_at:g} s after 1970"
    return moment.isoformat(" ", "seconds")


def delivery(sent: Delivery) -> str:
    """Return the state of a delivery in one line."""
    tries = f", {sent.attempts} tries" if sent.attempts != 1 else ""
    error = f": {sent.error}" if sent.error else ""
    return f"{sent.state.replace('_', ' ')} by {sent.writer} to {sent.place}{tries}{error}"


def failure(failed: Failure) -> str:
    """Return why something failed, in one line."""
    return f"{failed.type}: {cause(failed)}"


def cause(failed: Failure) -> str:
    """Return the message of a failure, with the handler and the input that it came from."""
    where = f" (in {failed.handler_name}" if failed.handler_name else ""
    if where and failed.input:
        where = f"{where} on {failed.input}"
    return f"{failed.message}{where})" if where else failed.message


def _cell(value: object) -> Text:
    if isinstance(value, Text):
        return value
    return state(value) if isinstance(value, str) else Text(to_json(value, indent=None))


def state(word: str) -> Text:
    """Return a state in its colour."""
    style = next((style for style, words in _STYLES if word in words), "")
    return Text(printable.line(word), style=style)
