from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx import values
from jobx.handlers.pairs.ordering import are_distinct, is_ascending, ordered, sort_columns


@pytest.mark.parametrize(
    ("keys", "expected"),
    [([], True), (["a"], True), (["a", "b"], True), (["a", "a"], False), ([1, 1.0], False)],
)
def test_keys_in_order_are_distinct_if_no_neighbours_are_equal(
    keys: list[Any], expected: bool
) -> None:
    assert are_distinct(keys) is expected


def test_keys_of_all_types_stand_in_the_order_of_values() -> None:
    names = {values.key_identity(key): key for key in (True, (1, "a"), "b", 2, None)}
    held = {identity: str(key) for identity, key in names.items()}
    expected = [(None, "None"), (True, "True"), (2, "2"), ("b", "b"), ((1, "a"), "(1, 'a')")]
    assert ordered(held, names) == expected


def test_keys_of_types_that_do_not_compare_need_no_names() -> None:
    assert ordered({"b": 1, 2: 2, b"c": 3, "a": 4}, {}) == [(2, 2), ("a", 4), ("b", 1), (b"c", 3)]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [([1, 2], True), (["a", "b"], True), ([2, 1], False), ([1, 1], False), ([1, 2.0], False)],
)
def test_keys_ascend_if_each_is_above_the_one_before(keys: list[Any], expected: bool) -> None:
    assert is_ascending(keys) is expected


@given(st.lists(st.one_of(st.integers(-3, 3), st.sampled_from([0.5, 1.0, -0.0]), st.booleans())))
def test_columns_are_sorted_as_their_pairs_would_be(keys: list[Any]) -> None:
    for order in (None, values.sort_key):
        sorted_keys, numbers = list(keys), list(range(len(keys)))
        sort_columns(sorted_keys, numbers, order)
        by_key = sorted(range(len(keys)), key=lambda n: order(keys[n]) if order else keys[n])
        assert numbers == by_key
        assert repr(sorted_keys) == repr([keys[number] for number in by_key])
