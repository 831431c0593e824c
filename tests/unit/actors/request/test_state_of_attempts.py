"""What new attempts yield, what they leave behind, and what they find gone."""

from __future__ import annotations

import pytest

from jobx.actors.request.branches import MAPPER, ROOT
from jobx.actors.request.events import Done
from jobx.actors.request.state import RequestState
from tests.unit.actors.request.driver import (
    ADOPTED,
    KEEPER,
    blob_failure,
    done,
    in_blob,
    inline,
    mapped,
    reduced,
    retried,
    take,
    take_all,
)


def test_the_same_chunk_from_a_new_attempt_keeps_what_its_children_did(
    state: RequestState,
) -> None:
    state.apply(mapped(ROOT, 1, 2, digest="a"))
    state.apply(done(1, 1, body=b"kept"))
    state.apply(retried(ROOT, ROOT))
    assert state.tree.place(ROOT, "s", 2, "a") == 1
    state.apply(mapped(ROOT, 1, 2, digest="a"))
    state.apply(done(ROOT, ROOT, outcome="mapped"))
    state.apply(done(1, 2, body=b"new"))
    assert (state.tree.mapped_count, state.tree.finished_count) == (3, 2)
    assert state.tree.branches[ROOT].inputs() == [inline(b"kept"), inline(b"new")]


@pytest.mark.parametrize(("count", "digest", "more"), [(2, "a", 0), (3, "b", 1)])
def test_a_chunk_from_a_new_attempt_adds_only_what_was_not_there(
    state: RequestState, count: int, digest: str, more: int
) -> None:
    assert state.tree.growth(ROOT, "s", 2, "a") == 2
    state.apply(mapped(ROOT, 1, 2, digest="a"))
    assert state.tree.growth(ROOT, "s", 2, "c") == 2
    state.apply(retried(ROOT, ROOT))
    assert state.tree.growth(ROOT, "s", count, digest) == more


@pytest.mark.parametrize(
    ("step", "count", "digest"), [("other", 2, "a"), ("s", 3, "a"), ("s", 2, "b")]
)
def test_another_chunk_from_a_new_attempt_gets_vertices_of_its_own(
    state: RequestState, step: str, count: int, digest: str
) -> None:
    state.apply(mapped(ROOT, 1, 2, digest="a"))
    state.apply(retried(ROOT, ROOT))
    assert state.tree.place(ROOT, step, count, digest) == 3


def test_another_chunk_from_a_new_attempt_drops_what_came_of_the_earlier_ones(
    state: RequestState,
) -> None:
    state.apply(mapped(ROOT, 1, 2, digest="a"))
    state.apply(done(1, 1, body=b"dropped"))
    state.apply(mapped(2, 3, 1, chunk=1))
    state.apply(mapped(3, 4, 1, chunk=3))
    state.apply(done(4, 4, body=b"dropped too"))
    state.ready.suspended.update({2: KEEPER, 3: KEEPER})
    state.apply(retried(ROOT, ROOT))
    state.apply(mapped(ROOT, 5, 1, digest="b"))
    assert sorted(state.ready.discarded) == [(KEEPER, 2), (KEEPER, 3)]
    assert sorted(state.tree.chunks) == [ROOT, 5]
    assert sorted(state.tree.branches) == [ROOT]
    assert (state.tree.mapped_count, state.tree.finished_count, state.tree.held_bytes) == (2, 0, 0)
    assert state.tree.branches[ROOT].open == 1
    assert take_all(state) == [5, ROOT]


def test_children_that_the_new_attempt_did_not_yield_again_are_dropped_at_its_end(
    state: RequestState,
) -> None:
    state.apply(mapped(ROOT, 1, 2, digest="a"))
    state.apply(mapped(ROOT, 3, 2, digest="b"))
    state.apply(retried(ROOT, ROOT))
    state.apply(mapped(ROOT, 1, 2, digest="a"))
    state.apply(done(ROOT, ROOT, outcome="mapped"))
    assert sorted(state.tree.chunks) == [ROOT, 1]
    assert state.tree.mapped_count == 3


@pytest.mark.parametrize("outcome", ["reduced", "combined"])
def test_a_mapper_that_mapped_and_now_returns_leaves_nothing_of_its_children(
    state: RequestState, outcome: str
) -> None:
    state.apply(mapped(ROOT, 1, 2))
    state.apply(done(1, 1, body=b"dropped"))
    state.apply(retried(ROOT, ROOT))
    take_all(state)
    state.apply(done(ROOT, ROOT, outcome=outcome, body=b"data"))
    if outcome == "combined":
        assert state.tree.branches[ROOT].inputs() == [inline(b"data")]
        state.apply(reduced(ROOT, ROOT, body=b"data"))
    assert state.result == (inline(b"data"),)
    assert (list(state.tree.chunks), state.tree.branches) == ([ROOT], {})
    assert (state.tree.mapped_count, state.tree.finished_count, state.tree.held_bytes) == (1, 1, 0)
    assert take_all(state) == []


def test_a_tree_deeper_than_the_stack_can_be_dropped(state: RequestState) -> None:
    for depth in range(5000):
        state.apply(mapped(depth, depth + 1, 1, chunk=depth))
        state.ready.suspended[depth] = KEEPER
    state.apply(retried(ROOT, ROOT))
    state.apply(done(ROOT, ROOT, body=b"data"))
    assert list(state.tree.chunks) == [ROOT]
    assert len(state.ready.discarded) == 5000


@pytest.mark.parametrize(
    "event",
    [
        mapped(9, 10, 1, chunk=9),
        done(9, 9),
        done(9, 9, outcome="mapped"),
        reduced(9, 9),
        reduced(1, 2),
        mapped(ROOT, 1, 4),
        done(ROOT, ROOT, outcome="mapped"),
        done(1, 1),
        done(1, 1, 3),
    ],
)
def test_results_of_what_is_gone_or_done_change_nothing(
    parent: RequestState, event: object
) -> None:
    parent.apply(done(1, 1, 3))
    before = (parent.tree.mapped_count, parent.tree.finished_count, parent.invocation_count)
    parent.apply(event)  # type: ignore[arg-type]  # every parameter is an event
    assert (parent.tree.mapped_count, parent.tree.finished_count, parent.invocation_count) == before
    assert parent.tree.branches[ROOT].open == 1
    assert take_all(parent) == [1, 2, 3, 4]


def test_trying_again_what_is_gone_starts_nothing(state: RequestState) -> None:
    state.apply(retried(77, 77))
    state.apply(retried(77, 77, kind="reduce"))
    assert (take_all(state), state.ready.take_reduce()) == ([], None)


def test_the_end_of_a_delay_of_what_was_dropped_starts_nothing(state: RequestState) -> None:
    state.apply(mapped(ROOT, 1, 2, digest="a"))
    state.apply(retried(ROOT, ROOT))
    state.apply(mapped(ROOT, 3, 2, digest="b"))
    take_all(state)
    state.ready.release((1, MAPPER))
    assert take_all(state) == []


def test_siblings_whose_output_is_gone_run_again_and_their_parent_waits(
    parent: RequestState,
) -> None:
    take_all(parent)
    parent.apply(Done(0.0, "map", 1, 1, 2, "reduced", (in_blob("b"),)))
    parent.apply(done(1, 3, 2, body=b"kept"))
    assert parent.ready.take_reduce() == (ROOT, 0)
    assert parent.tree.producer_of("b") == (1, 1, 2)
    parent.apply(retried(1, 1, 2, failure=blob_failure("b")))
    assert parent.tree.finished_count == 2
    assert take(parent) == (1, 1, 2)
    parent.apply(done(1, 1, 2, body=b"new"))
    assert parent.ready.take_reduce() == (ROOT, 0)
    assert parent.tree.branches[ROOT].inputs() == [inline(b"new"), inline(b"kept")]
    assert parent.tree.held_bytes == 7


def test_a_mapper_whose_own_output_is_gone_runs_again(state: RequestState) -> None:
    state.apply(Done(0.0, "map", ROOT, ROOT, 1, "combined", (in_blob("b"),)))
    assert state.ready.take_reduce() == (ROOT, 0)
    assert state.tree.producer_of("b") == (ROOT, ROOT, 1)
    state.apply(retried(ROOT, ROOT, failure=blob_failure("b")))
    assert state.ready.take_reduce() is None
    assert take_all(state) == [ROOT]


def test_children_whose_arguments_are_gone_wait_for_their_mapper_to_yield_them_again(
    state: RequestState,
) -> None:
    state.apply(mapped(ROOT, 1, 3))
    state.tree.chunks[1].payload = in_blob("b", 3)
    assert take(state, most=1) == (1, 1, 1)
    assert state.tree.producer_of("b") == (ROOT, ROOT, 1)
    state.apply(retried(ROOT, ROOT, failure=blob_failure("b")))
    state.ready.give_back(1, 1, 1)
    assert state.ready.is_awaited("b")
    assert take_all(state) == [ROOT]
    state.apply(mapped(ROOT, 1, 3))
    assert sorted(take_all(state)) == [1, 2, 3]


def test_a_blob_is_awaited_when_its_mapper_runs_again_for_another_reason(
    state: RequestState,
) -> None:
    state.apply(mapped(ROOT, 1, 1))
    state.tree.chunks[1].payload = in_blob("b")
    assert not state.ready.is_awaited("b")
    state.apply(ADOPTED)
    assert state.ready.is_awaited("b")
    assert take_all(state) == [ROOT]


def test_nobody_left_a_blob_that_is_not_known(parent: RequestState) -> None:
    assert parent.tree.producer_of("unknown") is None
    assert not parent.ready.is_awaited("unknown")


def test_who_is_tried_again_for_want_of_a_blob_is_not_held_back_by_it(
    state: RequestState,
) -> None:
    state.tree.chunks[ROOT].payload = in_blob("b")
    state.apply(retried(ROOT, ROOT, failure=blob_failure("b")))
    assert not state.ready.is_awaited("b")
    assert take_all(state) == [ROOT]


def test_a_chunk_that_is_given_back_in_pieces_is_still_the_last_one(state: RequestState) -> None:
    state.apply(mapped(ROOT, 1, 9))
    take(state, 9)
    for first in (1, 5):
        state.ready.give_back(1, first, 2)
    assert state.ready.is_at_last_chunk
    assert [take(state, 9) for _ in range(3)] == [(1, 1, 2), (1, 5, 2), None]
