from __future__ import annotations

import pytest

from jobx.actors.request.events import Accepted, Adopted, Cancelled, Done, Failed, Kind
from jobx.actors.request.retry import Attempt
from jobx.actors.request.state import LEAST_DATA_BYTES, PARTITIONS, RequestState
from jobx.actors.request.tree import COMBINER, MAPPER, ROOT, Target
from jobx.model import Failure, HandlerRef, Plan, PlanStep
from jobx.payload import Payload, StageData
from tests.unit.actors.request.driver import (
    COMBINED,
    PLAN,
    accepted,
    attempts_of,
    done,
    inline,
    items,
    mapped,
    reduced,
    retried,
)

ADOPTED = Adopted(0.0, "node", 2)
AUTHOR = Failure(kind="author", type="ValueError", message="")
CRASH = Failure(kind="crash", type="Crash", message="")
KEEPER = "who keeps it"


@pytest.fixture
def state() -> RequestState:
    """A request whose root is at work."""
    begun = RequestState(PLAN)
    accepted(begun)
    assert _take(begun) == (ROOT, ROOT, 1)
    return begun


@pytest.fixture
def parent(state: RequestState) -> RequestState:
    """A request whose root mapped four children and is done."""
    state.apply(mapped(ROOT, 1, 4))
    state.apply(done(ROOT, ROOT, outcome="mapped"))
    return state


def _take(state: RequestState, most: int = 1000) -> tuple[int, int, int] | None:
    """Take a batch: its chunk, its first vertex and its size."""
    taken = state.ready.take_range(lambda _chunk, _first, _stop: most)
    return (taken[0].start, taken[1], taken[2]) if taken else None


def _take_all(state: RequestState) -> list[int]:
    """Take all that is ready, vertex by vertex."""
    found = []
    while (taken := _take(state)) is not None:
        found.extend(range(taken[1], taken[1] + taken[2]))
    return found


def delays(state: RequestState) -> dict[Target, float]:
    return {target: delay_s for target, (delay_s, *_) in state.ready.delayed.items()}


def _blob_failure(blob: str) -> Failure:
    return Failure(kind="blob", type="BlobDamaged", message="", input=blob)


def _in_blob(blob: str, count: int = 1) -> Payload:
    return Payload(count, 10, None, blob, offsets=items(count).offsets)


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
    assert _take(parent, most=1) == (1, 1, 1)
    parent.apply(mapped(1, 5, 2, chunk=1))
    assert _take_all(parent) == [5, 6, 2, 3, 4]


def test_a_batch_is_never_empty_and_what_it_leaves_comes_next(parent: RequestState) -> None:
    assert _take(parent, most=0) == (1, 1, 1)
    assert _take(parent, most=2) == (1, 2, 2)
    assert _take(parent, most=2) == (1, 4, 1)
    assert _take(parent) is None


def test_what_is_given_back_is_taken_once_more(parent: RequestState) -> None:
    _take_all(parent)
    parent.apply(done(1, 2))
    parent.ready.give_back(1, 1, 4)
    assert sorted(_take_all(parent)) == [1, 3, 4]


def test_giving_back_what_was_dropped_does_nothing(state: RequestState) -> None:
    state.ready.give_back(77, 77, 3)
    assert _take_all(state) == []


def test_a_mapper_is_pulled_only_while_its_window_has_room_for_a_chunk(
    state: RequestState,
) -> None:
    state.apply(mapped(ROOT, 1, 4))
    state.ready.suspended[ROOT] = KEEPER
    assert state.ready.take_pull(window=5, chunk_pairs=2) is None
    state.apply(done(1, 1))
    assert state.ready.take_pull(window=5, chunk_pairs=2) == (ROOT, KEEPER)
    assert state.ready.take_pull(window=5, chunk_pairs=2) is None


def test_a_mapper_whose_window_is_full_does_not_stop_the_next(parent: RequestState) -> None:
    _take_all(parent)
    parent.apply(mapped(1, 5, 4, chunk=1))
    parent.apply(mapped(2, 9, 1, chunk=1))
    parent.ready.suspended.update({1: KEEPER, 2: KEEPER})
    assert parent.ready.take_pull(window=3, chunk_pairs=2) == (2, KEEPER)


def test_a_window_full_of_what_an_earlier_attempt_yielded_does_not_stop_the_new_one(
    state: RequestState,
) -> None:
    state.apply(mapped(ROOT, 1, 2, digest="a"))
    state.apply(mapped(ROOT, 3, 2, digest="b"))
    state.apply(retried(ROOT, ROOT))
    state.apply(mapped(ROOT, 1, 2, digest="a"))
    state.ready.suspended[ROOT] = KEEPER
    assert state.ready.take_pull(window=4, chunk_pairs=2) == (ROOT, KEEPER)


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
    _take_all(parent)
    parent.apply(retried(1, 2))
    parent.apply(retried(1, 3, delay_s=5.0))
    assert _take_all(parent) == [2]
    assert delays(parent) == {(3, MAPPER): 5.0}
    parent.ready.release((3, MAPPER))
    assert _take_all(parent) == [3]


def test_a_retried_range_is_ready_as_one_batch(parent: RequestState) -> None:
    _take_all(parent)
    parent.apply(retried(1, 1, 3))
    assert _take(parent) == (1, 1, 3)
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
    _take_all(parent)
    parent.apply(done(1, 1, 4, body=b"x"))
    parent.ready.take_reduce()
    parent.apply(retried(ROOT, ROOT, kind="reduce", delay_s=2.0))
    parent.apply(retried(1, 1, 4))
    parent.apply(retried(ROOT, ROOT, kind="reduce", delay_s=2.0))
    parent.ready.release((ROOT, 0))
    assert parent.ready.take_reduce() is None


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
    assert _take_all(state) == [5, ROOT]


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
    _take_all(state)
    state.apply(done(ROOT, ROOT, outcome=outcome, body=b"data"))
    if outcome == "combined":
        assert state.tree.branches[ROOT].inputs() == [inline(b"data")]
        state.apply(reduced(ROOT, ROOT, body=b"data"))
    assert state.result == (inline(b"data"),)
    assert (list(state.tree.chunks), state.tree.branches) == ([ROOT], {})
    assert (state.tree.mapped_count, state.tree.finished_count, state.tree.held_bytes) == (1, 1, 0)
    assert _take_all(state) == []


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
    assert _take_all(parent) == [1, 2, 3, 4]


def test_trying_again_what_is_gone_starts_nothing(state: RequestState) -> None:
    state.apply(retried(77, 77))
    state.apply(retried(77, 77, kind="reduce"))
    assert (_take_all(state), state.ready.take_reduce()) == ([], None)


def test_the_end_of_a_delay_of_what_was_dropped_starts_nothing(state: RequestState) -> None:
    state.apply(mapped(ROOT, 1, 2, digest="a"))
    state.apply(retried(ROOT, ROOT))
    state.apply(mapped(ROOT, 3, 2, digest="b"))
    _take_all(state)
    state.ready.release((1, MAPPER))
    assert _take_all(state) == []


def test_siblings_whose_output_is_gone_run_again_and_their_parent_waits(
    parent: RequestState,
) -> None:
    _take_all(parent)
    parent.apply(Done(0.0, "map", 1, 1, 2, "reduced", (_in_blob("b"),)))
    parent.apply(done(1, 3, 2, body=b"kept"))
    assert parent.ready.take_reduce() == (ROOT, 0)
    assert parent.tree.producer_of("b") == (1, 1, 2)
    parent.apply(retried(1, 1, 2, failure=_blob_failure("b")))
    assert parent.tree.finished_count == 2
    assert _take(parent) == (1, 1, 2)
    parent.apply(done(1, 1, 2, body=b"new"))
    assert parent.ready.take_reduce() == (ROOT, 0)
    assert parent.tree.branches[ROOT].inputs() == [inline(b"new"), inline(b"kept")]
    assert parent.tree.held_bytes == 7


def test_a_mapper_whose_own_output_is_gone_runs_again(state: RequestState) -> None:
    state.apply(Done(0.0, "map", ROOT, ROOT, 1, "combined", (_in_blob("b"),)))
    assert state.ready.take_reduce() == (ROOT, 0)
    assert state.tree.producer_of("b") == (ROOT, ROOT, 1)
    state.apply(retried(ROOT, ROOT, failure=_blob_failure("b")))
    assert state.ready.take_reduce() is None
    assert _take_all(state) == [ROOT]


def test_children_whose_arguments_are_gone_wait_for_their_mapper_to_yield_them_again(
    state: RequestState,
) -> None:
    state.apply(mapped(ROOT, 1, 3))
    state.tree.chunks[1].payload = _in_blob("b", 3)
    assert _take(state, most=1) == (1, 1, 1)
    assert state.tree.producer_of("b") == (ROOT, ROOT, 1)
    state.apply(retried(ROOT, ROOT, failure=_blob_failure("b")))
    state.ready.give_back(1, 1, 1)
    assert state.ready.is_awaited("b")
    assert _take_all(state) == [ROOT]
    state.apply(mapped(ROOT, 1, 3))
    assert sorted(_take_all(state)) == [1, 2, 3]


def test_a_blob_is_awaited_when_its_mapper_runs_again_for_another_reason(
    state: RequestState,
) -> None:
    state.apply(mapped(ROOT, 1, 1))
    state.tree.chunks[1].payload = _in_blob("b")
    assert not state.ready.is_awaited("b")
    state.apply(ADOPTED)
    assert state.ready.is_awaited("b")
    assert _take_all(state) == [ROOT]


def test_nobody_left_a_blob_that_is_not_known(parent: RequestState) -> None:
    assert parent.tree.producer_of("unknown") is None
    assert not parent.ready.is_awaited("unknown")


def test_who_is_tried_again_for_want_of_a_blob_is_not_held_back_by_it(
    state: RequestState,
) -> None:
    state.tree.chunks[ROOT].payload = _in_blob("b")
    state.apply(retried(ROOT, ROOT, failure=_blob_failure("b")))
    assert not state.ready.is_awaited("b")
    assert _take_all(state) == [ROOT]


def test_partitions_that_were_done_run_again_when_their_input_changed() -> None:
    state = _partitioned()
    state.apply(reduced(ROOT, ROOT, partition=2))
    state.apply(retried(1, 1, failure=_blob_failure("b")))
    state.apply(done(1, 1, body=b"new" * 100))
    taken = {state.ready.take_reduce() for _ in range(PARTITIONS)}
    assert taken == {(ROOT, partition) for partition in range(PARTITIONS)}
    assert state.ready.take_reduce() is None


def test_a_chunk_that_is_given_back_in_pieces_is_still_the_last_one(state: RequestState) -> None:
    state.apply(mapped(ROOT, 1, 9))
    _take(state, 9)
    for first in (1, 5):
        state.ready.give_back(1, first, 2)
    assert state.ready.is_at_last_chunk
    assert [_take(state, 9) for _ in range(3)] == [(1, 1, 2), (1, 5, 2), None]


def _partitioned(
    *, per_key: bool = True, size_bytes: int = 101, sections: tuple[int, ...] = (50, 101)
) -> RequestState:
    ref = HandlerRef(handler_name="h", version="v", per_key=per_key)
    state = RequestState(Plan(steps={"s": PlanStep(mapper=ref, reducer=ref)}))
    accepted(state, partition_bytes=100)
    state.apply(mapped(ROOT, 1, 1))
    state.apply(done(ROOT, ROOT, outcome="mapped"))
    output = Payload(1, size_bytes, None, "b", sections=sections)
    state.apply(Done(0.0, "map", 1, 1, 1, "reduced", (output,)))
    return state


@pytest.mark.parametrize(
    ("per_key", "size_bytes", "sections", "partitions"),
    [
        (True, 101, (50, 101), PARTITIONS),
        (True, 100, (50, 100), 1),
        (False, 101, (50, 101), 1),
        (True, 403, (), 1),  # without sections each partition would read all of it
        (True, 404, (), PARTITIONS),
    ],
)
def test_only_a_large_input_of_a_reducer_by_key_is_partitioned(
    per_key: bool, size_bytes: int, sections: tuple[int, ...], partitions: int
) -> None:
    state = _partitioned(per_key=per_key, size_bytes=size_bytes, sections=sections)
    assert state.tree.branches[ROOT].partitions == partitions


def test_partitions_are_put_together_in_their_order_whatever_order_they_end_in() -> None:
    state = _partitioned()
    for partition in (3, 1, 0, 2, 7, 6, 5, 4):
        assert state.result is None
        state.apply(reduced(ROOT, ROOT, partition, b"%d" % partition))
        state.apply(reduced(ROOT, ROOT, partition, b"again"))
    assert state.result is not None
    assert b"".join(item.inline or b"" for item in state.result) == b"01234567"


def test_a_request_taken_up_again_runs_what_has_no_result(parent: RequestState) -> None:
    _take_all(parent)
    parent.apply(done(1, 2))
    parent.apply(mapped(4, 5, 1, chunk=1))
    parent.apply(done(1, 4, outcome="mapped"))
    parent.apply(retried(1, 3, delay_s=9.0))
    parent.apply(ADOPTED)
    assert parent.ready.delayed == {}
    assert _take_all(parent) == [5, 1, 3]


def test_a_mapper_that_had_more_to_yield_begins_anew_when_taken_up_again(
    state: RequestState,
) -> None:
    state.apply(mapped(ROOT, 1, 2))
    state.ready.suspended[ROOT] = KEEPER
    state.apply(ADOPTED)
    assert state.ready.suspended == {}
    assert _take_all(state) == [1, 2, ROOT]
    assert attempts_of(state, ROOT) == 2
    assert state.tree.place(ROOT, "s", 2, "") == 1


def test_partitions_without_result_run_when_taken_up_again() -> None:
    state = _partitioned()
    state.ready.take_reduce()
    state.apply(reduced(ROOT, ROOT, partition=1))
    state.apply(ADOPTED)
    taken = [state.ready.take_reduce() for _ in range(PARTITIONS)]
    assert taken == [*((ROOT, p) for p in (0, 2, 3, 4, 5, 6, 7)), None]


def test_a_wide_tree_is_taken_up_again_without_a_scan_for_each_child(
    state: RequestState,
) -> None:
    for start in range(1, 30_001, 3):
        state.apply(mapped(ROOT, start, 3))
        state.apply(done(start, start))
    state.apply(ADOPTED)
    assert len(_take_all(state)) == 20_001
    assert state.tree.finished_count == 10_000


def test_the_acceptance_is_kept(state: RequestState) -> None:
    assert isinstance(state.accepted, Accepted)


@pytest.mark.parametrize(("kind", "target"), [("combine", COMBINER), ("reduce", 0)])
@pytest.mark.parametrize("delay_s", [0.0, 3.0])
def test_what_fails_in_the_trip_of_its_mapper_is_tried_again_with_it_and_counted_alone(
    parent: RequestState, kind: Kind, target: int, delay_s: float
) -> None:
    assert _take_all(parent) == [1, 2, 3, 4]
    parent.apply(retried(1, 2, kind=kind, failure=AUTHOR, delay_s=delay_s))
    assert parent.attempt((2, target)) == Attempt(number=2, faults=1)
    assert parent.attempt((2, MAPPER)) == Attempt(number=2)
    assert delays(parent) == ({(2, MAPPER): delay_s} if delay_s else {})
    assert _take_all(parent) == ([] if delay_s else [2])


@pytest.mark.parametrize("delay_s", [0.0, 3.0])
def test_a_reducer_whose_input_was_kept_is_tried_again_alone(
    parent: RequestState, delay_s: float
) -> None:
    _take_all(parent)
    parent.apply(done(1, 2, outcome="combined", body=b"kept"))
    parent.apply(retried(1, 2, kind="reduce", failure=AUTHOR, delay_s=delay_s))
    assert parent.attempts == {(2, 0): Attempt(number=2, faults=1)}
    assert delays(parent) == ({(2, 0): delay_s} if delay_s else {})
    assert parent.ready.take_reduce() == (None if delay_s else (2, 0))
    assert parent.ready.take_reduce() is None
    assert _take_all(parent) == []
    if delay_s:
        parent.ready.release((2, 0))
        assert parent.ready.take_reduce() == (2, 0)


def test_a_late_failure_in_a_trip_that_has_a_result_changes_nothing(parent: RequestState) -> None:
    _take_all(parent)
    parent.apply(done(1, 2))
    parent.apply(retried(1, 2, kind="combine", failure=AUTHOR))
    assert _take_all(parent) == []


def test_data_of_stages_counts_once_for_each_blob_and_at_least_a_block() -> None:
    state = RequestState(PLAN)
    small, large = StageData("a", 10, 0), StageData("b", 1 << 20, 0)
    for data in (None, small, small, large):
        state.apply(Failed(0.0, "map", ROOT, ROOT, 1, AUTHOR, data=data))
    assert state.data_bytes == LEAST_DATA_BYTES + (1 << 20)
