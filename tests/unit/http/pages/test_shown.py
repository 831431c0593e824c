from __future__ import annotations

import pytest

from jobx.http.pages import shown


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


def test_what_is_unknown_is_a_dash() -> None:
    assert (shown.duration(None), shown.size(None)) == ("-", "-")
    assert (shown.duration(61.0), shown.size(1536)) == ("1 min 01 s", "1.5 KiB")


@pytest.mark.parametrize(
    ("given", "shown_as"),
    [
        ("a\u202eb", "a\\u202eb"),
        ("a\u2066b\u200b", "a\\u2066b\\u200b"),
        ("\x1b[2J\r", "\\x1b[2J\\r"),
        ("line\n\ttab", "line\n\ttab"),
        ("שלום 😀 👩\u200d👧", "שלום 😀 👩\u200d👧"),
    ],
)
def test_text_shows_what_cannot_be_seen(given: str, shown_as: str) -> None:
    assert shown.text(given) == shown_as


@pytest.mark.parametrize("value", [shown.Given("a\u202eb"), None, 7])
def test_what_is_given_back_and_what_is_no_text_stays(value: object) -> None:
    assert shown.text(value) is value
