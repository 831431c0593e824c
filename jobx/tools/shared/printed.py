"""What the handlers of an ended request printed, for the person who asked for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import click

from jobx import printable
from jobx.actors.inspection import trace
from jobx.errors import JobxError
from jobx.model import Counts
from jobx.tools.shared import render
from jobx.tools.shared.command import Call
from jobx.views import TraceNode

#: Invocations whose output is shown. Of a request with many more, not even the log is read.
SHOWN: Final = 1000
MOST_READ: Final = 10_000
#: Characters that are shown of all output.
MOST_CHARACTERS: Final = 256 << 10


def say_printed(call: Call, workflow: str, request_id: str, counts: Counts) -> None:
    """Write the captured output of a request to stderr, in the order of its tree, bounded."""
    hint = f"jobx request trace {workflow} {request_id} --detail shows what was printed"
    if counts.invocations > MOST_READ:
        render.complain(hint)
        return
    try:
        with call.store() as store:
            root = trace.read(store, workflow, request_id, SHOWN).root
    except JobxError as error:
        render.complain(f"what the handlers printed cannot be read: {error}")
        return
    room = MOST_CHARACTERS
    for text in outputs(root):
        click.echo(printable.lines(text[:room]), err=True, nl=not text.endswith("\n"))
        room -= len(text)
        if room <= 0:
            render.complain(f"the rest is not shown; {hint}")
            return


def outputs(root: TraceNode | None) -> Iterator[str]:
    """Yield what the invocations of a tree printed, parents before their children."""
    waiting = [] if root is None else [root]
    while waiting:
        node = waiting.pop()
        if node.output:
            yield node.output
        waiting += reversed(node.children)
