"""What a request has done: its steps, its tree and its invocations, as text and as pictures."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from jobx import views
from jobx.actors.inspection import graph as graphs
from jobx.actors.inspection import sessions
from jobx.actors.inspection import trace as traces
from jobx.actors.readers.table import answered
from jobx.errors import NodeUnreachable
from jobx.questions import GetSummary, GetTimeline, GetTree, ListInvocations, Question
from jobx.tools.shared import render, render_trees, render_views, whole
from jobx.tools.shared.command import Call, command, takes
from jobx.tools.shared.entity_commands import done
from jobx.tools.shared.output import replace_file
from jobx.values import to_jsonable

A = TypeVar("A", bound=views.View)
_LIMIT = click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)


def add_to(group: click.Group) -> None:
    """Add the commands to a group."""
    for made in (summary, tree, invocations, timeline, trace, graph, show_sessions):
        group.add_command(made)


@command(None, "summary", example="request summary wordcount REQUEST_ID")
@takes("workflow", "request_id")
def summary(call: Call, **asked: Any) -> None:
    """Show what a request has done, by step."""
    _show(call, GetSummary(**asked), render_views.say_summary)


@command(None, "tree", example="request tree wordcount REQUEST_ID --of m0 --limit 20")
@takes("workflow", "request_id")
@click.option("--of", metavar="ID", default="m0", show_default=True, help="Whose children.")
@click.option("--after", metavar="CURSOR", help="The next page; `next` of the page before.")
@_LIMIT
def tree(call: Call, **asked: Any) -> None:
    """Show the children of a mapper, in runs of one state."""
    _show(call, GetTree(**asked), render_views.say_tree)


@command(None, "invocations", example="request invocations wordcount REQUEST_ID --state failed")
@takes("workflow", "request_id")
@click.option("--state", type=click.Choice(get_args(views.InvocationState)), help="Only these.")
@click.option("--step", metavar="NAME", help="Only those of this step.")
@click.option("--kind", type=click.Choice(("map", "combine", "reduce")), help="Only these.")
@click.option("--from", "start", metavar="ID", help="An invocation, or `next` of the page before.")
@_LIMIT
def invocations(call: Call, **asked: Any) -> None:
    """List the invocations of a request."""
    _show(call, ListInvocations(**asked), render_views.say_invocations)


@command(None, "timeline", example="request timeline wordcount REQUEST_ID --width 60")
@takes("workflow", "request_id")
@click.option("--from", "from_at", type=float, metavar="AT", help="Seconds since 1970.")
@click.option("--to", "until_at", type=float, metavar="AT", help="Seconds since 1970.")
@click.option("--width", type=click.IntRange(1, 10_000), default=60, show_default=True)
def timeline(call: Call, **asked: Any) -> None:
    """Show what ran when."""
    _show(call, GetTimeline(**asked), render_views.say_timeline)


@command(None, "trace", example="request trace wordcount REQUEST_ID --limit 50")
@takes("workflow", "request_id")
@click.option(
    "--limit", type=click.IntRange(min=1), default=1000, show_default=True, help="Invocations."
)
@click.option("--detail", is_flag=True, help="Also show inputs, sessions, output and tracebacks.")
def trace(call: Call, workflow: str, request_id: str, limit: int, detail: bool) -> None:
    """Show the invocation tree of a request.

    It has state, kind, step, attempt, duration and error of each invocation.
    """
    with call.store() as store:
        view = traces.read(store, workflow, request_id, limit)
    if call.as_json:
        render.say_json(view)
    else:
        render_trees.say_trace(view, detail=detail)


@command(None, "graph", example="request graph wordcount REQUEST_ID --format svg -o tree.svg")
@takes("workflow", "request_id")
@click.option(
    "--format",
    "form",
    type=click.Choice(tuple(graphs.LIMITS)),
    default="dot",
    show_default=True,
    help="svg and png need Graphviz.",
)
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(path_type=Path), help="Not to stdout."
)
def graph(
    call: Call, workflow: str, request_id: str, form: graphs.GraphFormat, output: Path | None
) -> None:
    """Draw the invocation tree of a request."""
    limit = graphs.LIMITS[form]
    with call.store() as store:
        view = traces.read(store, workflow, request_id, limit)
    image = graphs.draw(graphs.dot_text(view, limit), form)
    if output is None:
        sys.stdout.buffer.write(image)
        return
    replace_file(output, image)
    done(call, "drew", "request", f"{workflow}/{request_id}")


@command(None, "sessions", example="request sessions wordcount REQUEST_ID")
@takes("workflow", "request_id")
def show_sessions(call: Call, workflow: str, request_id: str) -> None:
    """Show what each mapper invocation left in its session."""
    with call.store() as store:
        found = dict(sessions.read(store, workflow, request_id))
    if call.as_json:
        render.say_json({"sessions": {name: to_jsonable(one) for name, one in found.items()}})
        return
    rows = [
        (name, key, to_jsonable(value))
        for name, pairs in found.items()
        for key, value in pairs.items()
    ]
    render.say_table(("invocation", "key", "value"), rows)


def _show(call: Call, question: Question[A], say: Callable[[A], None]) -> None:
    """Show the answer of the running node, which keeps views; else that of the store."""
    try:
        with call.gateway() as gateway:
            view = whole.ask(gateway, question)
    except NodeUnreachable:
        with call.store() as store:
            view = answered(store, question)
    if call.as_json:
        render.say_json(view)
    else:
        say(view)
        whole.say_rest(view)
