"""Which executor gets which work: tables over executors, what waits, and time."""

from __future__ import annotations

import mmap
from typing import Any, NamedTuple

import pytest

from jobx.actors.executors import placing
from jobx.actors.executors.backlog import Backlog
from jobx.actors.executors.paces import LONG_S, Paces
from jobx.actors.executors.placing import Share
from jobx.actors.executors.process import Executor, WorkItem
from jobx.actors.messages import RequestKey
from jobx.actors.runtime.address import Address
from jobx.handlers.execution.shared_page import PAGE_BYTES, SharedPage
from tests.support.work import map_work

NOW = 100.0
ALONE = Share(seats=2, long_at_work=0, short_s=999.0, long_s=0.0)


def item(workflow: str, request: str = "r", job: str = "j", **fields: Any) -> WorkItem:
    owner = Address("local", 1, 1)
    return WorkItem(1, RequestKey(workflow, request), map_work(job=job), owner, **fields)


def executor(
    workflow: str = "",
    *work: WorkItem,
    state: str = "ready",
    since: float = 0.0,
    idle_since: float = NOW,
    has_seat: bool = True,
) -> Executor:
    made = Executor(
        SharedPage(mmap.mmap(-1, PAGE_BYTES)), lambda *_: None, lambda *_: None, 0.0, state=state
    )
    made.workflow, made.is_used, made.has_seat = workflow, bool(workflow), has_seat
    made.since, made.idle_since = since, idle_since
    made.work = dict(enumerate(work, 1))
    return made


def waiting(*workflows: str, is_long: bool = False) -> Backlog:
    backlog = Backlog()
    for workflow in workflows:
        (backlog.long if is_long else backlog.short).add(item(workflow))
    return backlog


class Place(NamedTuple):
    """A choice as tests say it."""

    executor: Executor
    workflow: str
    is_change: bool = False
    is_long: bool = False


def choose(backlog: Backlog, *executors: Executor, share: Share = ALONE) -> Place | None:
    found = placing.choose(executors, share.order(backlog), NOW)
    if found is None:
        return None
    return Place(found.executor, found.workflow, found.is_change, found.queue.is_long)


def test_work_goes_to_an_executor_of_its_workflow_that_is_idle() -> None:
    other, own = executor("v"), executor("w")
    assert choose(waiting("w"), other, own) == Place(own, "w")


@pytest.mark.parametrize("state", ["ready", "parked"])
@pytest.mark.parametrize("workflow", ["w", "v", ""])
@pytest.mark.parametrize("is_at_work", [False, True])
def test_work_that_comes_alone_is_sent_where_its_turn_would_send_it(
    state: str, workflow: str, *, is_at_work: bool
) -> None:
    work = [item(workflow)] if is_at_work else []
    executors = executor("v"), executor(workflow, *work, state=state)
    at_once = placing.idle_of(executors, "w")
    assert at_once is None or Place(at_once, "w") == choose(waiting("w"), *executors)
    assert (at_once is not None) == (workflow == "w" and state == "ready" and not is_at_work)


def test_work_goes_to_a_new_executor_before_it_waits_behind_other() -> None:
    busy, new = executor("w", item("w", sent_at=NOW)), executor()
    assert choose(waiting("w"), busy, new) == Place(new, "w")
    assert choose(waiting("w"), busy) == Place(busy, "w")


def test_work_never_goes_to_an_executor_of_another_workflow() -> None:
    busy = executor("v", item("v", sent_at=NOW))
    assert choose(waiting("w"), busy) is None
    assert choose(waiting("w"), busy, executor("v")).is_change  # type: ignore[union-attr]  # a place is found


@pytest.mark.parametrize("state", ["starting", "parked", "leaving", "dying"])
def test_executors_that_take_nothing_are_given_nothing(state: str) -> None:
    assert choose(waiting("w"), executor("w", state=state, has_seat=state == "starting")) is None


def test_an_idle_executor_changes_at_once_to_a_workflow_that_has_none() -> None:
    longest, other = executor("v", idle_since=1.0), executor("u", idle_since=2.0)
    assert choose(waiting("w"), other, longest) == Place(longest, "w", is_change=True)


def test_one_that_comes_is_waited_for() -> None:
    idle, coming = executor("v"), executor("w", state="starting")
    assert choose(waiting("w"), idle, coming) is None
    coming.is_used = False
    assert choose(waiting("w"), executor("v", idle_since=0.0), coming) is None
    changed = choose(waiting("w", "w"), executor("v", idle_since=0.0), coming)
    assert changed is not None
    assert changed.is_change


@pytest.mark.parametrize(
    ("idle_s", "is_change"), [(0.0, False), (placing.IDLE_S / 2, False), (placing.IDLE_S * 2, True)]
)
def test_an_idle_executor_changes_later_to_a_workflow_that_has_others(
    idle_s: float, is_change: bool
) -> None:
    busy = executor("w", item("w", sent_at=0.0))
    choice = choose(waiting("w"), busy, executor("v", idle_since=NOW - idle_s))
    assert (choice is not None and choice.is_change) == is_change


@pytest.mark.parametrize(
    ("held_s", "expected"), [(0.0, "v"), (placing.HOLD_S / 2, "v"), (placing.HOLD_S * 2, "w")]
)
def test_a_workflow_with_more_to_do_has_its_turn_before_it_gives_way(
    held_s: float, expected: str
) -> None:
    idle = executor("v", since=NOW - held_s)
    choice = choose(waiting("v", "w"), idle)
    assert choice == Place(idle, expected, is_change=expected == "w")


def test_nothing_waits_behind_what_is_to_give_way() -> None:
    busy = executor("v", item("v", sent_at=NOW))
    assert choose(waiting("v", "w"), busy) is None
    busy.since = NOW
    assert choose(waiting("v", "w"), busy) == Place(busy, "v")


def test_executors_are_shared_out_evenly_between_workflows() -> None:
    many = [executor("v", item("v")) for _ in range(3)] + [executor("v")]
    assert choose(waiting("v", "w"), *many, executor("w", item("w"))) == Place(
        many[-1], "w", is_change=True
    )
    two = executor("v")
    assert choose(waiting("v", "w"), two, executor("w", item("w"))) == Place(two, "v")


@pytest.mark.parametrize(
    "front",
    [
        item("w", sent_at=NOW - 2 * placing.FRESH_S),
        item("w", sent_at=NOW, is_long=True),
    ],
)
def test_nothing_waits_behind_what_is_old_or_takes_long(front: WorkItem) -> None:
    assert choose(waiting("w"), executor("w", front)) is None


def test_what_was_given_back_waits_behind_nothing() -> None:
    backlog = Backlog()
    backlog.short.add(item("w", returned=1))
    assert choose(backlog, executor("w", item("w", sent_at=NOW))) is None


@pytest.mark.parametrize(
    ("seats", "long_at_work", "short_s", "is_sent"),
    [
        (2, 0, 0.0, True),
        (2, 1, 0.0, False),
        (2, 1, placing.RESERVE_S, True),
        (2, 2, placing.RESERVE_S, False),
        (1, 0, 0.0, True),
        (8, 6, 0.0, True),
        (8, 7, 0.0, False),
    ],
)
def test_an_executor_is_kept_free_of_what_takes_long_while_there_is_short_work(
    seats: int, long_at_work: int, short_s: float, is_sent: bool
) -> None:
    share = Share(seats, long_at_work, short_s, long_s=0.0)
    choice = choose(waiting("w", is_long=True), executor("w"), share=share)
    assert (choice is not None) == is_sent
    assert choice is None or choice.is_long


@pytest.mark.parametrize(
    ("long_s", "long_at_work", "is_long"),
    [
        (0.0, 0, False),
        (placing.PATIENCE_S, 0, True),
        (placing.PATIENCE_S, 1, False),
    ],
)
def test_short_work_goes_first_until_long_work_has_waited_long(
    long_s: float, long_at_work: int, is_long: bool
) -> None:
    backlog = waiting("w")
    backlog.long.add(item("w", "long"))
    share = Share(2, long_at_work, 0.0, long_s)
    choice = choose(backlog, executor("w"), share=share)
    assert choice is not None
    assert choice.is_long == is_long


def test_what_was_seen_to_take_long_is_long_until_it_is_seen_not_to() -> None:
    paces, one = Paces(), item("w")
    assert not paces.saw(one, LONG_S / 2)
    assert not paces.is_long(one)
    assert paces.saw(one, LONG_S)
    assert paces.is_long(one)
    assert paces.is_of_long_job(one)
    assert not paces.is_long(item("v"))
    paces.ended(one, LONG_S * 0.75)
    assert paces.is_long(one)
    paces.ended(one, LONG_S / 4)
    assert not paces.is_long(one)
