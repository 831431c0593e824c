"""The picture of a request: its invocation tree as a graph, written in DOT, drawn by Graphviz.

Names, inputs and messages are author text. They appear only in quoted labels of limited length and
never become attributes, so author text puts no address and no code into a drawing.
"""

from __future__ import annotations

import shutil
import subprocess
from collections import deque
from collections.abc import Iterator
from itertools import pairwise
from typing import Final, Literal, TypeAlias

from jobx.errors import DeadlineExceeded, InternalError, UnsupportedMedia
from jobx.system.errors import translate
from jobx.views import TraceNode, TraceView

GraphFormat: TypeAlias = Literal["dot", "svg", "png"]

#: Invocations that a graph shows; drawing more takes seconds.
LIMITS: Final[dict[GraphFormat, int]] = {"dot": 10_000, "svg": 2000, "png": 500}
#: Time limit of a drawing.
DRAW_S: Final = 15.0
MAX_IMAGE_BYTES: Final = 32 << 20

_PROGRAM: Final = "dot"
_LINE_CHARACTERS: Final = 80
_SHAPES: Final = {"map": "box", "combine": "hexagon", "reduce": "ellipse"}
_COLOURS: Final = {
    "succeeded": "#2e7d32",
    "failed": "#c62828",
    "lost": "#c62828",
    "cancelled": "#b26a00",
    "running": "#1565c0",
}
_WAITING: Final = "#607d8b"


def dot_text(view: TraceView, limit: int) -> str:
    """Return a request's graph as DOT text.

    Args:
        view: The trace of the request.
        limit: Largest number of invocations, those next to the root first. The graph says how
            many are left out.
    """
    return "\n".join(("digraph request {", *_HEAD, *_body(view, limit), "}", ""))


def draw(text: str, form: GraphFormat) -> bytes:
    """Return DOT text as an image; ``dot`` gives the text itself. Blocks.

    Raises:
        UnsupportedMedia: Graphviz is not installed.
        DeadlineExceeded: Drawing took longer than ``DRAW_S``.
        InternalError: Graphviz failed, or drew more than ``MAX_IMAGE_BYTES``.
    """
    if form == "dot":
        return text.encode()
    program = shutil.which(_PROGRAM)
    if program is None:
        reason = (
            f"needs the program {_PROGRAM} (Graphviz), which is not installed; dot text does not"
        )
        raise UnsupportedMedia("graph format", form, reason)
    command = [program, f"-T{form}"]
    try:
        done = subprocess.run(  # noqa: S603 - a program of this machine, and no word of others
            command, input=text.encode(), capture_output=True, timeout=DRAW_S, env={}, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise DeadlineExceeded("drawing the graph", DRAW_S) from error
    except OSError as error:
        raise translate(error, _PROGRAM) from error
    if done.returncode:
        raise InternalError(f"{_PROGRAM} failed: {done.stderr.decode(errors='replace')[:200]}")
    if len(done.stdout) > MAX_IMAGE_BYTES:
        raise InternalError(f"{_PROGRAM} drew {len(done.stdout)} bytes")
    return done.stdout


def quoted(*lines: str) -> str:
    """Return lines of any text as a label of DOT that shows exactly them, each shortened."""
    return '"' + "\\n".join(map(_escaped, lines)) + '"'


_HEAD: Final = (
    '  graph [rankdir="LR" fontname="sans-serif"];',
    '  node [fontname="sans-serif" fontsize="10"];',
    '  edge [fontname="sans-serif" fontsize="8" color="#888888"];',
)


def _body(view: TraceView, limit: int) -> Iterator[str]:
    request = view.request
    lines = (f"{request.workflow_name}/{request.job_name}", request.request_id, request.state)
    yield _vertex("request", "folder", request.state, *lines)
    if view.root is None:
        return
    yield _edge("request", view.root.invocation_id, "mapped to")
    yield from _tree(view.root, limit, has_places=view.is_spread)
    if request.state == "succeeded":
        yield _vertex("result", "note", request.state, f"{request.result_pairs or 0:,} pairs")
        yield _edge(_Family(view.root).last.invocation_id, "result", "stored to")


class _Family:
    """A mapper, its combiner and reducer, and the mappers that it mapped to."""

    __slots__ = ("below", "mapper", "own")

    def __init__(self, mapper: TraceNode) -> None:
        self.mapper = mapper
        self.own = [mapper, *(node for node in mapper.children if node.kind != "map")]
        self.below = [node for node in mapper.children if node.kind == "map"]

    @property
    def last(self) -> TraceNode:
        """Its reducer."""
        return self.own[-1]


def _tree(root: TraceNode, limit: int, *, has_places: bool) -> Iterator[str]:
    """Yield the invocations and the edges between them, those next to the root first."""
    todo = deque([_Family(root)])
    left = limit - len(todo[0].own)
    while todo:
        family = todo.popleft()
        yield from (_invocation(node, has_place=has_places) for node in family.own)
        if not family.below and not family.mapper.hidden:
            yield from _reduction(family)
        hidden = family.mapper.hidden
        for below in map(_Family, family.below):
            left -= len(below.own)
            if left < 0:
                hidden += 1
                continue
            todo.append(below)
            yield _edge(family.mapper.invocation_id, below.mapper.invocation_id, "mapped to")
            yield _edge(below.last.invocation_id, family.last.invocation_id, "step reduced by")
        if hidden:
            more = f"more of {family.mapper.invocation_id}"
            yield _vertex(more, "plaintext", "", f"{hidden:,} more")
            yield _edge(family.mapper.invocation_id, more, "mapped to")


def _reduction(family: _Family) -> Iterator[str]:
    for before, after in pairwise(family.own):
        word = "combined by" if after.kind == "combine" else "data reduced by"
        yield _edge(before.invocation_id, after.invocation_id, word)


def _invocation(node: TraceNode, *, has_place: bool) -> str:
    lines = [f"{node.step_name}/{node.handler_name}", f"{node.invocation_id} {node.state}"]
    if node.attempt > 1:
        lines.append(f"attempt {node.attempt}")
    if has_place and node.node_id is not None:
        lines.append(f"on {node.node_id}")
    if node.failure is not None:
        lines.append(f"{node.failure.type}: {node.failure.message}")
    return _vertex(node.invocation_id, _SHAPES.get(node.kind, "box"), node.state, *lines)


def _vertex(name: str, shape: str, state: str, *lines: str) -> str:
    colour = _COLOURS.get(state, _WAITING)
    return f'  {quoted(name)} [shape="{shape}" color="{colour}" label={quoted(*lines)}];'


def _edge(start: str, end: str, word: str) -> str:
    return f'  {quoted(start)} -> {quoted(end)} [label="{word}"];'


def _escaped(text: str) -> str:
    line = " ".join(text.split())
    if len(line) > _LINE_CHARACTERS:
        line = f"{line[: _LINE_CHARACTERS - 1]}…"
    # Labels interpret entities (&) and escapes (\\).
    shown = "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in line
    )
    for character, escape in (("&", "&amp;"), ("\\", "\\\\"), ('"', '\\"')):
        shown = shown.replace(character, escape)
    return shown
