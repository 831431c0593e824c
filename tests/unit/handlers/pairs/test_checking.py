from __future__ import annotations

import datetime
import decimal
from collections.abc import Iterator
from typing import Any

import pytest

from jobx.handlers.failures import Misuse
from jobx.handlers.pairs.checking import PairReader


def _endless(value: Any) -> Any:
    for _ in range(200):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        (1, "not a key and a value"),
        ("ab", "not a key and a value"),
        ((1, 2, 3), "not a key and a value"),
        (({}, 1), "a dict cannot be a key"),
        (({1}, 1), "a set cannot be a value"),
        ((float("nan"), 1), "NaN"),
        ((1, float("nan")), "NaN"),
        ((1, [float("nan")]), "NaN"),
        ((1, object()), "an object cannot be a value"),
        ((1, "\udc80"), "surrogates"),
        (("\udc80", 1), "surrogates"),
        ((1, ["\udc80"]), "surrogates"),
        ((1, _endless(1)), "deeper than 64"),
        ((_endless(1), 1), "deeper than 64"),
        ((1, {(1, 2): 3}), "a list cannot be a key of a map"),
        ((1, datetime.datetime(2020, 1, 1)), "time zone"),  # noqa: DTZ001 - that is the test
        ((1, decimal.Decimal("NaN")), "decimal"),
    ],
)
def test_a_pair_that_does_not_fit_is_refused_with_its_index(pair: object, reason: str) -> None:
    intake = PairReader(iter([(0, 0), (1, 1), pair]))
    with pytest.raises(Misuse, match=reason) as refused:
        intake.take()
    assert refused.value.args[2] == 2


def test_the_index_counts_on_from_slice_to_slice() -> None:
    intake = PairReader(iter([(n, n) for n in range(5)] + [3]))
    intake.take(2)
    intake.take(2)
    with pytest.raises(Misuse, match="pair 5"):
        intake.take(2)


def test_a_value_is_copied_when_it_is_yielded() -> None:
    def author() -> Iterator[object]:
        listed: list[int] = []
        for number in range(3):
            listed.append(number)
            yield "k", listed

    assert [value for _, value in PairReader(author()).take()] == [[0], [0, 1], [0, 1, 2]]


def test_tuples_arrive_as_lists_and_list_keys_as_tuples() -> None:
    assert PairReader(iter([([1, [2]], (1, (2,)))])).take() == [((1, (2,)), [1, [2]])]


def test_long_values_end_a_slice_early() -> None:
    intake = PairReader(iter([(n, "x" * 1_000_000) for n in range(10)]))
    assert len(intake.take()) == 5
    assert not intake.done
