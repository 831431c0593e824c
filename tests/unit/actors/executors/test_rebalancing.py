"""What is recalled from executors, decided over real executors and their shared page."""

from __future__ import annotations

import mmap
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx.actors.executors import placing, rebalancing
from jobx.actors.executors.backlog import Backlog, Queue
from jobx.actors.executors.paces import LONG_S
from jobx.actors.executors.process import Executor, WorkItem
from jobx.actors.messages import RequestKey
from jobx.actors.runtime.address import Address
from jobx.handlers.execution.shared_page import PAGE_BYTES, SharedPage
from jobx.model import Failure
from jobx.segments import FailedRun, MappedChunk, Returned, Unstarted
from tests.support.work import map_work, pull_work, reduce_work
from tests.unit.actors.request.driver import inline

NOW = 100.0
LATER = NOW + 2 * rebalancing.SETTLE_S
MINE, OTHER = RequestKey("w", "mine"), RequestKey("w", "other")


def item(kind: str, number: int, key: RequestKey = MINE, first: int = 1, **fields: Any) -> WorkItem:
    """Return work that was sent a second ago; a batch has ten vertices."""
    made = {"map": lambda first: map_work(first, 10), "pull": pull_work, "reduce": reduce_work}
    owner = Address("local", 1, number)
    return WorkItem(number, key, made[kind](first), owner, number, **{"sent_at": NOW - 1, **fields})


def executor(*work: WorkItem, at: tuple[int, int] = (0, 0), state: str = "ready") -> Executor:
    """Return an executor that has ``work`` and is at a number and vertex."""
    made = Executor(
        SharedPage(mmap.mmap(-1, PAGE_BYTES)), lambda *_: None, lambda *_: None, 0.0, state=state
    )
    made.work = {each.number: each for each in work}
    made.page.begin(*at, 1)
    made.page.restart(time.monotonic_ns())
    return made


def free(idle: int) -> Counter[str]:
    """Return so many idle executors that could work for any workflow."""
    return Counter({"": idle} if idle else {})


def queues(keys: Iterable[RequestKey]) -> list[Queue]:
    """Return what waits when something of some requests does."""
    backlog = Backlog()
    for number, key in enumerate(keys, 100):
        backlog.short.add(item("map", number, key))
    return [backlog.short]


def recalls(
    *executors: Executor, idle: int = 0, waiting: tuple[RequestKey, ...] = ()
) -> list[tuple[Executor, int]]:
    return rebalancing.recalls(rebalancing.loads(executors, NOW), free(idle), queues(waiting))


def is_uneven(*executors: Executor, idle: int = 0, waiting: tuple[RequestKey, ...] = ()) -> bool:
    return rebalancing.is_uneven(rebalancing.loads(executors, NOW), free(idle), queues(waiting))


def not_begun(of: Executor, now: float = LATER) -> tuple[list[int], int]:
    """Return the numbers of work that ``of`` has not begun, and the first vertex."""
    (load,) = rebalancing.loads([of], now)
    behind, first = rebalancing.not_begun(load, now)
    return [one.number for one in behind], first


@pytest.mark.parametrize(
    ("front", "at", "left", "remaining_s"),
    [
        (item("map", 1), (0, 0), 10, 0.0),
        (item("map", 1), (1, 1), 9, 9.0),
        (item("map", 1), (1, 3), 7, 3.5),
        (item("map", 1), (1, 10), 0, 1.0),
        (item("map", 1, stop=5), (1, 3), 1, 0.5),
        (item("map", 1, stop=5), (1, 4), 0, 1.0),
        (item("map", 1, abandoned_at=NOW), (1, 3), 0, 1.0),
        (item("reduce", 1), (1, 1), 0, 1.0),
        (item("pull", 1), (1, 1), 0, 1.0),
    ],
)
def test_a_load_is_what_is_left_at_the_pace_so_far(
    front: WorkItem, at: tuple[int, int], left: int, remaining_s: float
) -> None:
    (load,) = rebalancing.loads([executor(front, at=at)], NOW)
    assert (load.front, load.left, load.remaining_s) == (front, left, remaining_s)


def test_what_others_could_do_is_neither_pinned_nor_abandoned() -> None:
    behind = [item("pull", 2), item("map", 3, abandoned_at=NOW), item("reduce", 4)]
    (load,) = rebalancing.loads([executor(item("map", 1), *behind)], NOW)
    assert [one.number for one in load.behind] == [4]


def test_executors_that_have_nothing_or_take_nothing_are_left_out() -> None:
    others = [executor(item("map", n), state=s) for n, s in enumerate(("leaving", "dying"), 1)]
    assert rebalancing.loads([executor(), *others], NOW) == []


def test_the_one_with_most_time_left_is_recalled_for_one_that_is_idle() -> None:
    short, long = executor(item("map", 1), at=(1, 9)), executor(item("map", 2), at=(2, 2))
    assert recalls(short, long, idle=1) == [(long, 2)]
    assert recalls(short, long, idle=2) == [(long, 2), (short, 1)]


def test_what_comes_behind_is_recalled_with_the_batch_in_front() -> None:
    loaded = executor(item("map", 1), item("map", 2, OTHER), at=(1, 1))
    assert recalls(loaded, idle=1) == [(loaded, 2)]


def test_what_comes_behind_an_invocation_that_goes_on_is_recalled() -> None:
    loaded = executor(item("reduce", 1), item("map", 2), at=(1, 1))
    assert recalls(loaded, idle=1) == [(loaded, 2)]


@pytest.mark.parametrize(
    ("front", "at"),
    [
        (item("map", 1), (1, 10)),
        (item("map", 1, stop=5), (1, 4)),
        (item("map", 1, abandoned_at=NOW), (1, 1)),
        (item("reduce", 1), (1, 1)),
        (item("pull", 1), (1, 1)),
    ],
)
def test_what_has_nothing_left_is_not_recalled(front: WorkItem, at: tuple[int, int]) -> None:
    loaded = executor(front, at=at)
    assert recalls(loaded, idle=1) == []
    assert recalls(loaded, waiting=(OTHER,)) == []
    assert not is_uneven(loaded, idle=1, waiting=(OTHER,))


@pytest.mark.parametrize("at", [(0, 0), (9, 3), (1, 0)])
def test_what_an_executor_has_not_begun_with_is_not_recalled_but_watched(
    at: tuple[int, int],
) -> None:
    loaded = executor(item("map", 1), item("map", 2, OTHER), at=at)
    assert recalls(loaded, idle=1) == recalls(loaded, waiting=(OTHER,)) == []
    assert is_uneven(loaded, idle=1)
    assert is_uneven(loaded, waiting=(OTHER,))
    assert not is_uneven(loaded)


def test_a_turn_counts_from_when_the_executor_began() -> None:
    loaded = executor(item("map", 1, sent_at=NOW - 60), at=(1, 1))
    begun_ns = int((NOW - rebalancing.TURN_S / 2) * 1e9)
    loaded.page.begin(9, 1, begun_ns)
    loaded.page.begin(1, 1, begun_ns)
    loaded.page.restart(time.monotonic_ns())
    assert recalls(loaded, waiting=(OTHER,)) == []
    (load,) = rebalancing.loads([loaded], NOW)
    assert load.age_s == pytest.approx(rebalancing.TURN_S / 2)


def test_what_waits_behind_an_invocation_that_takes_long_is_recalled() -> None:
    loaded = executor(item("reduce", 1), item("map", 2), at=(1, 1))
    loaded.page.restart(time.monotonic_ns() - int(2e9 * LONG_S))
    assert recalls(loaded, waiting=(MINE,)) == [(loaded, 2)]


def test_an_executor_of_another_workflow_is_nobody_s_before_it_was_idle_for_a_moment() -> None:
    loaded, other = executor(item("map", 1), at=(1, 1)), executor()
    loaded.workflow, other.workflow, other.is_used = "w", "v", True
    for idle_s, found in ((0.0, {"v": 1}), (2 * placing.IDLE_S, {"": 1})):
        other.idle_since = NOW - idle_s
        idle = rebalancing.idle([loaded, other], NOW)
        assert idle == found
        recalled = rebalancing.recalls(rebalancing.loads([loaded], NOW), idle, queues(()))
        assert recalled == ([(loaded, 1)] if "" in found else [])


def test_what_soon_ends_is_not_recalled_but_watched() -> None:
    loaded = executor(item("map", 1, sent_at=NOW - rebalancing.WORTH_S), at=(1, 9))
    assert recalls(loaded, idle=1) == []
    assert is_uneven(loaded, idle=1)


@pytest.mark.parametrize("front", [item("pull", 1), item("map", 1, stop=2)])
def test_a_pinned_pull_is_never_recalled(front: WorkItem) -> None:
    loaded = executor(front, item("pull", 2), at=(1, 1))
    assert recalls(loaded, idle=1) == []
    assert recalls(loaded, waiting=(OTHER,)) == []


def test_a_recall_for_what_comes_before_a_pinned_pull_does_not_reach_it() -> None:
    loaded = executor(item("map", 1), item("pull", 2), at=(1, 1))
    assert recalls(loaded, idle=1) == [(loaded, 1)]


def test_nothing_is_recalled_twice() -> None:
    loaded = executor(item("map", 1), item("map", 2), at=(1, 1))
    loaded.recall(2, NOW)
    assert recalls(loaded, idle=1) == []
    assert is_uneven(loaded, idle=1)


def test_one_recall_at_a_time_is_made_for_an_idle_executor() -> None:
    first, second = executor(item("map", 1), at=(1, 1)), executor(item("map", 2), at=(2, 1))
    first.recall(1, NOW)
    assert recalls(first, second, idle=1) == []
    assert recalls(first, second, idle=2) == [(second, 2)]


def test_nothing_is_recalled_for_an_idle_executor_when_requests_wait() -> None:
    assert recalls(executor(item("map", 1), at=(1, 1)), idle=1, waiting=(MINE,)) == []


@pytest.mark.parametrize(
    ("age_s", "waiting", "expected"),
    [
        (rebalancing.TURN_S * 2, (OTHER,), [1]),
        (rebalancing.TURN_S * 2, (MINE, OTHER), [1]),
        (rebalancing.TURN_S / 2, (OTHER,), []),
        (rebalancing.TURN_S * 2, (MINE,), []),
        (rebalancing.TURN_S * 2, (), []),
    ],
)
def test_a_turn_ends_in_time_when_another_request_is_queued(
    age_s: float, waiting: tuple[RequestKey, ...], expected: list[int]
) -> None:
    loaded = executor(item("map", 1, sent_at=NOW - age_s), at=(1, 1))
    assert [number for _, number in recalls(loaded, waiting=waiting)] == expected
    assert is_uneven(loaded, waiting=waiting) == (OTHER in waiting)


@pytest.mark.parametrize(
    ("behind", "waiting", "expected"),
    [
        (item("map", 2, OTHER), (), [1]),
        (item("reduce", 2, OTHER), (), [1]),
        (item("map", 2), (), []),
        (item("map", 2), (OTHER,), [2]),
        (item("pull", 2), (OTHER,), [1]),
        (item("pull", 2, OTHER), (), []),
    ],
)
def test_a_turn_ends_for_what_is_behind_and_takes_along_what_is_its_own(
    behind: WorkItem, waiting: tuple[RequestKey, ...], expected: list[int]
) -> None:
    loaded = executor(item("map", 1), behind, at=(1, 1))
    assert [number for _, number in recalls(loaded, waiting=waiting)] == expected


def test_nobody_watches_an_invocation_that_stands_in_the_way_and_cannot_be_recalled() -> None:
    loaded = executor(item("reduce", 1), item("map", 2, OTHER), at=(1, 1))
    assert recalls(loaded, waiting=(MINE,)) == []
    assert not is_uneven(loaded, waiting=(MINE,))


def test_what_is_not_begun_is_known_only_after_a_moment() -> None:
    loaded = executor(item("map", 1), item("map", 2), at=(1, 3))
    assert not_begun(loaded) == ([], 0)
    loaded.recall(2, NOW)
    assert not_begun(loaded, NOW + rebalancing.SETTLE_S / 2) == ([], 0)
    assert not_begun(loaded) == ([2], 4)


def test_nothing_is_known_of_an_executor_that_has_not_come_to_what_it_has() -> None:
    loaded = executor(item("map", 3), item("map", 4), at=(2, 7))
    loaded.recall(4, NOW)
    assert not_begun(loaded) == ([], 0)


@pytest.mark.parametrize("vertex", [0, 29, 40])
def test_nothing_is_taken_back_while_the_page_shows_what_was_before(vertex: int) -> None:
    loaded = executor(item("map", 1, first=30), item("map", 2), at=(1, vertex))
    loaded.recall(2, NOW)
    assert not_begun(loaded) == ([], 0)


def test_what_came_to_the_end_that_was_taken_back_is_still_at_the_vertex_before() -> None:
    loaded = executor(item("map", 1, stop=4), at=(1, 4))
    assert (loaded.progress().number, loaded.progress().vertex) == (1, 3)


def test_a_recall_is_never_taken_back() -> None:
    loaded = executor(item("map", 1), item("map", 2), at=(1, 3))
    for number in (2, 1):
        loaded.recall(number, NOW)
    assert (loaded.recalled, loaded.page.recalled) == (2, 2)


@pytest.mark.parametrize(
    ("front", "recalled", "expected"),
    [
        (item("map", 1), 2, ([2], 4)),
        (item("map", 1), 1, ([], 4)),
        (item("map", 1, stop=5), 2, ([2], 4)),
        (item("map", 1, stop=4), 2, ([2], 0)),
        (item("map", 1, abandoned_at=NOW), 2, ([2], 0)),
        (item("reduce", 1), 2, ([2], 0)),
    ],
)
def test_the_vertex_after_the_one_at_work_is_the_first_that_is_taken_back(
    front: WorkItem, recalled: int, expected: tuple[list[int], int]
) -> None:
    vertex = 3 if front.work.kind == "map" else front.first_vertex
    loaded = executor(front, item("map", 2), at=(1, vertex))
    loaded.recall(recalled, NOW)
    assert not_begun(loaded) == expected


def test_an_answer_says_nothing_of_what_was_taken_back() -> None:
    wrong = Failure(kind="author", type="E", message="m")
    unstarted = [Unstarted(5, 6), FailedRun(9, wrong), MappedChunk(7, "s", [], "", False, 1)]
    answer = [Returned(1, 3, [], True, b""), FailedRun(4, wrong), *unstarted]
    assert rebalancing.without_taken(answer, 0) == answer
    assert rebalancing.without_taken(answer, 6) == [*answer[:2], Unstarted(5, 1)]
    assert rebalancing.without_taken(answer, 5) == answer[:2]


kinds = st.sampled_from(["map", "reduce", "pull"])
requests = st.sampled_from([MINE, OTHER, RequestKey("w", "third")])


@st.composite
def fleets(draw: st.DrawFn) -> list[Executor]:
    """Draw executors with up to two items each, in any state that they can be in."""
    made = []
    for position in range(draw(st.integers(1, 4))):
        numbers = range(10 * position + 1, 10 * position + 1 + draw(st.integers(0, 2)))
        work = [
            item(
                draw(kinds),
                number,
                draw(requests),
                sent_at=NOW - draw(st.sampled_from([0.001, 0.02, 0.04, 5.0])),
                abandoned_at=draw(st.sampled_from([0.0, 0.0, NOW])),
            )
            for number in numbers
        ]
        is_begun = bool(work) and draw(st.booleans())
        at = (work[0].number, draw(st.integers(1, 10))) if is_begun else (0, 0)
        one = executor(*work, at=at)
        if work and draw(st.booleans()):
            one.recall(draw(st.sampled_from([each.number for each in work])), NOW - 1)
        made.append(one)
    return made


@given(fleets(), st.sets(requests))
def test_recalls_reach_what_is_wanted_elsewhere_and_come_to_an_end(
    fleet: list[Executor], waiting: set[RequestKey]
) -> None:
    idle = sum(not one.work for one in fleet)
    for _ in range(2 * len(fleet) + 1):
        having = rebalancing.loads(fleet, NOW)
        found = rebalancing.recalls(having, free(idle), queues(waiting))
        if not found:
            return
        assert rebalancing.is_uneven(having, free(idle), queues(waiting))
        assert len(found) <= idle or waiting or not idle
        for one, number in found:
            assert number > one.recalled
            assert one.work[number].work.kind != "pull"
            assert not one.work[number].abandoned_at
            one.recall(number, NOW)
    raise AssertionError("it recalls without an end")


@given(fleets())
def test_what_is_taken_back_was_recalled_and_is_still_to_come(fleet: list[Executor]) -> None:
    for load in rebalancing.loads(fleet, NOW):
        recalled = load.executor.page.recalled
        at = load.executor.progress()
        behind, first = rebalancing.not_begun(load, NOW)
        assert all(one.number <= recalled and one is not load.front for one in behind)
        assert not any(one.is_pinned or one.abandoned_at for one in behind)
        if first:
            assert load.front.number == at.number <= recalled
            assert at.vertex < first <= 10
            assert not load.front.abandoned_at


def test_work_with_much_input_in_its_frame_stays() -> None:
    small, large = b"." * rebalancing.MAX_AWAY_BYTES, b"." * (rebalancing.MAX_AWAY_BYTES + 1)
    works = [map_work(pairs=small), map_work(pairs=large)]
    works += [reduce_work(inputs=[inline(body).to_wire()]) for body in (small, large)]
    half = inline(large[: len(large) // 2 + 1]).to_wire()
    works.append(reduce_work(inputs=[half, half]))
    assert [rebalancing.may_leave(work) for work in works] == [True, False, True, False, False]
