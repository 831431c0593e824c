from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx import amounts


@pytest.mark.parametrize(
    ("duration_s", "text"),
    [
        (-1.0, "0 µs"),
        (0.0000123, "12 µs"),
        (0.0009996, "1 ms"),
        (0.0123, "12.3 ms"),
        (0.9994, "999 ms"),
        (0.9999, "1 s"),
        (12.34, "12.3 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (61.0, "1 min 01 s"),
        (3_599.9, "1 h 00 min"),
        (3_723.0, "1 h 02 min"),
        (180_000.0, "2 d 02 h"),
        (1e9, "11,574 d 01 h"),
    ],
)
def test_duration_has_the_unit_that_fits(duration_s: float, text: str) -> None:
    assert amounts.duration(duration_s) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1023, "1,023 bytes"),
        (1536, "1.5 KiB"),
        (1023 << 10, "0.999 MiB"),
        (5 << 20, "5 MiB"),
        (3 << 30, "3 GiB"),
        (5 << 40, "5 TiB"),
        (5 << 50, "5,120 TiB"),
    ],
)
def test_size_has_the_unit_that_fits(size_bytes: int, text: str) -> None:
    assert amounts.size(size_bytes) == text


@given(st.floats(0, 1e12), st.integers(0, 1 << 70))
def test_no_amount_is_shown_with_an_exponent(duration_s: float, size_bytes: int) -> None:
    assert "e+" not in amounts.duration(duration_s) + amounts.size(size_bytes)


@pytest.mark.parametrize(
    ("number", "plural", "text"),
    [(0, "s", "0 nodes"), (1, "s", "1 node"), (1234, "s", "1,234 nodes"), (2, "-es", "2 node-es")],
)
def test_count_has_the_plural_that_fits(number: int, plural: str, text: str) -> None:
    assert amounts.count(number, "node", plural) == text
