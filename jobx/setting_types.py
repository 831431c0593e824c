"""Says in words which values a setting may have."""

from __future__ import annotations

import types
import typing
from typing import Annotated, Any, Final, Literal

import msgspec

_WORDS: Final[dict[Any, str]] = {
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
}


def described(hint: Any) -> str:
    """Return what a type of ``jobx.config`` allows, to follow "must be"."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _bounded(inner[0], inner[1:])
    if origin is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if origin is tuple:
        return f"a list; each is {described(inner[0])}"
    if origin is dict:
        return f"a table; each value is {described(inner[1])}"
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(described, inner))
    return _WORDS.get(hint, "a value")


def _bounded(kind: Any, metas: typing.Iterable[Any]) -> str:
    word = _WORDS.get(kind, "a value")
    for meta in metas:
        if isinstance(meta, msgspec.Meta):
            word = meta.description or word
            word += _bounds(meta)
    return word


def _bounds(meta: msgspec.Meta) -> str:
    least = f" of at least {meta.ge}" if meta.ge is not None else ""
    least = f" over {meta.gt}" if meta.gt is not None else least
    most = f"at most {meta.le}" if meta.le is not None else ""
    return f"{least}{' and ' if least and most else ''}{' ' if most and not least else ''}{most}"
