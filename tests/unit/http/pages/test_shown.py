from __future__ import annotations

import pytest

from jobx.http.pages import shown


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (-1.0, "0 µs"),
        (0.0000123, "12 µs"),
        (0.0123, "12.3 ms"),
        (0.9999, "1 s"),
        (12.34, "12.3 s"),
        (61.0, "1 min 01 s"),
        (3_723.0, "1 h 02 min"),
        (180_000.0, "2 d 02 h"),
    ],
)
def test_duration_has_the_unit_that_fits(seconds: float | None, text: str) -> None:
    assert shown.duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, "-"), (0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (5 << 40, "5 TiB")],
)
def test_size_has_the_unit_that_fits(count: int | None, text: str) -> None:
    assert shown.size(count) == text


@pytest.mark.parametrize(
    ("at", "text", "iso"),
    [
        (None, "-", ""),
        (0.0625, "1970-01-01 00:00:00", "1970-01-01T00:00:00.062Z"),
        (1e30, "-", ""),
    ],
)
def test_instant_is_shown_in_utc(at: float | None, text: str, iso: str) -> None:
    assert (shown.instant(at), shown.iso(at)) == (text, iso)


def test_number_has_its_thousands_apart() -> None:
    assert (shown.number(1_234_567), shown.number(None)) == ("1,234,567", "-")


def test_query_leaves_out_what_is_not_said() -> None:
    asked = {"state": "failed", "after": None, "job": ""}
    assert shown.query(asked, after="x", state=None) == {"after": "x"}
