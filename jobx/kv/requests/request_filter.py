"""Which requests a list shows, and the cursors of its pages. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from jobx import values
from jobx.errors import InvalidInput, quote
from jobx.instants import read_instant
from jobx.model import Request, RequestState
from jobx.questions import Scalar

#: Characters of a digest in a key: 128 bits.
_DIGEST: Final = 32
#: Longest type of an error, and value of an argument, that is asked for.
MAX_CHARS: Final = 4096
#: Integers from this on do not travel.
_MOST: Final = 1 << 63
#: The form of a cursor: an id, and of a filtered list a digest of its filter.
CURSOR_PATTERN: Final = "[0-9a-hjkmnp-tv-z]{26}(?:[.][0-9a-f]{8})?"


class Filter(Struct, frozen=True):
    """What all requests of a list have in common.

    Attributes:
        state: Their state.
        job: Their job.
        since_at: Accepted then or later, by the wall clock …
        until_at: … and before then.
        error: Type of their failure.
        arguments: Digests of the arguments that they have; see ``argument_digest``.
        tag: What cursors of the list end with; empty if it shows everything.
    """

    state: RequestState | None = None
    job: str | None = None
    since_at: float | None = None
    until_at: float | None = None
    error: str | None = None
    arguments: frozenset[str] = frozenset()
    tag: str = ""

    def fits(self, request: Request) -> bool:
        """Tell whether a list shows a request."""
        failure = request.failure
        return (
            self.state in (None, request.state)
            and self.job in (None, request.job_name)
            and self.is_in_time(request.accepted_at)
            and (self.error is None or (failure is not None and failure.type == self.error))
            and self.arguments.issubset(request.search or ())
        )

    def is_in_time(self, accepted_at: float) -> bool:
        """Tell whether the list shows requests that were accepted at that time."""
        is_after = self.since_at is None or accepted_at >= self.since_at
        return is_after and (self.until_at is None or accepted_at < self.until_at)


def make_filter(
    workflow: str,
    *,
    now_at: float,
    state: RequestState | None = None,
    job: str | None = None,
    since: str | None = None,
    until: str | None = None,
    error: str | None = None,
    search: Mapping[str, Scalar] | None = None,
) -> Filter:
    """Return the filter that a question describes; see ``questions.ListRequests``.

    Raises:
        InvalidInput: A time is malformed, or arguments are given without their job.
    """
    if search and job is None:
        raise InvalidInput("search", quote(next(iter(search))), "needs the job that names it")
    given = [workflow, state, job, since, until, error, dict(search or {})]
    is_all = not any(one is not None for one in given[1:6]) and not search
    text = json.dumps(given, sort_keys=True)
    return Filter(
        state=state,
        job=job,
        since_at=None if since is None else read_instant("since", since, now_at),
        until_at=None if until is None else read_instant("until", until, now_at),
        error=error,
        arguments=frozenset(argument_digest(*one) for one in (search or {}).items()),
        tag="" if is_all else hashlib.sha256(text.encode()).hexdigest()[:8],
    )


def cursor(request_id: str, tag: str) -> str:
    """Return the cursor behind a request in a list whose filter has this tag."""
    return f"{request_id}.{tag}" if tag else request_id


def after(text: str, tag: str) -> str:
    """Return the id of a cursor.

    Raises:
        InvalidInput: It is of a list with another filter.
    """
    request_id, _, its = text.partition(".")
    if its != tag:
        reason = "is a cursor of a list with another filter; begin that list without a cursor"
        raise InvalidInput("after", quote(text), reason)
    return request_id


def read_value(where: str, text: str) -> Scalar:
    """Return the value of an argument: JSON, or else text.

    Raises:
        InvalidInput: It is a list or a map, too long, or no value.
    """
    if len(text) > MAX_CHARS:
        raise InvalidInput(where, quote(text), f"has at most {MAX_CHARS} characters")
    try:
        value = values.read_json(text)
    except (json.JSONDecodeError, values.NotJson):
        return text
    except ValueError as error:
        raise InvalidInput(where, quote(text), str(error)) from error
    if isinstance(value, int) and not -_MOST <= value < _MOST:
        raise InvalidInput(where, quote(text), "is no integer of 64 bits")
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise InvalidInput(where, quote(text), "must be a text, a number, true, false or null")


def argument_digest(name: str, value: Scalar) -> str:
    """Return an argument and its value, however large, as text for a key.

    Equal numbers are one value (``2`` and ``2.0``); ``1``, ``"1"`` and ``true`` are three.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return digest(type(value).__name__, name, f"{value:x}" if is_whole else str(value))


def argument_digests(names: Iterable[str], given: Mapping[str, object]) -> tuple[str, ...]:
    """Return the digests of the arguments of these names that are text, numbers, booleans or null.

    Args:
        names: What the job names.
        given: All arguments of the request.
    """
    named = ((name, given[name]) for name in dict.fromkeys(names) if name in given)
    return tuple(
        argument_digest(name, value)
        for name, value in named
        if value is None or isinstance(value, str | int | float)
    )


def error_digest(kind: str) -> str:
    """Return the type of an error as text for a key."""
    return digest(kind)


def digest(*texts: str) -> str:
    """Return texts, whatever their characters, as text for a key."""
    hashed = hashlib.sha256()
    for text in texts:
        body = text.encode("utf-8", "surrogatepass")
        hashed.update(b"%d:" % len(body))
        hashed.update(body)
    return hashed.hexdigest()[:_DIGEST]
