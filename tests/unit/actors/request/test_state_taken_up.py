"""Partitions of reductions, requests that are taken up again, and what fails late in a trip."""

from __future__ import annotations

import pytest

from jobx.actors.request.branches import COMBINER, MAPPER, ROOT
from jobx.actors.request.events import Accepted, Done, Failed, Kind
from jobx.actors.request.retry import Attempt
from jobx.actors.request.state import LEAST_DATA_BYTES, PARTITIONS, RequestState
from jobx.model import HandlerRef, Plan, PlanStep
from jobx.payload import Payload, StageData
from tests.unit.actors.request.driver import (
    ADOPTED,
    AUTHOR,
    KEEPER,
    PLAN,
    accepted,
    attempts_of,
    blob_failure,
    delays,
    done,
    mapped,
    reduced,
    retried,
    take_all,
)


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
    take_all(parent)
    parent.apply(done(1, 2))
    parent.apply(mapped(4, 5, 1, chunk=1))
    parent.apply(done(1, 4, outcome="mapped"))
    parent.apply(retried(1, 3, delay_s=9.0))
    parent.apply(ADOPTED)
    assert parent.ready.delayed == {}
    assert take_all(parent) == [5, 1, 3]


def test_a_mapper_that_had_more_to_yield_begins_anew_when_taken_up_again(
    state: RequestState,
) -> None:
    state.apply(mapped(ROOT, 1, 2))
    state.ready.suspended[ROOT] = KEEPER
    state.apply(ADOPTED)
    assert state.ready.suspended == {}
    assert take_all(state) == [1, 2, ROOT]
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
    assert len(take_all(state)) == 20_001
    assert state.tree.finished_count == 10_000


def test_the_acceptance_is_kept(state: RequestState) -> None:
    assert isinstance(state.accepted, Accepted)


@pytest.mark.parametrize(("kind", "target"), [("combine", COMBINER), ("reduce", 0)])
@pytest.mark.parametrize("delay_s", [0.0, 3.0])
def test_what_fails_in_the_trip_of_its_mapper_is_tried_again_with_it_and_counted_alone(
    parent: RequestState, kind: Kind, target: int, delay_s: float
) -> None:
    assert take_all(parent) == [1, 2, 3, 4]
    parent.apply(retried(1, 2, kind=kind, failure=AUTHOR, delay_s=delay_s))
    assert parent.attempt((2, target)) == Attempt(number=2, faults=1)
    assert parent.attempt((2, MAPPER)) == Attempt(number=2)
    assert delays(parent) == ({(2, MAPPER): delay_s} if delay_s else {})
    assert take_all(parent) == ([] if delay_s else [2])


@pytest.mark.parametrize("delay_s", [0.0, 3.0])
def test_a_reducer_whose_input_was_kept_is_tried_again_alone(
    parent: RequestState, delay_s: float
) -> None:
    take_all(parent)
    parent.apply(done(1, 2, outcome="combined", body=b"kept"))
    parent.apply(retried(1, 2, kind="reduce", failure=AUTHOR, delay_s=delay_s))
    assert parent.attempts == {(2, 0): Attempt(number=2, faults=1)}
    assert delays(parent) == ({(2, 0): delay_s} if delay_s else {})
    assert parent.ready.take_reduce() == (None if delay_s else (2, 0))
    assert parent.ready.take_reduce() is None
    assert take_all(parent) == []
    if delay_s:
        parent.ready.release((2, 0))
        assert parent.ready.take_reduce() == (2, 0)


def test_a_late_failure_in_a_trip_that_has_a_result_changes_nothing(parent: RequestState) -> None:
    take_all(parent)
    parent.apply(done(1, 2))
    parent.apply(retried(1, 2, kind="combine", failure=AUTHOR))
    assert take_all(parent) == []


def test_data_of_stages_counts_once_for_each_blob_and_at_least_a_block() -> None:
    state = RequestState(PLAN)
    small, large = StageData("a", 10, 0), StageData("b", 1 << 20, 0)
    for data in (None, small, small, large):
        state.apply(Failed(0.0, "map", ROOT, ROOT, 1, AUTHOR, data=data))
    assert state.data_bytes == LEAST_DATA_BYTES + (1 << 20)


def test_partitions_that_were_done_run_again_when_their_input_changed() -> None:
    state = _partitioned()
    state.apply(reduced(ROOT, ROOT, partition=2))
    state.apply(retried(1, 1, failure=blob_failure("b")))
    state.apply(done(1, 1, body=b"new" * 100))
    taken = {state.ready.take_reduce() for _ in range(PARTITIONS)}
    assert taken == {(ROOT, partition) for partition in range(PARTITIONS)}
    assert state.ready.take_reduce() is None
