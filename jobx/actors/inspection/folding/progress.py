"""How a request stands, and what came of it since some of its events, for those who watch it."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from jobx import questions, views
from jobx.actors.request import events
from jobx.actors.request.ids import invocation_id
from jobx.kv.requests import event_log
from jobx.kv.store import Store
from jobx.model import Failure

#: A watcher that has missed more events than these begins anew with the summary.
MOST_MISSED: Final = 10_000
#: Failures that one message lists; of more it has the last ones.
MOST_FAILURES: Final = 20
#: Rows of steps in one message; beyond that a step is one row, at all its depths together.
MOST_STEPS: Final = 50
#: Groups of failures in one message; the others are one more.
MOST_GROUPS: Final = 20
#: Counts of a row of a step.
_COUNTS: Final = (
    *("mapped", "pending", "running", "succeeded", "failed", "cancelled"),
    *("retries", "combined", "reduced"),
)
#: Most characters of the message of one.
_CHARACTERS: Final = 300
#: How often a summary is made of which a part is older than the other.
_TRIES: Final = 3

Summarize = Callable[[Store, questions.GetSummary], views.SummaryView]


class _Total(NamedTuple):
    """What came since the first event that was read, up to the event ``number``."""

    number: int
    retries: int = 0
    branches_ended: int = 0
    failures: int = 0


def read(store: Store, asked: questions.ReadProgress, summarize: Summarize) -> views.ProgressView:
    """Return how a request stands, and what came since each of some of its events.

    Args:
        store: Where it is.
        asked: The request, and the numbers of the events.
        summarize: Returns its summary.

    Raises:
        NotFound: There is no such request.
        EntryDamaged: An event is missing, or differs from what was written.
    """
    key = asked.workflow, asked.request_id
    whole = questions.GetSummary(workflow=key[0], request_id=key[1], is_whole=True)
    for _ in range(_TRIES):
        summary = summarize(store, whole)
        least = max(min((*asked.after, summary.as_of - 1)), summary.as_of - MOST_MISSED, -1)
        found = list(_events(store, asked, least, summary.as_of))
        is_end = bool(found) and isinstance(found[-1][1], events.Finished)
        if is_end == (summary.request.state != "running"):
            break  # else its end was written between the reads of its log and its entity
    totals, failures = _totals(least, found)
    since = [_since(after, least, totals, failures) for after in asked.after]
    return views.ProgressView(summary=_brief(summary), since=since, is_end=is_end)


def _brief(summary: views.SummaryView) -> views.SummaryView:
    """Return a summary that is small enough to be sent again and again."""
    steps, groups = summary.steps, summary.failures
    if len(steps) > MOST_STEPS:
        first = {one.step_name: one for one in reversed(steps)}
        steps = [_merged([one for one in steps if one.step_name == name]) for name in first]
    if len(groups) > MOST_GROUPS:
        rest = groups[MOST_GROUPS:]
        count, is_final = sum(one.count for one in rest), any(one.is_final for one in rest)
        others = replace(rest[0], type="others", line=None, step_name="", message="")
        groups = [*groups[:MOST_GROUPS], replace(others, count=count, is_final=is_final)]
    return replace(summary, steps=steps, failures=groups)


def _merged(depths: list[views.StepSummary]) -> views.StepSummary:
    """Return one step at all depths, named after the first of them."""
    counts = {name: sum(getattr(one, name) for one in depths) for name in _COUNTS}
    timed = [(one.succeeded or 1, one.mean_s) for one in depths if one.mean_s is not None]
    weight = sum(count for count, _ in timed)
    return replace(
        depths[0],
        **counts,
        mean_s=sum(count * mean_s for count, mean_s in timed) / weight if weight else None,
        max_s=max((one.max_s for one in depths if one.max_s is not None), default=None),
    )


def view_of(found: views.ProgressView, since: views.Since) -> views.WatchView:
    """Return what one watcher is told of it."""
    return views.WatchView(
        as_of=found.summary.as_of,
        summary=found.summary,
        failures=since.failures,
        hidden=since.hidden,
        retries=since.retries,
        branches_ended=since.branches_ended,
        is_reset=since.is_reset,
        is_end=found.is_end,
    )


def _events(
    store: Store, asked: questions.OfRequest[Any], after: int, until: int
) -> Iterator[tuple[int, events.Event | None]]:
    """Yield the events behind one, up to another."""
    for number, record in event_log.read(store, asked.workflow, asked.request_id, after):
        if number > until:
            return
        yield number, events.known_part(record)


def _totals(
    least: int, found: list[tuple[int, events.Event | None]]
) -> tuple[list[_Total], list[views.AttemptFailure]]:
    """Return what came, summed up event by event, and each failure of it."""
    total = _Total(least)
    totals, failures = [total], []
    for number, event in found:
        retries, ended, failed = total.retries, total.branches_ended, total.failures
        if isinstance(event, events.Retried):
            retries += event.count
        if isinstance(event, events.Done):
            # Of a reducer in partitions the first one stands for all.
            ended += event.kind == "reduce" and event.partition == 0
        if isinstance(event, events.Retried | events.Failed):
            failed += 1
            failures.append(_failure(number, event))
        total = _Total(number, retries, ended, failed)
        totals.append(total)
    return totals, failures


def _failure(number: int, event: events.Retried | events.Failed) -> views.AttemptFailure:
    is_final = isinstance(event, events.Failed)
    vertex = event.vertex if isinstance(event, events.Failed) else event.first
    failure: Failure = event.failure
    return views.AttemptFailure(
        event=number,
        invocation_id=invocation_id(event.kind, vertex),
        count=1 if isinstance(event, events.Failed) else event.count,
        step_name=failure.step_name,
        attempt=event.attempt - (not is_final),  # a retry has the number of the next one
        type=failure.type,
        message=failure.message[:_CHARACTERS],
        is_final=is_final,
    )


def _since(
    after: int, least: int, totals: list[_Total], failures: list[views.AttemptFailure]
) -> views.Since:
    if after < least:
        return views.Since(is_reset=True)
    place = bisect.bisect_right(totals, after, key=lambda total: total.number) - 1
    before, now = totals[place], totals[-1]
    own = failures[before.failures :]
    return views.Since(
        failures=own[-MOST_FAILURES:],
        hidden=max(0, len(own) - MOST_FAILURES),
        retries=now.retries - before.retries,
        branches_ended=now.branches_ended - before.branches_ended,
    )
