"""What executors are at, as others see it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from msgspec.structs import replace
from thespian.actors import ActorAddress

from jobx.actors.executors import overdue
from jobx.actors.executors.process import Executor, WorkItem
from jobx.actors.messages import RequestKey
from jobx.actors.request.standing import Busy, Whereabouts
from jobx.views import ExecutorView


def places(
    executors: Iterable[Executor],
    owners: Collection[ActorAddress],
    usual_s: Callable[[WorkItem], float],
) -> dict[tuple[ActorAddress, int], Whereabouts]:
    """Return where the work of owners is that has been sent, by owner and ticket.

    Args:
        executors: All executors.
        owners: The owners.
        usual_s: Returns how long invocations like those of some work usually take.
    """
    return {
        (item.owner, item.ticket): executor.place_of(item, usual_s(item))
        for executor in executors
        for item in (*executor.work.values(), *executor.waiting)
        if item.owner in owners
    }


def busy(executors: Iterable[Executor], now: float) -> dict[RequestKey, Busy]:
    """Return the requests that executors are at."""
    found: dict[RequestKey, Busy] = {}
    for executor in executors:
        front = next(iter(executor.work.values()), None)
        if front is None:
            continue
        since = now - executor.progress().running_s
        known = found.get(front.key)
        count = 1 if known is None else known.count + 1
        if known is not None and known.since <= since:
            found[front.key] = replace(known, count=count)
        else:
            found[front.key] = Busy(*front.key, count, executor.at_work_on(front), since)
    return found


def abandoned(executors: Iterable[Executor], key: RequestKey) -> list[tuple[int, float]]:
    """Return the executors that are still at work of a request that has ended.

    Each with the instant at which it is killed, monotonic.
    """
    return [
        (executor.pid, item.abandoned_at + overdue.ABANDON_S)
        for executor in executors
        for item in executor.work.values()
        if item.key == key and item.abandoned_at
    ]


def view(executor: Executor, now: float) -> ExecutorView:
    """Return the view of an executor."""
    at_work = next(iter(executor.work.values()), None)
    return ExecutorView(
        pid=executor.pid,
        state=executor.shown_state,
        invocations=executor.invocations,
        rss_bytes=executor.rss_bytes,
        age_s=now - executor.born,
        workflow=at_work.key.workflow if at_work is not None else None,
        request_id=at_work.key.request_id if at_work is not None else None,
    )
