"""Builds the views of actors from what the runtime knows of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from thespian.actors import ActorAddress

from jobx import views
from jobx.actors.runtime.accounts import Account, Slow
from jobx.actors.runtime.cell import ActorRecord, Cell
from jobx.actors.runtime.deadletters import Letters
from jobx.actors.runtime.mail_trace import HandledMessage
from jobx.actors.stalls import Stalled

#: Turns a monotonic instant into one of the wall clock.
Wall: TypeAlias = Callable[[float], float]


def actor_view(record: ActorRecord, children: Sequence[views.ActorView] = ()) -> views.ActorView:
    """Return the view of an actor, with these of its children."""
    again = record.restarted
    return views.ActorView(
        address=record.address,
        name=record.name,
        state=record.state,
        mailbox=record.mailbox,
        age_s=record.age_s,
        children=list(children),
        hidden=record.children - len(children),
        class_name=record.class_name,
        parent=record.parent,
        handled=record.handled,
        time_s=record.time_s,
        oldest_s=record.oldest_s,
        restarts=again.count if again else 0,
        restarts_used=again.used if again else 0,
        restart_limit=again.limit if again else None,
        restart_reason=again.reason if again else None,
        held_bytes=record.held_bytes,
    )


def actor_trees(records: Sequence[ActorRecord]) -> list[views.ActorView]:
    """Return flat records, parents before children, as trees."""
    below: dict[str | None, list[views.ActorView]] = {}
    for record in reversed(records):  # children first
        view = actor_view(record, below.pop(record.address, [])[::-1])
        below.setdefault(record.parent, []).append(view)
    return below.get(None, [])[::-1]


def class_views(
    accounts: Iterable[Account], queued: Iterable[Cell], now: float
) -> list[views.ActorClassView]:
    """Return the views of classes, those with most time in handlers first."""
    unread: dict[Account, int] = {}
    oldest: dict[Account, float] = {}
    for cell in queued:
        waited_s = cell.oldest_s(now)
        if waited_s is not None:
            account = cell.account
            unread[account] = unread.get(account, 0) + len(cell.mailbox or ())
            oldest[account] = max(oldest.get(account, 0.0), waited_s)
    return [
        views.ActorClassView(
            class_name=one.class_name,
            live=one.live,
            created=one.created,
            failed=one.failed,
            failure=one.failure,
            handled=one.handled,
            time_s=one.time_s,
            slow=one.slow,
            longest_s=one.longest_s,
            mailbox=unread.get(one, 0),
            oldest_s=oldest.get(one),
            restarts=one.restarts,
            restart_reason=one.restart_reason,
        )
        for one in sorted(accounts, key=lambda one: -one.time_s)
    ]


def slow_views(slow: dict[tuple[str, str], Slow], wall: Wall) -> list[views.SlowHandlerView]:
    """Return the views of slow handlers, those with most time first."""
    return [
        views.SlowHandlerView(
            class_name=name,
            message=message,
            count=one.count,
            time_s=one.time_s,
            longest_s=one.longest_s,
            last_at=wall(one.last_s),
        )
        for (name, message), one in sorted(slow.items(), key=lambda pair: -pair[1].time_s)
    ]


def stall_views(stalled: Iterable[Stalled], wall: Wall) -> list[views.StallView]:
    """Return the views of stalls."""
    return [
        views.StallView(
            where=one.where, count=one.count, longest_s=one.longest_s, last_at=wall(one.last_s)
        )
        for one in stalled
    ]


def letter_views(
    letters: Iterable[Letters], class_of: Callable[[ActorAddress], str | None], wall: Wall
) -> list[views.DeadLetterView]:
    """Return the views of dead letters; ``class_of`` knows the classes of live actors."""
    return [
        views.DeadLetterView(
            message=one.message,
            target=str(one.target),
            target_class=class_of(one.target),
            sender=str(one.sender),
            sender_class=class_of(one.sender),
            reason=one.reason,
            count=one.count,
            first_at=wall(one.first_s),
            last_at=wall(one.last_s),
        )
        for one in letters
    ]


def traced_views(messages: Iterable[HandledMessage], wall: Wall) -> list[views.TracedMessage]:
    """Return the views of traced messages."""
    return [
        views.TracedMessage(
            at=wall(one.began_s),
            receiver=one.receiver,
            class_name=one.class_name,
            message=one.message,
            size_bytes=one.size_bytes,
            size_is_least=one.size_is_least,
            sender=one.sender,
            sender_class=one.sender_class,
            waited_s=one.waited_s,
            took_s=one.took_s,
            failed=one.failed,
        )
        for one in messages
    ]
