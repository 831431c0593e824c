"""How a request goes on: what is ready, what is reduced, what is tried again."""

from __future__ import annotations

import pytest

from jobx.actors.request.branches import MAPPER, ROOT, Target
from jobx.actors.request.events import Cancelled, Done, Failed
from jobx.actors.request.state import RequestState
from jobx.model import Plan
from tests.unit.actors.request.driver import (
    AUTHOR,
    COMBINED,
    CRASH,
    KEEPER,
    PLAN,
    accepted,
    attempts_of,
    delays,
    done,
    inline,
    mapped,
    reduced,
    retried,
    take,
    take_all,
)


def test_a_root_that_returns_data_is_the_result(state: RequestState) -> None:
    state.apply(done(ROOT, ROOT, body=b"all"))
    assert state.result == (inline(b"all"),)
    assert not state.is_running


def test_a_mapper_without_children_is_reduced_all_the_same(state: RequestState) -> None:
    state.apply(done(ROOT, ROOT, outcome="mapped"))
    assert state.ready.take_reduce() == (ROOT, 0)
    assert state.tree.branches[ROOT].inputs() == []
    state.apply(reduced(ROOT, ROOT, body=b"nothing"))
    assert state.result == (inline(b"nothing"),)


def test_children_are_reduced_only_when_all_of_them_and_their_mapper_are_done(
    state: RequestState,
) -> None:
    state.apply(mapped(ROOT, 1, 2))
    state.apply(done(1, 2, body=b"b"))
    state.apply(done(1, 1, body=b"a"))
    assert state.ready.take_reduce() is None
    state.apply(done(ROOT, ROOT, outcome="mapped"))
    assert state.ready.take_reduce() == (ROOT, 0)
    assert state.tree.branches[ROOT].inputs() == [inline(b"a"), inline(b"b")]


def test_a_combined_output_waits_for_its_reducer(state: RequestState) -> None:
    state.apply(done(ROOT, ROOT, outcome="combined", body=b"pairs"))
    assert state.tree.held_bytes == 5
    assert state.ready.take_reduce() == (ROOT, 0)
    assert state.tree.branches[ROOT].inputs() == [inline(b"pairs")]


def test_the_reducer_gets_the_session_of_its_mapper(state: RequestState) -> None:
    notes = {ROOT: {"session": {"seen": 3}}}
    state.apply(Done(0.0, "map", ROOT, ROOT, 1, "mapped", notes=notes))
    assert state.tree.branches[ROOT].session == {"seen": 3}


@pytest.mark.parametrize(
    ("plan", "outcome", "count"),
    [
        (PLAN, "reduced", 2),
        (PLAN, "combined", 1),
        (PLAN, "mapped", 1),
        (COMBINED, "reduced", 3),
        (COMBINED, "combined", 2),
        (COMBINED, "mapped", 1),
    ],
)
def test_one_event_counts_all_invocations_it_tells_of(plan: Plan, outcome: str, count: int) -> None:
    state = RequestState(plan)
    accepted(state)
    state.apply(done(ROOT, ROOT, outcome=outcome))
    assert state.invocation_count == count


@pytest.mark.parametrize("event", [Cancelled(0.0, "why"), Failed(0.0, "map", 0, 0, 1, AUTHOR)])
def test_a_request_runs_until_it_is_cancelled_or_fails(
    state: RequestState, event: Cancelled | Failed
) -> None:
    assert state.is_running
    state.apply(event)
    assert not state.is_running


def test_the_first_failure_is_the_one_that_is_told(state: RequestState) -> None:
    state.apply(Failed(0.0, "map", ROOT, ROOT, 1, AUTHOR))
    state.apply(Failed(0.0, "map", ROOT, ROOT, 1, CRASH))
    assert state.failure == AUTHOR


def test_the_deepest_siblings_are_taken_first_and_in_order(parent: RequestState) -> None:
    assert take(parent, most=1) == (1, 1, 1)
    parent.apply(mapped(1, 5, 2, chunk=1))
    assert take_all(parent) == [5, 6, 2, 3, 4]


def test_a_batch_is_never_empty_and_what_it_leaves_comes_next(parent: RequestState) -> None:
    assert take(parent, most=0) == (1, 1, 1)
    assert take(parent, most=2) == (1, 2, 2)
    assert take(parent, most=2) == (1, 4, 1)
    assert take(parent) is None


def test_what_is_given_back_is_taken_once_more(parent: RequestState) -> None:
    take_all(parent)
    parent.apply(done(1, 2))
    parent.ready.give_back(1, 1, 4)
    assert sorted(take_all(parent)) == [1, 3, 4]


def test_giving_back_what_was_dropped_does_nothing(state: RequestState) -> None:
    state.ready.give_back(77, 77, 3)
    assert take_all(state) == []


def test_a_mapper_is_pulled_only_while_its_window_has_room_for_a_chunk(
    state: RequestState,
) -> None:
    state.apply(mapped(ROOT, 1, 4))
    state.ready.suspended[ROOT] = KEEPER
    assert state.ready.take_pull(window=5, chunk_pairs=2) is None
    state.apply(done(1, 1))
    assert state.ready.take_pull(window=5, chunk_pairs=2) == (ROOT, KEEPER, 1)
    assert state.ready.take_pull(window=5, chunk_pairs=2) is None


@pytest.mark.parametrize(("window", "chunks"), [(6, 1), (7, 1), (8, 2), (11, 3)])
def test_a_mapper_is_pulled_for_as_many_chunks_as_its_window_has_room_for(
    state: RequestState, window: int, chunks: int
) -> None:
    state.apply(mapped(ROOT, 1, 4))
    state.ready.suspended[ROOT] = KEEPER
    assert state.ready.take_pull(window, chunk_pairs=2) == (ROOT, KEEPER, chunks)


def test_a_mapper_whose_window_is_full_does_not_stop_the_next(parent: RequestState) -> None:
    take_all(parent)
    parent.apply(mapped(1, 5, 4, chunk=1))
    parent.apply(mapped(2, 9, 1, chunk=1))
    parent.ready.suspended.update({1: KEEPER, 2: KEEPER})
    assert parent.ready.take_pull(window=3, chunk_pairs=2) == (2, KEEPER, 1)


def test_a_window_full_of_what_an_earlier_attempt_yielded_does_not_stop_the_new_one(
    state: RequestState,
) -> None:
    state.apply(mapped(ROOT, 1, 2, digest="a"))
    state.apply(mapped(ROOT, 3, 2, digest="b"))
    state.apply(retried(ROOT, ROOT))
    state.apply(mapped(ROOT, 1, 2, digest="a"))
    state.ready.suspended[ROOT] = KEEPER
    assert state.ready.take_pull(window=4, chunk_pairs=2) == (ROOT, KEEPER, 1)


def test_a_reduction_that_was_taken_is_not_ready_until_it_is_given_back(
    state: RequestState,
) -> None:
    state.apply(done(ROOT, ROOT, outcome="mapped"))
    gather = state.tree.branches[ROOT].gathers
    assert state.ready.take_reduce() == (ROOT, 0)
    assert state.ready.take_reduce() is None
    state.ready.give_back_reduce((ROOT, 0), gather)
    assert state.ready.take_reduce() == (ROOT, 0)


@pytest.mark.parametrize(("target", "gather"), [((ROOT, 0), 0), ((77, 0), 1)])
def test_a_reduction_of_an_older_input_is_not_given_back(
    state: RequestState, target: Target, gather: int
) -> None:
    state.apply(done(ROOT, ROOT, outcome="mapped"))
    state.ready.take_reduce()
    state.ready.give_back_reduce(target, gather)
    assert state.ready.take_reduce() is None


def test_a_retried_mapper_is_ready_at_once_or_after_its_delay(parent: RequestState) -> None:
    take_all(parent)
    parent.apply(retried(1, 2))
    parent.apply(retried(1, 3, delay_s=5.0))
    assert take_all(parent) == [2]
    assert delays(parent) == {(3, MAPPER): 5.0}
    parent.ready.release((3, MAPPER))
    assert take_all(parent) == [3]


def test_a_retried_range_is_ready_as_one_batch(parent: RequestState) -> None:
    take_all(parent)
    parent.apply(retried(1, 1, 3))
    assert take(parent) == (1, 1, 3)
    assert parent.retried_count == 3
    assert [attempts_of(parent, vertex) for vertex in range(1, 5)] == [2, 2, 2, 1]


def test_a_retried_reduction_is_ready_at_once_or_after_its_delay(state: RequestState) -> None:
    state.apply(done(ROOT, ROOT, outcome="mapped"))
    state.ready.take_reduce()
    state.apply(retried(ROOT, ROOT, kind="reduce"))
    assert state.ready.take_reduce() == (ROOT, 0)
    state.apply(retried(ROOT, ROOT, kind="reduce", delay_s=2.0))
    assert state.ready.take_reduce() is None
    assert delays(state) == {(ROOT, 0): 2.0}
    state.ready.release((ROOT, 0))
    assert state.ready.take_reduce() == (ROOT, 0)
    assert state.attempt((ROOT, 0)).number == 3


def test_a_delay_that_ends_when_the_input_is_incomplete_again_starts_nothing(
    parent: RequestState,
) -> None:
    take_all(parent)
    parent.apply(done(1, 1, 4, body=b"x"))
    parent.ready.take_reduce()
    parent.apply(retried(ROOT, ROOT, kind="reduce", delay_s=2.0))
    parent.apply(retried(1, 1, 4))
    parent.apply(retried(ROOT, ROOT, kind="reduce", delay_s=2.0))
    parent.ready.release((ROOT, 0))
    assert parent.ready.take_reduce() is None
