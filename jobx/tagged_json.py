"""Converts values to JSON's types and back.

Values that JSON lacks get a tag: bytes, infinities, decimals, timestamps, maps with keys that are
not text.
"""

from __future__ import annotations

import base64
import datetime
import decimal
import math
from collections.abc import Callable
from typing import Any, Final

from jobx.errors import InvalidInput, a_kind, quote
from jobx.listed import Listed
from jobx.value_rules import (
    MAX_DECIMAL_TEXT,
    Key,
    Value,
    check_map_key,
    check_value,
    decimal_of,
    map_of_pairs,
    since_epoch,
)

_TAG_BYTES: Final = "$bytes"
_TAG_FLOAT: Final = "$float"
_TAG_DECIMAL: Final = "$decimal"
_TAG_TIMESTAMP: Final = "$timestamp"
_TAG_MAP: Final = "$map"
#: Types of values that are the same in JSON; most lists hold nothing else.
_UNTAGGED: Final = frozenset({str, int, bool, type(None)})
_TEXT: Final = frozenset({str})


def to_jsonable(value: Value) -> Any:
    """Return ``value`` in JSON's types; ``from_jsonable`` undoes it."""
    kind = type(value)
    if kind in _UNTAGGED:
        return value
    if kind is float:
        return value if math.isfinite(value) else {_TAG_FLOAT: repr(value)}
    if isinstance(value, list | tuple | Listed):
        is_plain = _UNTAGGED.issuperset(map(type, value))
        return list(value) if is_plain else [to_jsonable(item) for item in value]
    if isinstance(value, dict):
        if _is_named_by_text(value) and not _is_tag(value):
            return {
                key: item if type(item) in _UNTAGGED else to_jsonable(item)
                for key, item in value.items()
            }
        return {_TAG_MAP: [[to_jsonable(k), to_jsonable(v)] for k, v in value.items()]}
    if isinstance(value, bytes):
        return {_TAG_BYTES: base64.b64encode(value).decode()}
    if isinstance(value, decimal.Decimal):
        return {_TAG_DECIMAL: str(value)}
    if isinstance(value, datetime.datetime):
        return {_TAG_TIMESTAMP: value.isoformat()}
    return value


def from_jsonable(value: Any) -> Value:
    """Return the value that ``to_jsonable`` converted to ``value``.

    Raises:
        InvalidInput: The content of a tag is wrong.
    """
    if isinstance(value, list):
        return [from_jsonable(item) for item in value]
    if not isinstance(value, dict):
        return value
    if not _is_tag(value):
        return {key: from_jsonable(item) for key, item in value.items()}
    ((tag, body),) = value.items()
    try:
        return _FROM_TAG[tag](body)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise InvalidInput(f"JSON value tagged {tag}", quote(body), str(error)) from error


def _is_named_by_text(value: dict[Any, Any]) -> bool:
    return _TEXT.issuperset(map(type, value)) or all(isinstance(key, str) for key in value)


def _is_tag(value: dict[Any, Any]) -> bool:
    return len(value) == 1 and next(iter(value)) in _FROM_TAG


def _text(body: Any, max_characters: int = MAX_DECIMAL_TEXT) -> str:
    if not isinstance(body, str):
        raise TypeError(f"holds {a_kind(body)}, not a text")
    if len(body) > max_characters:
        raise ValueError(f"holds a text of {len(body)} characters; at most {max_characters}")
    return body


def _float_from_text(body: Any) -> float:
    number = float(_text(body))
    check_value(number)
    return number


def _timestamp_from_text(body: Any) -> datetime.datetime:
    timestamp = datetime.datetime.fromisoformat(_text(body))
    since_epoch(timestamp)
    return timestamp


def _map_from_items(items: Any) -> dict[Key, Value]:
    if not isinstance(items, list) or not all(type(item) is list for item in items):
        raise TypeError("holds no list of lists of a key and a value")
    pairs = [(check_map_key(from_jsonable(key)), from_jsonable(value)) for key, value in items]
    return map_of_pairs(pairs)


_FROM_TAG: Final[dict[str, Callable[[Any], Value]]] = {
    _TAG_BYTES: lambda body: base64.b64decode(body, validate=True),
    _TAG_FLOAT: _float_from_text,
    _TAG_DECIMAL: lambda body: decimal_of(_text(body)),
    _TAG_TIMESTAMP: _timestamp_from_text,
    _TAG_MAP: _map_from_items,
}
