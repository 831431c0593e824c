"""When an executor is overdue, as a table."""

from __future__ import annotations

import mmap
import time

import pytest

from jobx.actors.executors import overdue
from jobx.actors.executors.process import Executor, WorkItem
from jobx.actors.executors.processes import late
from jobx.actors.messages import RequestKey
from jobx.actors.runtime.address import Address
from jobx.handlers.execution.shared_page import PAGE_BYTES, SharedPage
from tests.support.work import map_work

NOW = 10_000.0
LIMIT_S = 5.0


def executor(sent_s: float, abandoned_s: float = 0.0) -> Executor:
    """Return an executor that was sent work 7 so many seconds ago."""
    made = Executor(SharedPage(mmap.mmap(-1, PAGE_BYTES)), lambda *_: None, lambda *_: None, 0.0)
    work = map_work(1, 3, time_limit_s=LIMIT_S)
    one = WorkItem(1, RequestKey("w", "r"), work, Address("local", 1, 1), number=7)
    one.sent_at, one.abandoned_at = NOW - sent_s, NOW - abandoned_s if abandoned_s else 0.0
    made.work[7] = one
    return made


def kind(of: Executor) -> str | None:
    blame = overdue.at_work(of, NOW)
    return blame.message if blame else None


@pytest.mark.parametrize(
    ("sent_s", "is_killed"), [(overdue.START_S - 1, False), (overdue.START_S + 1, True)]
)
def test_what_is_not_taken_up_in_time_costs_the_executor(sent_s: float, is_killed: bool) -> None:
    assert (kind(executor(sent_s)) is not None) == is_killed


@pytest.mark.parametrize(
    ("read_s", "is_killed"),
    [(0.0, False), (overdue.START_S + 1, False), (overdue.PASSAGE_S + 1, True)],
)
def test_what_is_read_or_answered_has_a_limit_of_its_own(read_s: float, is_killed: bool) -> None:
    one = executor(sent_s=5000.0)
    one.page.take_up(7, int((NOW - read_s) * 1e9))
    assert (kind(one) is not None) == is_killed


@pytest.mark.parametrize(
    ("running_s", "is_killed"), [(LIMIT_S, False), (LIMIT_S + overdue.OVERDUE_S + 1, True)]
)
def test_an_invocation_has_its_own_limit_however_long_it_was_read(
    running_s: float, is_killed: bool
) -> None:
    one = executor(sent_s=5000.0)
    one.page.take_up(7, 1)
    one.page.begin(7, 1, time.monotonic_ns() - int(running_s * 1e9))
    assert (kind(one) is not None) == is_killed


def test_what_nobody_waits_for_gets_a_moment() -> None:
    for abandoned_s, is_killed in ((overdue.ABANDON_S / 2, False), (overdue.ABANDON_S * 2, True)):
        one = executor(1.0, abandoned_s)
        one.page.begin(7, 1, time.monotonic_ns())
        assert (kind(one) is not None) == is_killed


@pytest.mark.parametrize(
    ("state", "limit_s"),
    [
        ("starting", overdue.STARTING_S),
        ("leaving", overdue.LEAVE_S),
        ("dying", overdue.LEAVE_S),
    ],
)
def test_no_state_on_the_way_lasts(state: str, limit_s: float) -> None:
    one = executor(1.0)
    one.enter(state, NOW - limit_s)
    assert overdue.in_state(one, NOW) is None
    assert overdue.in_state(one, NOW + 1) is not None


@pytest.mark.parametrize("state", ["ready", "parked"])
def test_an_executor_may_be_idle_for_ever(state: str) -> None:
    one = executor(1.0)
    one.enter(state, 0.0)
    assert overdue.in_state(one, NOW) is None


@pytest.mark.parametrize(("after_s", "is_late"), [(0.1, False), (1.1, False), (60.0, True)])
def test_a_look_that_comes_late_says_that_this_process_stood_still(
    after_s: float, is_late: bool
) -> None:
    assert late(NOW, 0.1, NOW + after_s) == is_late
