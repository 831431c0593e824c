"""When an executor is overdue: with its work, or in its state. Then it is killed."""

from __future__ import annotations

from typing import Final

from jobx.actors.executor_failures import crashed
from jobx.actors.executors.process import OVERDUE_S, Executor
from jobx.model import Failure

#: Work without a request gets this long to end by itself.
ABANDON_S: Final = 0.5
#: An executor has this long to take up a frame …
START_S: Final = 30.0
#: … to read it, and to send its answer, however large they are …
PASSAGE_S: Final = 300.0
#: … to be ready after its start …
STARTING_S: Final = 15.0
#: … and to exit after it announced that.
LEAVE_S: Final = 2.0


def at_work(executor: Executor, now: float) -> Failure | None:
    """Return why an executor that has work must be killed; None if it must not."""
    progress = executor.progress()
    item = executor.work.get(progress.number)
    if item is None:  # it reads, or answers, or the vertex that it started was taken back
        return _between(executor, now)
    limit_s = item.work.limit_s(progress.stage)
    if progress.running_s > limit_s + OVERDUE_S:
        text = f"the invocation took longer than {limit_s:g} s"
        return Failure(kind="timeout", type="HandlerTimeout", message=text)
    if item.abandoned_at and now - item.abandoned_at > ABANDON_S:
        return Failure(kind="cancelled", type="Cancelled", message="abandoned")
    return None


def _between(executor: Executor, now: float) -> Failure | None:
    front = next(iter(executor.work.values()))
    number, since = executor.page.passage()
    if number == front.number:
        if now - since > PASSAGE_S:
            return crashed(f"the executor read its work, or answered, for {PASSAGE_S:g} s")
    elif now - front.sent_at > START_S:
        return crashed(f"the executor did not start its work within {START_S:g} s")
    return None


def in_state(executor: Executor, now: float) -> Failure | None:
    """Return why an executor that starts or leaves must be replaced; None if it must not."""
    for_s = now - executor.state_since
    if executor.state == "starting" and for_s > STARTING_S:
        return crashed(f"the executor was not ready within {STARTING_S:g} s")
    if executor.state == "leaving" and for_s > LEAVE_S:
        return crashed(f"the executor announced its exit, but did not exit within {LEAVE_S:g} s")
    if executor.state == "dying" and for_s > LEAVE_S:
        return crashed("the executor was killed, but its end was not reported")
    return None
