"""JSON as all that is foreign is read: strictly, so that what one reader takes no other refuses."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any, Final

from jobx.errors import quote
from jobx.value_rules import MAX_DEPTH

#: What JSON may write that is no text: half a surrogate pair. Whole pairs are looked at as well.
_HALF_PAIR: Final = re.compile(r"\\u[dD][89a-fA-F]")


class NotJson(ValueError):
    """A text has what readers of JSON take and JSON has not, such as NaN."""


def read_json(text: str) -> Any:
    """Return what a JSON text says, tags as they stand: no more than JSON has, and only values.

    Raises:
        ValueError: It has a name twice in one map, a number that is no value, half a surrogate
            pair, or nests too deep; a json.JSONDecodeError or NotJson: it is not JSON.
    """
    try:
        found = _JSON.decode(text)
        if _HALF_PAIR.search(text):
            json.dumps(found, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError(f"lists and maps nest deeper than {MAX_DEPTH}") from error
    except (json.JSONDecodeError, NotJson):
        raise
    except UnicodeEncodeError as error:
        raise ValueError("has text with half a surrogate pair") from error
    except ValueError as error:
        # Python says of too many digits what a program could set.
        raise ValueError(str(error).partition("; use sys.")[0]) from error
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        repeated = first_repeated(name for name, _ in pairs)
        raise ValueError(f"has the name {quote(repeated)} twice in one map")
    return fields


def first_repeated(names: Iterable[str]) -> str:
    """Return the first name that stands twice; empty if none does."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return ""


def _integer(text: str) -> int:
    """Return an integer; unlike the parser's own reading this lets others work between two."""
    return int(text)


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"has the number {text[:80]}, which is out of range")
    return number


def _constant(name: str) -> float:
    raise NotJson(f"has {name}, which is not JSON")


#: Not msgspec: only the standard library lets repeated names, infinite numbers and the place of a
#: mistake be seen.
_JSON: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
)
