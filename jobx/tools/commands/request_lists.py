"""``jobx request list`` and ``count``: which requests there are."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any, Final, get_args

import click

from jobx import amounts, model
from jobx.actors.inspection import view_builders
from jobx.errors import EntryDamaged, InvalidInput, quote
from jobx.instants import read_instant
from jobx.kv import opening
from jobx.kv.folder_lock import FolderLock
from jobx.kv.requests import request_filter
from jobx.questions import CountRequests, ListRequests
from jobx.tools.shared import render
from jobx.tools.shared.command import Call, command
from jobx.tools.shared.entity_commands import fail_for
from jobx.views import JobCounts, RequestPage, RequestView

_CURSOR: Final = re.compile(request_filter.CURSOR_PATTERN)
_FILTER: Final = (
    click.option("--state", type=click.Choice(get_args(model.RequestState)), help="Only these."),
    click.option("--job", metavar="NAME", help="Only requests of this job."),
    click.option(
        "--since", metavar="TIME", help="Accepted then or later: 2h, 7d, 2026-02-01T12:00:00Z."
    ),
    click.option("--until", metavar="TIME", help="Accepted earlier than that."),
    click.option("--error", metavar="TYPE", help="Failed with an error of this type."),
    click.option(
        "--arg",
        "search",
        multiple=True,
        metavar="NAME=VALUE",
        help="With this argument, which the job names; VALUE is JSON, or else text.",
    ),
)


def add_to(group: click.Group) -> None:
    """Add the commands to a group."""
    group.add_command(list_page)
    group.add_command(count)


def _filtered(body: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_FILTER):
        body = option(body)
    return body


@command(None, "list", example="request list wordcount --state failed --limit 20")
@click.argument("workflow")
@_filtered
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@click.option("--after", metavar="CURSOR", help="The next page; `next` of the page before.")
def list_page(call: Call, workflow: str, after: str | None, limit: int, **given: Any) -> None:
    """List the requests that fit all that is given, newest first."""
    if after is not None and not _CURSOR.fullmatch(after):
        reason = "is no cursor: give `next` of the page before"
        raise InvalidInput("option --after", quote(after), reason)
    now_at = time.time()
    for name in ("since", "until"):
        if given[name] is not None:
            read_instant(f"option --{name}", given[name], now_at)
    given["search"] = _search(given["search"], given["job"])
    asked = ListRequests(workflow=workflow, after=after, limit=limit, **given)
    with call.store() as store:
        damaged: list[EntryDamaged] = []
        page = view_builders.page(store, asked, now_at, damaged)
    _say(call, page)
    fail_for(damaged)


def _say(call: Call, page: RequestPage) -> None:
    if call.as_json:
        render.say_json(page)
        return
    columns = ("request", "job", "state", "accepted", "took", "invocations")
    is_waiting = waits(call)
    render.say_table(columns, (_row(view, waits=is_waiting) for view in page.requests))
    if page.unindexed is not None:
        render.say(page.unindexed)
    if page.next is not None:
        why = " (this page ends early)" if page.is_partial else ""
        render.say(f"more{why}: --after {page.next}")


@command(None, "count", example="request count wordcount")
@click.argument("workflow")
@click.option("--job", metavar="NAME", help="Only requests of this job.")
def count(call: Call, workflow: str, job: str | None) -> None:
    """Show how many requests are in each state, by job."""
    with call.store() as store:
        counts = view_builders.counts(store, CountRequests(workflow=workflow, job=job))
    if call.as_json:
        render.say_json(counts)
        return
    columns = ("job", *get_args(model.RequestState))
    rows = [_counted(one.job_name, one) for one in counts.jobs]
    if len(rows) > 1:
        rows.append(_counted("(all)", counts.total))
    render.say_table(columns, rows)
    if counts.unindexed is not None:
        render.say(counts.unindexed)


def _counted(name: str, one: JobCounts) -> tuple[object, ...]:
    return name, *(getattr(one, state) for state in get_args(model.RequestState))


def _search(texts: tuple[str, ...], job: str | None) -> dict[str, Any]:
    """Return the arguments that are searched for.

    Raises:
        InvalidInput: One is malformed, or given twice, or the job is missing.
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals or name in found:
            reason = "is given twice" if name in found else "must be NAME=VALUE"
            raise InvalidInput("option --arg", quote(text), reason)
        found[name] = request_filter.read_value(f"option --arg {name}", value)
    if found and job is None:
        raise InvalidInput("option --arg", quote(texts[0]), "needs --job")
    return found


def waits(call: Call) -> bool:
    """Whether it is known that no node works on open requests; with a store elsewhere it is not."""
    return opening.is_here(call.settings) and FolderLock(call.settings.data_dir).holder() is None


def state_of(view: RequestView, *, waits: bool) -> str:
    """Return the state of a request for people; ``waits``: no node works on open ones."""
    return "running (waits for a node)" if waits and view.state == "running" else view.state


def _row(view: RequestView, *, waits: bool) -> tuple[object, ...]:
    took = ""
    if view.finished_at is not None:
        took = amounts.duration(view.finished_at - view.accepted_at)
    return (
        view.request_id,
        view.job_name,
        state_of(view, waits=waits),
        render.instant(view.accepted_at),
        took,
        view.counts.invocations,
    )
