from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx.actors.request.spans import Span, split, starts


def test_a_part_alone_has_the_whole_time_of_the_answer() -> None:
    assert split(7, 900, [300]) == [Span(7, 900, 900)]


def test_parts_follow_each_other_and_share_what_is_left_of_the_time() -> None:
    assert split(7, 1000, [300, 100, 300]) == [
        Span(7, 1000, 400),
        Span(7, 600, 200),
        Span(7, 400, 400),
    ]


def test_what_was_not_started_took_no_time() -> None:
    assert split(7, 500, [100, None]) == [Span(7, 500, 500), Span(7, 0, 0)]


def test_an_answer_without_parts_has_no_spans() -> None:
    assert split(7, 500, []) == []


@given(st.integers(0, 1 << 48), st.lists(st.none() | st.integers(0, 1 << 40), max_size=6))
def test_spans_are_in_order_and_never_negative(whole_us: int, spent_us: list[int | None]) -> None:
    spans = split(1, whole_us, spent_us)
    assert len(spans) == len(spent_us)
    begun = [span.began_us for span in spans]
    assert begun == sorted(begun, reverse=True)
    assert all(span.began_us >= 0 and span.us >= 0 for span in spans)


def test_invocations_begin_one_after_the_other_with_equal_gaps() -> None:
    span = Span(7, 10_000_000, 10_000_000)
    begun = list(starts(100.0, span, [1_000_000, 2_000_000, 1_000_000], 3))
    assert begun == [90.0, 93.0, 97.0]


def test_combiners_and_reducers_run_before_the_next_mapper() -> None:
    span = Span(7, 6_000_000, 6_000_000)
    spent_us = [second * 1_000_000 for second in (1, 1, 1, 0, 2, 1)]
    assert list(starts(100.0, span, spent_us, 2)) == [94.0, 98.0]


@pytest.mark.parametrize("spent_us", [[], [5], [10**9, 10**9]])
def test_each_invocation_has_a_start_whatever_the_log_says_of_its_time(spent_us: list[int]) -> None:
    assert len(list(starts(100.0, Span(7, 5, 5), spent_us, 2))) == 2
