"""What people type as values."""

from __future__ import annotations

import json
from typing import Any

from jobx import values
from jobx.errors import InvalidInput, quote


def parse_argument(text: str) -> tuple[str, values.Value]:
    """Return name and value of ``NAME=VALUE``.

    Raises:
        InvalidInput: There is no name.
    """
    name, equals, body = text.partition("=")
    if not name or not equals:
        raise InvalidInput("argument", repr(text), "must be NAME=VALUE")
    try:
        value = json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return name, body
    return name, values.from_jsonable(value)


def parse_context(text: str) -> dict[str, values.Value]:
    """Return the map that a request's context is.

    Raises:
        InvalidInput: The text is not a JSON map.
    """
    context = parse_json("context", text)
    if not isinstance(context, dict):
        raise InvalidInput("context", quote(text), "must be a map")
    return context


def parse_json(where: str, text: str) -> Any:
    """Return what a JSON text says, tags as they stand.

    Raises:
        InvalidInput: It is not JSON; ``where`` says whose.
    """
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(where, quote(text), f"is not JSON: {error}") from error


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is text")  # NaN and Infinity are not JSON
