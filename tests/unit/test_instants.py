"""Instants as people write them."""

from __future__ import annotations

import re

import pytest

from jobx.errors import InvalidInput
from jobx.instants import PATTERN, read_instant

NOW_AT = 1_000_000.0


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("90s", NOW_AT - 90),
        ("5m", NOW_AT - 300),
        ("2h", NOW_AT - 7200),
        ("7d", NOW_AT - 604_800),
        ("1w", NOW_AT - 604_800),
        ("0s", NOW_AT),
        ("2026-02-01T12:00:00Z", 1_769_947_200.0),
        ("2026-02-01t12:00:00z", 1_769_947_200.0),
        ("2026-02-01T13:30:00.5+01:30", 1_769_947_200.5),
        ("2026-02-01 13:00:00 01:00", 1_769_947_200.0),  # a plus sign in an address
        ("2026-02-01T12:00:00-00:00", 1_769_947_200.0),
    ],
)
def test_an_instant_is_rfc_3339_or_so_long_ago(text: str, at: float) -> None:
    assert read_instant("since", text, NOW_AT) == at
    assert re.search(PATTERN, text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "2", "h", "-2h", "2.5h", "1_0s", "٣h", "2h ", "now", "2026-02-01", "9" * 5000 + "s"),
        *("2026-02-30T12:00:00Z", "2026-02-01T25:00:00Z", "2026-02-01T12:00:00"),
        *("2026-02-01T12:00:00+24:00", "٢٠٢٦-02-01T12:00:00Z", "0000-01-01T00:00:00Z", "\0"),
    ],
)
def test_anything_else_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"^since: is an instant such as 2026-"):
        read_instant("since", text, NOW_AT)
