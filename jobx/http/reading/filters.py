"""Reads which requests a client wants to see."""

from __future__ import annotations

import re
import time
import typing
from typing import Final, cast

from falcon.asgi import Request

from jobx import questions
from jobx.errors import InvalidInput, quote
from jobx.instants import read_instant
from jobx.kv.requests.request_filter import CURSOR_PATTERN, MAX_CHARS, read_value
from jobx.model import RequestState, check_name, is_name

STATES: Final = typing.get_args(RequestState)
#: What the names of parameters begin with that are arguments.
ARGUMENT: Final = "arg."
MAX_NAME_CHARS: Final = 128

_CURSOR: Final = re.compile(CURSOR_PATTERN)


def question(req: Request, workflow: str, limit: int) -> questions.ListRequests:
    """Return the question for the requests that a query describes.

    Raises:
        InvalidInput: A parameter is malformed, or needs another one.
    """
    return questions.ListRequests(
        workflow=check_name("workflow", workflow),
        state=_state(req),
        job=job(req),
        since=_instant(req, "since"),
        until=_instant(req, "until"),
        error=_text(req, "error"),
        search=_search(req),
        after=_cursor(req),
        limit=limit,
    )


def job(req: Request) -> str | None:
    """Return the parameter ``job``; raises InvalidInput for what is no name."""
    name: str | None = req.get_param("job")
    if name is None or is_name(name):
        return name
    return check_name("query parameter job", name)


def _state(req: Request) -> RequestState | None:
    state: str | None = req.get_param("state")
    if state is not None and state not in STATES:
        reason = f"must be one of {', '.join(STATES)}"
        raise InvalidInput("query parameter state", quote(state), reason)
    return cast("RequestState | None", state)


def _instant(req: Request, name: str) -> str | None:
    text: str | None = req.get_param(name)
    if text is not None:
        read_instant(f"query parameter {name}", text, time.time())
    return text


def _text(req: Request, name: str) -> str | None:
    text: str | None = req.get_param(name)
    if text is not None and not 1 <= len(text) <= MAX_CHARS:
        reason = f"has 1 to {MAX_CHARS} characters"
        raise InvalidInput(f"query parameter {name}", quote(text), reason)
    return text


def _search(req: Request) -> dict[str, questions.Scalar]:
    found: dict[str, questions.Scalar] = {}
    for parameter in req.params:
        if not parameter.startswith(ARGUMENT):
            continue
        name, where = parameter.removeprefix(ARGUMENT), f"query parameter {parameter[:80]}"
        if not 1 <= len(name) <= MAX_NAME_CHARS:
            raise InvalidInput(where, quote(name), "names an argument: arg.NAME=VALUE")
        found[name] = read_value(where, req.get_param(parameter) or "")
    return found


def _cursor(req: Request) -> str | None:
    after: str | None = req.get_param("after")
    if after is not None and not _CURSOR.fullmatch(after):
        reason = "is no cursor: give `next` of the page before"
        raise InvalidInput("query parameter after", quote(after), reason)
    return after
