from __future__ import annotations

import datetime
import decimal
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx import values
from jobx.errors import InvalidInput
from jobx.handlers.failures import Misuse
from jobx.handlers.pairs.checking import PairReader, checked, snapshot
from tests.support import edges


def _endless(value: Any) -> Any:
    for _ in range(200):
        value = [value]
    return value


def _itself() -> list[Any]:
    found: list[Any] = []
    found += [found, found]
    return found


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


#: A value with so many items is checked in native passes.
_MANY = [{"name": f"item {number}", "listed": (number, 1.5, None)} for number in range(1000)]
#: What is no value, by name.
_BAD: dict[str, Any] = edges.NO_VALUES | {
    "an object": object(),
    "not a number as a key": {float("nan"): 1},
    "an extension": msgpack.ExtType(1, b"ff"),
    "a time of msgpack": msgpack.Timestamp(1),
    "equal hashes": {number * ((1 << 61) - 1): 1 for number in range(200)},
    "a list in itself": _itself(),
}
_anything = st.recursive(
    edges.some_values | st.sampled_from(sorted(_BAD)).map(lambda name: _BAD[name]),
    lambda inner: st.lists(inner) | st.dictionaries(st.integers(), inner),
    max_leaves=8,
)


def _is_refused(value: Any) -> bool:
    try:
        values.check_value(value)
    except ValueError:
        return True
    return False


def _reason(value: Any) -> str:
    with pytest.raises(ValueError) as refused:
        values.check_value(value)
    return str(refused.value)


@pytest.mark.parametrize("kind", _BAD)
def test_what_is_no_value_is_named_alike_among_many_items(kind: str) -> None:
    for value in ([*_MANY, _BAD[kind]], {"many": _MANY, "bad": [[_BAD[kind]]]}):
        with pytest.raises(Misuse) as refused:
            checked(("key", value), 0)
        assert str(refused.value.args[1]) == f"pair 0 ('key'): {_reason(value)}"


def test_many_items_arrive_as_few_do() -> None:
    found = checked(("key", [*_MANY, *edges.VALUES]), 0)[1]
    assert edges.same(found[len(_MANY) :], [checked(("key", one), 0)[1] for one in edges.VALUES])
    assert found[7] == {"name": "item 7", "listed": [7, 1.5, None]}


def test_many_items_nest_as_deep_as_few_do() -> None:
    value = [_MANY, edges.nested(values.MAX_DEPTH - 1)]
    assert checked(("key", value), 0)[1][1] == value[1]


@given(_anything)
def test_what_can_be_packed_and_is_sound_is_a_value(anything: Any) -> None:
    with suppress(InvalidInput, ValueError):  # as it may be refused
        values.pack(anything)
        if values.is_sound(anything):
            assert not _is_refused(anything)


def _doubled(times: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(times):
        found = [found, found]
    return found


class _Nameless:
    def __repr__(self) -> str:
        raise RuntimeError("it has no text")


def test_lists_that_are_in_many_places_are_not_taken_for_sound() -> None:
    assert not values.is_sound(_doubled(60))


@pytest.mark.interpreted
@pytest.mark.parametrize("beside", [0, 1000])
def test_what_nests_too_deep_is_not_packed(beside: int, monkeypatch: pytest.MonkeyPatch) -> None:
    value: list[Any] = _MANY[:beside]
    value.append(value)
    monkeypatch.setattr(values, "packer", _never)
    monkeypatch.setattr(values, "pack", _never)
    if beside:  # then each item would be looked at once in every level
        monkeypatch.setattr(values, "check_value", _never)
    with pytest.raises(ValueError, match="nest deeper"):
        snapshot(value)


def _never(*_of: object) -> None:
    raise AssertionError("it is packed")


def test_what_is_no_value_is_named_without_its_text() -> None:
    with pytest.raises(Misuse, match="_Nameless cannot be a value"):
        checked(("key", [*_MANY, _Nameless()]), 0)


@pytest.mark.interpreted
def test_many_items_are_not_looked_at_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    checked_each: list[Any] = []
    monkeypatch.setattr(values, "check_value", checked_each.append)
    checked(("key", _MANY), 0)
    assert checked_each == ["key"]
