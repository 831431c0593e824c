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
from rich.tree import Tree

from jobx import amounts, printable, values
from jobx.model import Counts, Delivery, Failure
from jobx.views import ActorView, ExplainView, OpenGroup, TraceNode, TraceView

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
    widest = max(name.cell_len for name in names)
    for row in rows:
        for name, cell in zip(names, row, strict=True):
            gap = Text(" " * (widest - name.cell_len + _GAP))
            console().print(Text.assemble(name, gap, cell), soft_wrap=True)
        say("")


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


def say_trace(view: TraceView, *, detail: bool = False) -> None:
    """Write the invocation tree of a request to stdout; details add inputs, output and sessions."""
    request = view.request
    head = Text.assemble(
        f"{request.workflow_name}/{request.job_name} {request.request_id} ",
        _state(request.state),
        f"  {progress(request.counts)}",
    )
    tree = Tree(head)
    if view.root is not None:
        _grow(tree, view.root, detail, has_places=view.is_spread)
    for sent in view.deliveries:
        tree.add(Text(f"delivery {printable.line(delivery(sent))}"))
    console().print(tree)


def say_explanation(view: ExplainView) -> None:
    """Write why a request is where it is: a headline, a line for each group, and what helps."""
    request = view.request
    path = f"{request.workflow_name}/{request.request_id}"
    if view.says.startswith("it "):
        say(f"request {path} {view.says.removeprefix('it ')}")
    else:
        stands = "has failed" if request.state == "failed" else f"is {request.state}"
        say(f"request {path} {stands}: {view.says}")
    if view.helps:
        say(f"    {view.helps}")
    for trouble in view.troubles:
        say(f"trouble of the node: {trouble}")
    for group in view.groups:
        which = f"{group.kind} {group.step_name}".strip()
        say(
            f"  {group.count:,} x {which}, first {group.invocation_id}: {group.says}{_times(group)}"
        )
        if group.helps:
            say(f"      {group.helps}")


def _times(group: OpenGroup) -> str:
    """Return since when and until when a group waits."""
    since = f", since {instant(group.since_at)}" if group.since_at else ""
    return f"{since}, until {instant(group.until_at)}" if group.until_at else since


def say_actors(actors: Sequence[ActorView]) -> None:
    """Write the live actor tree of a node to stdout."""
    tree = Tree("actors", hide_root=True)
    for actor in actors:
        _grow_actors(tree, actor)
    console().print(tree)


def progress(counts: Counts) -> str:
    """Return the progress of a request in words."""
    text = f"{counts.finished:,} of {counts.mapped:,} mappers finished"
    return f"{text}, {counts.retried:,} retried" if counts.retried else text


def instant(wall_at: float | None) -> str:
    """Return a wall-clock instant in local time, or nothing for None."""
    if wall_at is None:
        return ""
    return datetime.datetime.fromtimestamp(wall_at).astimezone().isoformat(" ", "seconds")


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


def _grow(tree: Tree, root: TraceNode, detail: bool, *, has_places: bool) -> None:
    # An explicit stack, because a mapper may map on a thousand levels deep.
    todo: list[tuple[Tree, TraceNode | Text]] = [(tree, root)]
    while todo:
        parent, node = todo.pop()
        if isinstance(node, Text):
            parent.add(node)
            continue
        branch = parent.add(_trace_line(node, has_place=has_places))
        if detail:
            _add_details(branch, node)
        if node.hidden:
            todo.append((branch, Text(f"… {node.hidden:,} more", style="dim")))
        todo += [(branch, below) for below in reversed(node.children)]


def _add_details(branch: Tree, node: TraceNode) -> None:
    shown = {"ran": _ran(node), "input": node.input, "output": node.output}
    if node.session:
        shown["session"] = to_json(node.session, indent=None)
    if node.failure is not None:
        shown["traceback"] = node.failure.traceback
    for name, text in shown.items():
        if text:
            branch.add(Text.assemble((f"{name}: ", "bold"), printable.lines(text.rstrip())))


def _ran(node: TraceNode) -> str | None:
    """Return when an invocation began and in which process; None if that is not known."""
    if node.started_at is None:
        return None
    waited_s = max(node.started_at - (node.queued_at or node.started_at), 0.0)
    waited = f", after a wait of {amounts.duration(waited_s)}" if waited_s else ""
    return f"{instant(node.started_at)} in executor {node.executor}{waited}"


def _trace_line(node: TraceNode, *, has_place: bool) -> Text:
    line = Text.assemble(_state(node.state), f" {node.kind} {node.step_name}/{node.handler_name}")
    if node.attempt > 1:
        line.append(f"  attempt {node.attempt}", style="yellow")
    if node.duration_s is not None:
        line.append(f"  {amounts.duration(node.duration_s)}", style="dim")
    if has_place and node.node_id is not None:
        line.append(f"  on {node.node_id}", style="dim")
    if node.failure is not None:
        line.append(f"  {printable.line(failure(node.failure))}", style="red")
    return line.append(f"  {node.invocation_id}", style="dim")


def _grow_actors(tree: Tree, actor: ActorView) -> None:
    line = Text.assemble(f"{printable.line(actor.name)} ", _state(actor.state))
    line.append(
        f"  mailbox {actor.mailbox}  {amounts.duration(actor.age_s)}  {actor.address}", style="dim"
    )
    branch = tree.add(line)
    for below in actor.children:
        _grow_actors(branch, below)
    if actor.hidden:
        branch.add(Text(f"{actor.hidden:,} more", style="dim"))


def _cell(value: object) -> Text:
    if isinstance(value, Text):
        return value
    return _state(value) if isinstance(value, str) else Text(to_json(value, indent=None))


def _state(word: str) -> Text:
    style = next((style for style, words in _STYLES if word in words), "")
    return Text(printable.line(word), style=style)
