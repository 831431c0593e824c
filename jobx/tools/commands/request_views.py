"""``jobx request summary``, ``tree``, ``invocations`` and ``timeline``: what a request has done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar, get_args

import click

from jobx import views
from jobx.actors.readers.table import answered
from jobx.errors import NodeUnreachable
from jobx.questions import GetSummary, GetTimeline, GetTree, ListInvocations, Question
from jobx.tools.shared import render, render_views
from jobx.tools.shared.command import Call, command, takes

A = TypeVar("A", bound=views.View)
#: How long a node may take: it starts a reader, and that may read a long log.
ANSWER_S: Final = 30.0
_LIMIT = click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)


def add_to(group: click.Group) -> None:
    """Add the commands to a group."""
    for made in (summary, tree, invocations, timeline):
        group.add_command(made)


@command(None, "summary", example="request summary wordcount REQUEST_ID")
@takes("workflow", "request_id")
def summary(call: Call, workflow: str, request_id: str) -> None:
    """Show what a request has done, by step."""
    question = GetSummary(workflow=workflow, request_id=request_id)
    view = _asked(call, question)
    _say(call, view, render_views.say_summary)


@command(None, "tree", example="request tree wordcount REQUEST_ID --of m0 --limit 20")
@takes("workflow", "request_id")
@click.option("--of", metavar="ID", default="m0", show_default=True, help="Whose children.")
@click.option("--after", metavar="CURSOR", help="The next page; `next` of the page before.")
@_LIMIT
def tree(call: Call, workflow: str, request_id: str, **page: Any) -> None:
    """Show the children of a mapper, in runs of one state."""
    question = GetTree(workflow=workflow, request_id=request_id, **page)
    view = _asked(call, question)
    _say(call, view, render_views.say_tree)


@command(None, "invocations", example="request invocations wordcount REQUEST_ID --state failed")
@takes("workflow", "request_id")
@click.option("--state", type=click.Choice(get_args(views.InvocationState)), help="Only these.")
@click.option("--step", metavar="NAME", help="Only those of this step.")
@click.option("--kind", type=click.Choice(("map", "combine", "reduce")), help="Only these.")
@click.option("--from", "start", metavar="ID", help="An invocation, or `next` of the page before.")
@_LIMIT
def invocations(call: Call, workflow: str, request_id: str, **filters: Any) -> None:
    """List the invocations of a request."""
    question = ListInvocations(workflow=workflow, request_id=request_id, **filters)
    view = _asked(call, question)
    _say(call, view, render_views.say_invocations)


@command(None, "timeline", example="request timeline wordcount REQUEST_ID --width 60")
@takes("workflow", "request_id")
@click.option("--from", "from_at", type=float, metavar="AT", help="Seconds since 1970.")
@click.option("--to", "until_at", type=float, metavar="AT", help="Seconds since 1970.")
@click.option("--width", type=click.IntRange(1, 10_000), default=60, show_default=True)
def timeline(call: Call, workflow: str, request_id: str, **span: Any) -> None:
    """Show what ran when."""
    question = GetTimeline(workflow=workflow, request_id=request_id, **span)
    view = _asked(call, question)
    _say(call, view, render_views.say_timeline)


def _asked(call: Call, question: Question[A]) -> A:
    """Return the answer of the running node, which keeps views; else from the store."""
    try:
        with call.gateway() as gateway:
            return gateway.call(question, ANSWER_S)
    except NodeUnreachable:
        with call.store() as store:
            return answered(store, question)


def _say(call: Call, view: A, show: Callable[[A], None]) -> None:
    if call.as_json:
        render.say_json(view)
    else:
        show(view)
