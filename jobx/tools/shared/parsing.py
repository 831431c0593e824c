"""Parses values that people type."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from jobx import values
from jobx.errors import InvalidInput, quote

#: A longer text is no path.
_LONGEST_PATH: Final = 4096


def parse_arguments(option: str, texts: Iterable[str]) -> dict[str, values.Value]:
    """Return the values of a repeatable option, by name.

    Raises:
        InvalidInput: A name is repeated, or an item is not ``NAME=VALUE``.
    """
    found: dict[str, values.Value] = {}
    for text in texts:
        name, value = parse_argument(text)
        if name in found:
            reason = f"gives {name!r} twice; a list is one argument: {name}=[1,2]"
            raise InvalidInput(f"option {option}", quote(text), reason)
        found[name] = value
    return found


def parse_argument(text: str) -> tuple[str, values.Value]:
    """Return name and value of ``NAME=VALUE``; the value is JSON, or else text.

    Raises:
        InvalidInput: The name is missing, or the JSON is not a value.
    """
    name, equals, body = text.partition("=")
    if not name or not equals:
        raise InvalidInput("argument", repr(text), "must be NAME=VALUE")
    try:
        value = values.read_json(body)
    except (json.JSONDecodeError, values.NotJson):
        return name, _checked(name, body)
    except ValueError as error:
        is_deep = isinstance(error.__cause__, RecursionError)
        if is_deep and not body.rstrip().endswith(("]", "}")):
            return name, body  # so many open brackets are not JSON
        raise InvalidInput(f"argument {name}", quote(body), str(error)) from error
    return name, _checked(name, values.from_jsonable(value))


def _checked(name: str, value: values.Value) -> values.Value:
    try:
        values.check_value(value)
    except ValueError as error:
        raise InvalidInput(f"argument {name}", quote(value), str(error)) from error
    return value


def parse_context(text: str) -> dict[str, values.Value]:
    """Return the context of a request, a map.

    Raises:
        InvalidInput: The text is not a JSON map.
    """
    context = parse_json("context", text)
    if not isinstance(context, dict):
        raise InvalidInput("context", quote(text), "must be a map")
    return context


def parse_json(where: str, text: str) -> Any:
    """Return the content of a JSON text, with its tags.

    Raises:
        InvalidInput: It is not JSON; the error says ``where``.
    """
    try:
        return values.read_json(text)
    except ValueError as error:
        raise InvalidInput(where, quote(text), f"is not JSON: {error}") from error


def local_paths(arguments: Mapping[str, values.Value]) -> Iterator[str]:
    """Yield a hint for each argument that looks like a path from here.

    Handlers run elsewhere, so such a path means nothing to them, or something else.
    """
    for name, value in arguments.items():
        if not isinstance(value, str) or not value or len(value) > _LONGEST_PATH:
            continue
        if not os.path.isabs(value) and "\0" not in value and os.path.exists(value):
            whole = quote(os.path.abspath(value))
            yield f"argument {name}: handlers do not run in this folder; the whole path is {whole}"
