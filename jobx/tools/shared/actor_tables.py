"""Shows answers of the console to people."""

from __future__ import annotations

from collections.abc import Iterable

from jobx import amounts, views
from jobx.tools.shared import render

_ACTORS = (
    *("state", "mailbox", "oldest", "handled", "time", "age", "restarts", "holds"),
    *("address", "name"),
)


def say_summary(summary: views.ActorSummary) -> None:
    """Write the counts of a node's actors, by class; its slow handlers and stalls."""
    render.say_fields(_counts(summary))
    columns = ("class", "live", "created", "handled", "time", "slow", "longest", "mailbox")
    render.say_table((*columns, "oldest", "failed", "restarts", "last reason"), _classes(summary))
    if summary.slow_handlers:
        named = ("slow message", "at", "count", "time", "longest", "last")
        render.say_table(named, map(_slow_row, summary.slow_handlers))
    if summary.stalled:
        render.say_table(("stalls", "longest", "last", "where"), map(_stall_row, summary.stalled))


def _counts(summary: views.ActorSummary) -> dict[str, str | None]:
    return {
        "node": summary.node_id,
        "actors": f"{summary.live:,} live, {summary.queued:,} with mail,"
        f" {summary.created:,} created, {summary.failed:,} failed",
        "messages": f"{summary.handled:,} handled,"
        f" {amounts.count(summary.dead_letters, 'dead letter')}",
        "memory": f"{amounts.size(summary.held_bytes)} held by open requests,"
        f" of {amounts.size(summary.limit_bytes)}",
        "slow": f"{amounts.count(summary.slow, 'message')} over 10 ms,"
        f" {amounts.count(summary.stalls, 'stall')} over 100 ms",
        "traces": str(summary.traces) if summary.traces else None,
    }


def _slow_row(one: views.SlowHandlerView) -> tuple[object, ...]:
    return (
        *(one.message, one.class_name, one.count, _s(one.time_s), _s(one.longest_s)),
        render.instant(one.last_at),
    )


def _stall_row(one: views.StallView) -> tuple[object, ...]:
    return one.count, _s(one.longest_s), render.instant(one.last_at), one.where


def _classes(summary: views.ActorSummary) -> Iterable[tuple[object, ...]]:
    for one in summary.classes:
        yield (
            *(one.class_name, one.live, one.created, one.handled, _s(one.time_s), one.slow),
            *(_s(one.longest_s or None), one.mailbox, _s(one.oldest_s), one.failed, one.restarts),
            one.restart_reason or one.failure or "",
        )


def say_page(page: views.ActorPage) -> None:
    """Write a page of actors, and the cursor of the next one."""
    render.say_table(_ACTORS, map(_row, page.actors))
    if page.next is not None:
        render.say(f"there are more: --after {page.next}")


def _row(actor: views.ActorView) -> tuple[object, ...]:
    held = "" if actor.held_bytes is None else amounts.size(actor.held_bytes)
    return (
        *(actor.state, actor.mailbox, _s(actor.oldest_s), actor.handled, _s(actor.time_s)),
        *(amounts.duration(actor.age_s), actor.restarts, held, actor.address, actor.name),
    )


def say_actor(detail: views.ActorDetail) -> None:
    """Write all of one actor."""
    actor = detail.actor
    render.say_fields(
        {
            "name": actor.name,
            "class": actor.class_name,
            "address": actor.address,
            "node": detail.node_id,
            "state": actor.state,
            "age": amounts.duration(actor.age_s),
            "handled": f"{amounts.count(actor.handled, 'message')}"
            f" in {amounts.duration(actor.time_s)}",
            "mailbox": _mailbox(detail),
            "oldest message": None if actor.oldest_s is None else _s(actor.oldest_s),
            "restarts": _restarts(actor) if actor.restarts else None,
            "holds": None if actor.held_bytes is None else amounts.size(actor.held_bytes),
            "below": " > ".join(f"{one.name} ({one.address})" for one in reversed(detail.parents))
            or None,
            "children": f"{len(actor.children) + actor.hidden:,}",
        }
    )
    if actor.children:
        render.say_table(_ACTORS, map(_row, actor.children))
        if actor.hidden:
            render.say(f"and {actor.hidden:,} more: jobx actors list --below {actor.address}")


def _mailbox(detail: views.ActorDetail) -> str:
    mail = ", ".join(f"{one.message} x{one.count:,}" for one in detail.mail)
    behind = f", and {detail.unread:,} behind them" if detail.unread else ""
    return f"{detail.actor.mailbox:,}{': ' if mail else ''}{mail}{behind}"


def _restarts(actor: views.ActorView) -> str:
    used = f"{actor.restarts_used} of its budget of {actor.restart_limit} were used"
    return f"{actor.restarts}, {used}; the last: {actor.restart_reason}"


def say_trace(trace: views.ActorTrace) -> None:
    """Write traced messages."""
    render.say_table(
        ("at", "message", "bytes", "waited", "took", "class", "to", "from"),
        (
            (
                *(render.instant(one.at), f"{one.message}{' (failed)' if one.failed else ''}"),
                f"{'> ' if one.size_is_least else ''}{one.size_bytes:,}",
                *(_s(one.waited_s), _s(one.took_s), one.class_name, one.receiver),
                f"{one.sender} {one.sender_class or ''}".rstrip(),
            )
            for one in trace.messages
        ),
    )
    count, took = amounts.count(len(trace.messages), "message"), amounts.duration(trace.took_s)
    more = "; the trace is full, there may have been more" if trace.is_full else ""
    render.say(f"{count} in {took}{more}")


def say_letters(page: views.DeadLetterPage) -> None:
    """Write dead letters."""
    render.say_table(
        ("last", "count", "message", "to", "from", "why"),
        (
            (
                *(render.instant(one.last_at), one.count, one.message),
                f"{one.target} {one.target_class or ''}".rstrip(),
                f"{one.sender} {one.sender_class or ''}".rstrip(),
                one.reason,
            )
            for one in page.letters
        ),
    )
    shown = sum(one.count for one in page.letters)
    if shown < page.count:
        render.say(f"not kept: {amounts.count(page.count - shown, 'older one')}")


def _s(seconds: float | None) -> str:
    return "-" if seconds is None else amounts.duration(seconds)
