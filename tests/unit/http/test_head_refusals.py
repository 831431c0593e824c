from __future__ import annotations

import json
from typing import Any

import pytest

from jobx.http import head_refusals


class InvalidRequestMethod(Exception):
    """Has the name of an error of the parser."""


def refusal(status: int, message: str, *headers: tuple[str, str]) -> tuple[str, Any]:
    """Return the first line of an answer, and its problem document."""
    head, _, body = head_refusals.answer(status, message, headers).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert f"Content-Length: {len(body)}" in lines
    assert {f"{name}: {value}" for name, value in headers} <= {*lines}
    return lines[0], json.loads(body)


@pytest.mark.parametrize(
    ("status", "message", "phrase", "detail"),
    [
        (
            431,
            "Request header field is too large",
            "Request Header Fields Too Large",
            "may have at most 8190 bytes",
        ),
        (400, "Missing colon in header", "Bad Request", "no NAME: VALUE"),
        (400, "something else", "Bad Request", "something else"),
        (599, "something else", "Unknown", "something else"),
    ],
)
def test_what_the_parser_says_is_explained(
    status: int, message: str, phrase: str, detail: str
) -> None:
    first, problem = refusal(status, message)
    assert first == f"HTTP/1.1 {status} {phrase}"
    assert problem["status"] == status
    assert problem["detail"].endswith(detail)


def test_the_error_that_is_handled_has_the_better_status() -> None:
    try:
        raise InvalidRequestMethod("BREW")
    except InvalidRequestMethod:
        first, problem = refusal(400, "BREW")
    assert first.startswith("HTTP/1.1 501 ")
    assert problem["detail"].startswith("'BREW' is not known here: methods are ")


def test_further_headers_are_sent() -> None:
    _, problem = refusal(503, "the limit of open connections is reached", ("Retry-After", "1"))
    assert problem["title"] == "Try again later"
