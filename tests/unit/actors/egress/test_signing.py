from __future__ import annotations

import time

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from jobx.actors.egress import signing
from jobx.errors import InvalidInput

BODY = b'{"a": 1}'
PIECES = [BODY[:3], BODY[3:]]
KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
SIGNED = signing.headers(KEY, "w/r1", 1000.0, PIECES)


def test_signature_of_pieces_is_that_of_the_body() -> None:
    assert signing.is_valid(KEY, SIGNED, 1000.0, BODY)


@pytest.mark.parametrize(
    ("key", "changes", "now_at", "body"),
    [
        (OTHER, {}, 1000.0, BODY),
        (KEY, {}, 1000.0, BODY + b" "),
        (KEY, {}, 1000.0 + signing.TOLERANCE_S + 1, BODY),
        (KEY, {}, 1000.0 - signing.TOLERANCE_S - 1, BODY),
        (KEY, {signing.DELIVERY_ID: "w/r2"}, 1000.0, BODY),
        (KEY, {signing.DELIVERY_ID: ""}, 1000.0, BODY),
        (KEY, {signing.TIMESTAMP: "1001"}, 1000.0, BODY),
        (KEY, {signing.TIMESTAMP: "²"}, 1000.0, BODY),
        (KEY, {signing.TIMESTAMP: "9" * 5000}, 1000.0, BODY),
        (KEY, {signing.SIGNATURE: "v1,ü"}, 1000.0, BODY),
        (KEY, {signing.SIGNATURE: ""}, 1000.0, BODY),
        (KEY, {signing.SIGNATURE: SIGNED[signing.SIGNATURE][3:]}, 1000.0, BODY),
    ],
)
def test_what_was_changed_is_not_valid(
    key: str, changes: dict[str, str], now_at: float, body: bytes
) -> None:
    assert not signing.is_valid(key, SIGNED | changes, now_at, body)


def test_names_of_headers_are_found_in_any_case() -> None:
    titled = {name.title(): value for name, value in SIGNED.items()}
    assert signing.is_valid(KEY, titled, 1000.0, BODY)


def test_without_a_key_nothing_is_signed() -> None:
    assert signing.headers("", "w/r1", 1000.0, []) == {
        signing.DELIVERY_ID: "w/r1",
        signing.TIMESTAMP: "1000",
    }


@pytest.mark.parametrize("key", [KEY, KEY[:-1], OTHER, f"{OTHER} {KEY}", "any text"])
def test_a_library_of_the_scheme_takes_what_is_signed(key: str) -> None:
    signed = signing.headers(key, "w/r1", time.time(), PIECES)
    for one in key.split():
        shared = one if one.startswith("whsec_") else one.encode()
        assert Webhook(shared).verify(BODY, signed) == {"a": 1}


def test_a_library_of_the_scheme_refuses_another_key() -> None:
    signed = signing.headers(KEY, "w/r1", time.time(), PIECES)
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(BODY, signed)


def test_of_two_keys_either_is_enough() -> None:
    signed = signing.headers(f"{KEY} {OTHER}", "w/r1", 1000.0, PIECES)
    assert [signing.is_valid(key, signed, 1000.0, BODY) for key in (KEY, OTHER, "x")] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("key", ["whsec_", "whsec_a", "whsec_a!bc", f"{KEY} whsec_="])
def test_a_key_that_is_no_base64_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(InvalidInput, match=r"whsec_") as refused:
        signing.parsed(key)
    assert "a!bc" not in str(refused.value)
