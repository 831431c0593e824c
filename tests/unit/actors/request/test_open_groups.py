from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx.actors.request.branches import MAPPER, ROOT, Target
from jobx.actors.request.decisions import PullMapper, RunMappers, RunReducer, decide
from jobx.actors.request.open_groups import groups, open_count
from jobx.actors.request.standing import (
    MOST_GROUPS,
    MOST_SEEN,
    Backoff,
    Backoffs,
    Cause,
    Group,
    Whereabouts,
)
from jobx.actors.request.state import RequestState
from jobx.model import Failure
from jobx.payload import Payload
from tests.unit.actors.request.driver import (
    PLAN,
    Driver,
    Node,
    accepted,
    done,
    mapped,
    reduced,
    retried,
    trees,
)

RUNNING = Whereabouts("running", 5.0, executor=7, vertex=2)
QUEUED = Whereabouts("queued", 4.0)
WRONG = Failure(kind="author", type="ValueError", message="wrong")


@pytest.fixture
def state() -> RequestState:
    """A request whose root maps four children."""
    begun = RequestState(PLAN)
    accepted(begun)
    begun.apply(mapped(ROOT, 1, 4))
    begun.apply(done(ROOT, ROOT, outcome="mapped"))
    return begun


def batch(state: RequestState, first: int, count: int) -> RunMappers:
    return RunMappers(state.tree.chunks[1], first, count)


def backoffs(waits: dict[Target, Backoff]) -> Backoffs:
    found = Backoffs()
    for target, wait in waits.items():
        found.begin(target, wait)
    return found


def told(found: list[Group]) -> list[tuple[Cause, int, int]]:
    return [(group.cause, group.count, group.vertex) for group in found]


def test_a_mapper_with_open_children_waits_for_them_and_comes_last(state: RequestState) -> None:
    assert told(groups(state, ())) == [("ready", 4, 1), ("children", 1, ROOT)]


def test_one_invocation_of_a_batch_runs_and_the_others_are_behind_it(state: RequestState) -> None:
    found = groups(state, [(batch(state, 1, 3), RUNNING)])
    assert told(found) == [
        ("running", 1, 2),
        ("behind", 2, 1),
        ("ready", 1, 1),
        ("children", 1, ROOT),
    ]
    assert (found[0].since, found[0].executor) == (5.0, 7)


def test_a_batch_of_one_runs_alone(state: RequestState) -> None:
    found = groups(state, [(batch(state, 2, 1), RUNNING)])
    assert told(found) == [("running", 1, 2), ("ready", 3, 1), ("children", 1, ROOT)]


def test_what_has_ended_since_waits_for_nothing(state: RequestState) -> None:
    state.apply(done(1, 3))
    found = groups(state, (), backoffs({(3, MAPPER): Backoff(9.0, "")}))
    assert told(found) == [("ready", 3, 1), ("children", 1, ROOT)]


def test_a_suspended_mapper_that_has_no_child_yet_is_one_that_may_go_on() -> None:
    state = RequestState(PLAN)
    accepted(state)
    state.ready.suspended[ROOT] = None
    assert told(groups(state, ())) == [("ready", 1, ROOT)]


def test_what_waits_for_an_executor_says_since_when(state: RequestState) -> None:
    at_work = [(batch(state, 3, 2), Whereabouts("queued", 6.0)), (batch(state, 1, 2), QUEUED)]
    found = groups(state, at_work)[0]
    assert (found.cause, found.count, found.vertex, found.since) == ("queued", 4, 1, 4.0)


def test_each_node_that_has_work_is_named(state: RequestState) -> None:
    at_work = [
        (batch(state, n, 1), Whereabouts("peer", 1.0, node)) for n, node in ((1, "b"), (2, "c"))
    ]
    found = groups(state, at_work)[:2]
    assert [(group.cause, group.node) for group in found] == [("peer", "b"), ("peer", "c")]


def test_a_back_off_says_until_when_and_after_which_error(state: RequestState) -> None:
    decide(state, Driver(0, random.Random(1)).pace, room=9, slots=2, window=1000)
    state.apply(retried(1, 3, failure=WRONG, delay_s=8.0))
    (wait,) = decide(state, Driver(0, random.Random(1)).pace, room=0, slots=2, window=1000)
    found = groups(state, (), backoffs({(3, MAPPER): Backoff(9.0, wait.error)}))  # type: ignore[union-attr]  # it is a Wait
    (delayed,) = [group for group in found if group.cause == "backoff"]
    assert (delayed.vertex, delayed.until, delayed.attempt) == (3, 9.0, 2)
    assert delayed.error == "ValueError: wrong"


def test_a_suspended_mapper_waits_for_room_in_its_window() -> None:
    state = RequestState(PLAN)
    accepted(state)
    state.apply(mapped(ROOT, 1, 4))
    state.ready.suspended[ROOT] = None
    assert ("window", 1, ROOT) in told(groups(state, ()))


def test_a_mapper_that_is_asked_for_more_is_where_it_is_kept() -> None:
    state = RequestState(PLAN)
    accepted(state)
    state.apply(mapped(ROOT, 1, 4))
    found = groups(state, [(PullMapper(ROOT, 1), QUEUED)])
    assert told(found)[0] == ("queued", 1, ROOT)


def test_a_reducer_is_where_its_work_is(state: RequestState) -> None:
    state.apply(done(1, 1, 4))
    work = RunReducer(ROOT, 0, 1, 1, ())
    assert told(groups(state, [(work, RUNNING)])) == [("running", 1, ROOT)]
    assert groups(state, ())[0].kind == "reduce"
    state.apply(reduced(ROOT, ROOT))
    assert groups(state, ()) == []


def test_what_needs_a_blob_that_is_gone_waits_until_it_is_made_again(state: RequestState) -> None:
    state.tree.chunks[1].payload = Payload(4, 4, None, "gone")
    state.ready.hold_back("gone")
    assert told(groups(state, ()))[0] == ("remade", 4, 1)


def test_work_that_is_not_wanted_any_more_counts_nothing(state: RequestState) -> None:
    late = PullMapper(ROOT, 9)
    assert told(groups(state, [(late, RUNNING)])) == [("ready", 4, 1), ("children", 1, ROOT)]


def test_there_are_never_more_groups_than_a_page_shows(state: RequestState) -> None:
    many = RequestState(PLAN)
    accepted(many)
    many.apply(mapped(ROOT, 1, 50))
    work = [(batch(many, n, 1), Whereabouts("peer", float(n), f"n{n}")) for n in range(1, 51)]
    found = groups(many, work)
    assert len(found) == MOST_GROUPS
    assert sum(group.count for group in found) == 51
    assert {group.cause for group in found} == {"peer", "ready"}
    assert [group.count for group in found if not group.node] == [32, 1]


def test_a_huge_tree_is_counted_exactly_beyond_what_is_looked_at(state: RequestState) -> None:
    many = RequestState(PLAN)
    accepted(many)
    for number in range(MOST_SEEN + 10):
        many.apply(mapped(ROOT, 1 + 2 * number, 2))
    many.apply(done(ROOT, ROOT, outcome="mapped"))
    work = decide(many, Driver(0, random.Random(1)).pace, room=1, slots=2, window=1000)
    found = groups(many, [(work[0], RUNNING)])  # type: ignore[list-item]  # it is a RunMappers
    assert told(found) == [
        ("running", 1, 2),
        ("behind", 1, 1),
        ("ready", open_count(many) - 3, 3),
        ("children", 1, ROOT),
    ]


def test_back_offs_beyond_what_is_looked_at_are_counted_by_their_step() -> None:
    many = RequestState(PLAN)
    accepted(many)
    count = MOST_SEEN + 500
    for number in range(3):
        many.apply(mapped(ROOT, 1 + 1000 * number, 1000))
    waits = backoffs({(n, MAPPER): Backoff(9.0, "", "", "s") for n in range(1, count + 1)})
    found = groups(many, (), waits)
    assert {(group.cause, group.count) for group in found} == {
        ("backoff", count),
        ("ready", open_count(many) - count),
    }


def test_of_many_back_offs_the_ended_ones_are_not_counted(state: RequestState) -> None:
    waits = {(n, 0): Backoff(9.0, "", "", "s") for n in range(10, MOST_SEEN + 20)}
    found = groups(state, (), backoffs(waits))
    assert told(found) == [("ready", 4, 1), ("children", 1, ROOT)]


def test_many_back_offs_of_reducers_are_counted_as_such(state: RequestState) -> None:
    state.apply(done(1, 1, 4))
    waits = {(n, 0): Backoff(9.0, "", "", "s") for n in range(10, MOST_SEEN + 20)}
    assert told(groups(state, (), backoffs(waits))) == [("backoff", 1, ROOT)]


def test_a_reducer_in_its_back_off_says_which_error_it_follows(state: RequestState) -> None:
    state.apply(done(1, 1, 4))
    state.apply(retried(ROOT, ROOT, failure=WRONG, delay_s=5.0, kind="reduce"))
    (found,) = groups(state, (), backoffs({(ROOT, 0): Backoff(9.0, "no")}))
    assert (found.cause, found.kind, found.faults, found.tries) == ("backoff", "reduce", 1, 1)


def test_a_back_off_of_what_was_dropped_counts_nothing(state: RequestState) -> None:
    gone = backoffs({(ROOT, 0): Backoff(9.0, "")})
    assert told(groups(state, (), gone)) == [("ready", 4, 1), ("children", 1, ROOT)]


def test_what_found_no_room_on_a_disk_waits_for_room(state: RequestState) -> None:
    full = backoffs({(3, MAPPER): Backoff(9.0, "no room", "full")})
    assert ("full", 1, 3) in told(groups(state, (), full))


def test_a_reducer_in_parts_is_where_its_slow_part_is(state: RequestState) -> None:
    state.apply(done(1, 1, 4))
    work = [(RunReducer(ROOT, part, 8, 1, ()), QUEUED) for part in (6, 7)]
    (found,) = groups(state, [*work, (RunReducer(ROOT, 5, 8, 1, ()), RUNNING)])
    assert (found.cause, found.part, found.parts) == ("running", 5, 8)


def test_an_input_that_is_gone_names_what_makes_it_again(state: RequestState) -> None:
    decide(state, Driver(0, random.Random(1)).pace, room=9, slots=2, window=1000)
    state.apply(done(1, 1, 4))
    state.apply(retried(1, 3))
    found = groups(state, ())
    assert told(found) == [("remade", 1, ROOT), ("ready", 1, 3)]
    assert (found[0].kind, found[0].first_open) == ("reduce", 3)


def test_a_mapper_names_the_first_child_that_it_waits_for(state: RequestState) -> None:
    state.apply(done(1, 1, 2))
    assert groups(state, ())[-1].first_open == 3


@given(trees, st.integers(0, 1 << 30))
def test_each_open_invocation_is_in_one_group_at_any_time(tree: Node, seed: int) -> None:
    driver = Driver(tree, random.Random(seed), faults=0.2)
    for _ in range(200):
        if driver.state.finished is not None:
            break
        driver.turn()
        waits = backoffs(dict.fromkeys(driver.waiting, Backoff(1.0, "", "", "s")))
        found = groups(driver.state, [(work, QUEUED) for work in driver.at_work], waits)
        known = driver.state.tree
        assert sum(group.count for group in found) == known.mapped_count - known.finished_count
        assert all(group.count > 0 for group in found)
