"""Scalars of other packages: any class that says what it is in Python's own types.

``tests/integration/test_science.py`` has those of numpy, pandas and pyarrow."""

from __future__ import annotations

import datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from jobx import values
from jobx.handlers.failures import Misuse
from jobx.handlers.pairs.checking import checked


class Item:
    """A scalar as array packages have them."""

    def __init__(self, found: Any, kind: str = "i", ndim: int = 0) -> None:
        self.found = found
        self.dtype = SimpleNamespace(kind=kind)
        self.ndim = ndim

    def item(self) -> Any:
        return self.found

    def tolist(self) -> Any:
        return [self.found]


class Column:
    """A scalar as tables have them."""

    def __init__(self, found: Any) -> None:
        self.found = found

    def as_py(self) -> Any:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


class Time(datetime.datetime):
    """A timestamp of another package; its arithmetic is of no use here."""

    def __sub__(self, other: object) -> Any:
        raise OverflowError("too far away")


class NoTime(Time):
    """No time at all, as some packages have it."""

    year: Any = float("nan")

    def __str__(self) -> str:
        return "NoTime"


class Order:
    """A class of an author, whose item() is something else."""

    def item(self) -> int:
        raise AssertionError("called")


class NoNumber(Item):
    def item(self) -> Any:
        return self


WHEN = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("value", "arrives"),
    [
        (Item(3), 3),
        (Item(True), True),
        (Item(1.5), 1.5),
        (Item("x"), "x"),
        (Item(2**70), 2**70),
        (Column(None), None),
        (Column([1, {"a": Item(2)}]), [1, {"a": 2}]),
        (Column(Decimal("1.10")), Decimal("1.10")),
        (Column(WHEN), WHEN),
        (Time(2024, 1, 1, tzinfo=datetime.UTC), WHEN),
        ({"n": Item(1), "m": [Column(2)]}, {"n": 1, "m": [2]}),
        ({Item(1): 2, Column("k"): 3}, {1: 2, "k": 3}),
    ],
)
def test_a_scalar_arrives_as_what_it_says_it_is(value: Any, arrives: Any) -> None:
    assert checked(("k", value), 0)[1] == arrives
    assert values.unpack(values.pack(value)) == arrives
    if not isinstance(arrives, dict | list):
        assert checked((value, 1), 0)[0] == arrives


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (Item(1, ndim=1), r"Item cannot be a value: give its \.tolist\(\)"),
        (Item(0, kind="M"), "Item cannot be a value$"),
        (Item({1}), "a set cannot be a value"),
        (Item(1j), "a complex cannot be a value"),
        (NoNumber(0), "NoNumber cannot be a value"),
        (Column(float("nan")), "NaN is neither a key nor a value"),
        (Column(OverflowError("no such time")), "Column cannot be a value: no such time"),
        (Order(), "Order cannot be a value"),
        (Time(2024, 1, 1), "needs a time zone"),
        (NoTime(2024, 1, 1), "NoTime cannot be a value: it is no time; None can"),
        (datetime.date(2024, 1, 1), r"a datetime.date cannot .* give its \.isoformat\(\)"),
        ([{"a": Order()}], "Order cannot be a value"),
        ({Column([1]): 1}, "a list cannot be a key of a map"),
        ({Column({"a": 1}): 1}, "a dict cannot be a key"),
        ({Column(1): 1, 1: 2}, "a map has a key twice"),
    ],
)
def test_what_is_no_scalar_is_refused_by_type_and_pair(value: Any, reason: str) -> None:
    with pytest.raises(Misuse, match=rf"pair 4 .*{reason}") as refused:
        checked(("k", value), 4)
    assert refused.value.args[2] == 4


@pytest.mark.parametrize("key", [Column({"a": 1}), (Column({"a": 1}),), [[Column({})]]])
def test_a_scalar_that_is_a_map_cannot_be_a_key(key: Any) -> None:
    with pytest.raises(Misuse, match=r"pair 4 .*cannot be a key"):
        checked((key, 1), 4)
    with pytest.raises(ValueError, match="cannot be a key"):
        values.check_key(key)
