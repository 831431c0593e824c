"""Whole requests over the pure state: the same tree gives the same result, whatever happens."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from jobx.actors.request.state import PARTITIONS, RequestState
from jobx.model import Counts
from tests.unit.actors.request.driver import PLAN, Driver, Node, expected, size, trees

lucks = st.integers(0, 1 << 32).map(random.Random)


def _assert_nothing_is_left(state: RequestState) -> None:
    assert list(state.tree.chunks) == [0]
    assert not state.tree.branches
    assert not state.ready.suspended
    assert state.tree.held_bytes == 0
    assert state.tree.mapped_count == state.tree.finished_count


@given(trees, lucks)
def test_any_order_of_results_gives_the_same_result_and_counts(
    tree: Node, luck: random.Random
) -> None:
    driver = Driver(tree, luck)
    assert driver.run() == expected(tree)
    count = size(tree)
    assert driver.state.counts == Counts(mapped=count, finished=count, invocations=2 * count)
    _assert_nothing_is_left(driver.state)


@given(trees, lucks, st.floats(0, 0.4))
def test_faults_change_neither_result_nor_what_is_left(
    tree: Node, luck: random.Random, faults: float
) -> None:
    driver = Driver(tree, luck, faults=faults)
    assert driver.run() == expected(tree)
    _assert_nothing_is_left(driver.state)


@given(trees, lucks, st.floats(0, 0.3), st.lists(st.floats(0, 1), max_size=4))
def test_a_request_taken_up_again_from_any_prefix_of_its_log_ends_the_same(
    tree: Node, luck: random.Random, faults: float, crashes: list[float]
) -> None:
    driver = Driver(tree, luck, faults=faults)
    driver.run()
    for part in crashes:
        driver.crash(1 + int(part * (len(driver.log) - 2)))
        assert driver.run() == expected(tree)
    _assert_nothing_is_left(driver.state)


@given(trees, lucks, st.floats(0, 0.3))
def test_partitions_of_a_large_reduction_together_leave_the_result(
    tree: Node, luck: random.Random, faults: float
) -> None:
    driver = Driver(tree, luck, faults=faults, partition_bytes=2)
    assert driver.run() == expected(tree)
    _assert_nothing_is_left(driver.state)


@given(trees, lucks, st.floats(0, 0.3))
def test_the_log_alone_gives_the_state(tree: Node, luck: random.Random, faults: float) -> None:
    driver = Driver(tree, luck, faults=faults)
    driver.run()
    replayed = RequestState(PLAN)
    for event in driver.log:
        replayed.apply(event)
    live = driver.state
    assert replayed.counts == live.counts
    assert (replayed.result, replayed.finished) == (live.result, live.finished)
    assert (replayed.attempts, replayed.tree.next_vertex) == (live.attempts, live.tree.next_vertex)


@given(trees, lucks, st.floats(0, 0.3))
def test_duplicates_of_results_change_nothing(
    tree: Node, luck: random.Random, faults: float
) -> None:
    driver = Driver(tree, luck, faults=faults)
    driver.run()
    once, twice = RequestState(PLAN), RequestState(PLAN)
    for event in driver.log:
        once.apply(event)
        twice.apply(event)
        if type(event).__name__ in {"Done", "Mapped"}:
            twice.apply(event)
            assert twice.counts == once.counts
            assert (twice.tree.held_bytes, twice.tree.next_vertex) == (
                once.tree.held_bytes,
                once.tree.next_vertex,
            )
    assert twice.result == once.result


def test_a_partitioned_reduction_has_a_fixed_number_of_partitions() -> None:
    driver = Driver((2, 4), random.Random(1), partition_bytes=1)
    driver.run()
    partitions = [e.partition for e in driver.log if getattr(e, "kind", "") == "reduce"]
    assert sorted(partitions) == list(range(PARTITIONS))
