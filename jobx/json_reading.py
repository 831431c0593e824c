"""Strict reading of JSON, for all foreign text, so that all readers accept the same.

The body of a POST comes here only if the faster reader of ``http/reading/json_bodies.py`` refuses
it: to say what is wrong, or to take what that reader has no form for.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any, Final

from jobx.errors import quote
from jobx.value_rules import MOST_LEVELS, TOO_DEEP, nests_far

#: Escapes of JSON that may be half a surrogate pair, which is no text; whole pairs match as well.
_HALF_PAIR: Final = re.compile(r"\\u[dD][89a-fA-F]")


class NotJson(ValueError):
    """A text contains something that parsers accept and JSON does not have, such as NaN."""


def read_json(text: str) -> Any:
    """Return the content of a strict JSON text, with its tags; only values are accepted.

    Raises:
        ValueError: It repeats a name in a map, has a number that is no value or half a surrogate
            pair, or nests too deep. A json.JSONDecodeError or NotJson: it is not JSON.
    """
    try:
        found = _JSON.decode(text)
        if text.count("[") + text.count("{") > MOST_LEVELS and nests_far(found):
            raise ValueError(TOO_DEEP)
        if _HALF_PAIR.search(text):
            json.dumps(found, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError(TOO_DEEP) from error
    except (json.JSONDecodeError, NotJson):
        raise
    except UnicodeEncodeError as error:
        raise ValueError("has text with half a surrogate pair") from error
    except ValueError as error:
        # Python's own message about too many digits names a setting of Python.
        raise ValueError(str(error).partition("; use sys.")[0]) from error
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        repeated = first_repeated(name for name, _ in pairs)
        raise ValueError(f"has the name {quote(repeated)} twice in one map")
    return fields


def first_repeated(names: Iterable[str]) -> str:
    """Return the first repeated name; empty if there is none."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return ""


def _integer(text: str) -> int:
    """Return an integer; unlike the parser's own reading this lets other threads run in between."""
    return int(text)


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"has the number {text[:80]}, which is out of range")
    return number


def _constant(name: str) -> float:
    raise NotJson(f"has {name}, which is not JSON")


#: Not msgspec: only the standard library shows repeated names, infinite numbers and the place of a
#: mistake.
_JSON: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
)
