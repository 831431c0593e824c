from __future__ import annotations

import pytest

from jobx.actors.egress import signing

BODY = b'{"a": 1}'
SIGNED = signing.headers("key", "w/r1", 1000.0, [BODY[:3], BODY[3:]])


def test_signature_of_pieces_is_that_of_the_body() -> None:
    assert signing.is_valid("key", SIGNED, 1000.0, BODY)


@pytest.mark.parametrize(
    ("key", "changes", "now_at", "body"),
    [
        ("other", {}, 1000.0, BODY),
        ("key", {}, 1000.0, BODY + b" "),
        ("key", {}, 1000.0 + signing.TOLERANCE_S + 1, BODY),
        ("key", {}, 1000.0 - signing.TOLERANCE_S - 1, BODY),
        ("key", {signing.DELIVERY_ID: "w/r2"}, 1000.0, BODY),
        ("key", {signing.TIMESTAMP: "1001"}, 1000.0, BODY),
        ("key", {signing.TIMESTAMP: "²"}, 1000.0, BODY),
        ("key", {signing.TIMESTAMP: "9" * 5000}, 1000.0, BODY),
        ("key", {signing.SIGNATURE: "sha256=ü"}, 1000.0, BODY),
        ("key", {signing.SIGNATURE: ""}, 1000.0, BODY),
    ],
)
def test_what_was_changed_is_not_valid(
    key: str, changes: dict[str, str], now_at: float, body: bytes
) -> None:
    assert not signing.is_valid(key, SIGNED | changes, now_at, body)


def test_without_a_key_nothing_is_signed() -> None:
    assert signing.headers("", "w/r1", 1000.0, []) == {
        signing.DELIVERY_ID: "w/r1",
        signing.TIMESTAMP: "1000",
    }
