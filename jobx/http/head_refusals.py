"""What a web worker answers to a request whose head or connection it refuses."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from http import HTTPMethod, HTTPStatus
from typing import Final

from jobx.http.errors import MEDIA_PROBLEM, problem_document

#: Looked up for each answer; to make an enumeration's member of a number takes ten times as long.
_PHRASES: Final = {int(status): status.phrase for status in HTTPStatus}
_TITLES: Final = {
    400: ("invalid-input", "The request is wrong"),
    408: ("head-too-slow", "The request took too long"),
    414: ("too-large", "The address is too long"),
    431: ("too-large", "The headers are too large"),
    501: ("not-implemented", "It is not known here"),
    503: ("overloaded", "Try again later"),
    505: ("not-implemented", "The version of HTTP is not known here"),
}
#: What the parser says, and what that means for a client.
_DETAILS: Final = {
    "Request line is too large": "the first line may have at most 8190 bytes; use the body",
    "Request header field is too large": "a header may have at most 8190 bytes",
    "Too many headers": "a request may have at most 100 headers",
    "Invalid request line": "the first line must be METHOD /PATH HTTP/1.1",
    "Missing colon in header": "a line of the head is no NAME: VALUE",
}
#: Errors of the parser that consist of the wrong word: the status, and what is allowed.
_WORDS: Final = {
    "InvalidRequestMethod": (501, f"methods are {', '.join(HTTPMethod)}, in capitals"),
    "InvalidHTTPVersion": (505, "must be HTTP/1.1 or HTTP/1.0"),
    "InvalidHeaderName": (400, "a name of a header has letters, digits and -"),
    "UnsupportedTransferCoding": (501, "the only transfer coding is chunked"),
}


def phrase(status: int) -> str:
    """Return the reason phrase of a status."""
    return _PHRASES.get(status, "Unknown")


def answer(status: int, message: str, extra_headers: Iterable[tuple[str, str]]) -> bytes:
    """Return a whole answer with a problem document, as everything else is.

    Args:
        status: Its status, unless the error of the parser that is being handled has a better one.
        message: What the parser says, or the detail of the problem.
        extra_headers: Further headers.
    """
    status, message = _explained(status, message)
    code, title = _TITLES.get(status, ("internal" if status >= 500 else "invalid-input", ""))
    body = problem_document(status, title or phrase(status), message, code)
    fields = [
        ("Content-Type", MEDIA_PROBLEM),
        ("Content-Length", str(len(body))),
        ("Connection", "close"),
        *extra_headers,
    ]
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    head = f"HTTP/1.1 {status} {phrase(status)}\r\n{lines}\r\n"
    return head.encode("latin-1") + body


def _explained(status: int, message: str) -> tuple[int, str]:
    """Return status and detail for what the parser refuses, while its error is handled."""
    status, allowed = _WORDS.get(type(sys.exception()).__name__, (status, ""))
    if allowed:
        return status, f"{message[:80]!r} is not known here: {allowed}"
    return status, _DETAILS.get(message, message)
