from __future__ import annotations

from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx.counting import LONG_S, SHORT_S, Count, Counts, Histogram

BOUNDS = (1.0, 2.0, 5.0)


def test_a_measurement_counts_in_the_first_bucket_that_holds_it() -> None:
    histogram = Histogram(BOUNDS)
    for value in (-1.0, 0.0, 1.0, 1.5, 2.0, 5.1):
        histogram.observe(value)
    assert histogram.counts == [3, 2, 0, 1]
    assert histogram.cumulative() == [3, 5, 5, 6]
    assert (histogram.count, histogram.total) == (6, pytest.approx(9.6))


@given(st.lists(st.integers(0, 10_000_000), min_size=1))
def test_many_at_once_count_as_one_by_one(spent_us: list[int]) -> None:
    single, together = Histogram(SHORT_S), Histogram(SHORT_S)
    for us in spent_us:
        single.counts[bisect_left([bound * 1_000_000 for bound in SHORT_S], us)] += 1
    together.observe_all(spent_us, 1e-6)
    assert together.counts == single.counts
    assert together.total == pytest.approx(sum(spent_us) / 1e6)


@given(st.floats(0, 100), st.floats(0, 100), st.integers(1, 1000))
def test_what_is_spread_evenly_is_counted_whole(first: float, reach: float, count: int) -> None:
    histogram = Histogram(BOUNDS)
    histogram.observe_spread(first, first + reach, count)
    assert histogram.count == count
    assert all(counted >= 0 for counted in histogram.counts)


def test_what_is_spread_evenly_lies_in_the_buckets_of_its_range() -> None:
    histogram = Histogram(BOUNDS)
    histogram.observe_spread(0.0, 9.0, 10)  # 0, 1, 2 … 9
    assert histogram.counts == [2, 1, 3, 4]
    assert histogram.total == pytest.approx(45)


def test_merging_adds_what_another_process_counted() -> None:
    ours, theirs = Histogram(BOUNDS), Histogram(BOUNDS)
    ours.observe(1.0)
    theirs.observe(4.0)
    ours.merge(theirs.counts, theirs.total)
    assert (ours.counts, ours.total) == ([1, 0, 1, 0], 5.0)


def test_names_beyond_the_limit_become_other_and_fixed_labels_stay() -> None:
    counts = Counts(Count, named=2)
    for number in range(10_000):
        counts["flow", f"job{number}", "succeeded"].add()
        counts["flow", f"job{number}", "failed"].add()
    assert len(counts) == 1002
    assert sum(cell.value for cell in counts.values()) == 20_000
    assert counts["other", "other", "failed"].value == 9_500


def test_labels_without_names_become_other_as_a_whole() -> None:
    counts = Counts(Count, most=1)
    counts["a", "1"].add()
    counts["b", "2"].add()
    assert set(counts) == {("a", "1"), ("other", "other")}


def test_bounds_ascend() -> None:
    assert sorted(LONG_S) == list(LONG_S)
    assert sorted(SHORT_S) == list(SHORT_S)
