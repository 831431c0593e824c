from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx import values
from jobx.errors import InvalidInput, TooLarge
from jobx.http.reading.item_count import count_items

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=300),
    st.binary(max_size=300),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.datetimes(timezones=st.just(datetime.UTC)),
)
NESTED = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=9), inner),
)


def items(value: Any) -> int:
    if isinstance(value, list):
        return 1 + sum(map(items, value))
    if isinstance(value, dict):
        return 1 + sum(items(key) + items(inner) for key, inner in value.items())
    return 1


@given(NESTED)
def test_items_are_counted_as_they_are(value: Any) -> None:
    assert count_items(values.pack(value), 1 << 30) == items(value)


@pytest.mark.parametrize("size", [16, 70_000])
def test_long_lists_and_maps_are_counted(size: int) -> None:
    assert count_items(values.pack([None] * size), 1 << 30) == size + 1
    assert count_items(values.pack({str(n): n for n in range(size)}), 1 << 30) == 2 * size + 1


def test_more_than_may_be_is_refused() -> None:
    assert count_items(values.pack([0, 0]), 3) == 3
    with pytest.raises(TooLarge):
        count_items(values.pack([0, 0, 0]), 3)


@pytest.mark.parametrize(
    "body",
    [
        b"\xdd\xff\xff\xff\xff",
        b"\xdd\x00\x01\x00\x00" * 1000,
        b"\x91" * 90_000,
        b"\xdf\x7f\xff\xff\xff" + b"\xc0" * 90_000,
        b"\xc1",
    ],
)
def test_what_is_announced_and_not_there_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        count_items(body, 1 << 30)


@given(st.binary(max_size=200))
def test_any_bytes_are_counted_or_refused(body: bytes) -> None:
    try:
        assert count_items(body, 1000) <= max(1, len(body))
    except InvalidInput:
        return
