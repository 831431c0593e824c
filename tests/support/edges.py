"""Values at the edges of what a value may be, and what is just beyond them."""

from __future__ import annotations

import datetime
import decimal
import math
from typing import Any

from hypothesis import strategies as st

from jobx.value_rules import BEYOND, MAX_DEPTH, MAX_DIGITS

UTC = datetime.UTC


def _zone(hours: int) -> datetime.timezone:
    return datetime.timezone(datetime.timedelta(hours=hours))


def nested(depth: int, *, maps: bool = False, inner: Any = 1) -> Any:
    """Return ``inner`` below so many lists or maps."""
    value = inner
    for _ in range(depth):
        value = {"k": value} if maps else [value]
    return value


INTEGERS = [0, 1, -1, 2**31, 2**53 - 1, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64]
INTEGERS += [-(2**31) - 1, -(2**53) - 1, -(2**63), -(2**63) - 1, BEYOND - 1, 1 - BEYOND]
FLOATS = [0.0, -0.0, 1.0, 0.1, 1e22, 2.0**53, 5e-324, 1.7976931348623157e308, math.inf, -math.inf]
TEXTS = ["", "\0", "a\0b", "\t\n\r\\", "é", "\U0010ffff", "\ud7ff\ue000", "\u2028", "map x", "NaN"]
TEXTS += ["$bytes", "$map", "1", "007", "-0", "x" * 70_000]
BYTES = [b"", b"\0\xff", b"text", bytes(range(256)) * 300]
DECIMALS = [
    decimal.Decimal(text)
    for text in ("0", "-0", "1.10", "1E+999999", "1E-999999", "9" * MAX_DIGITS, "0." + "1" * 4000)
]
TIMESTAMPS = [
    datetime.datetime(1, 1, 1, tzinfo=UTC),
    datetime.datetime(1, 1, 1, 2, tzinfo=_zone(2)),
    datetime.datetime(1, 1, 1, tzinfo=_zone(-23)),
    datetime.datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime.datetime(2024, 2, 29, 12, 30, 15, 250, tzinfo=_zone(5)),
    datetime.datetime.max.replace(tzinfo=UTC),
    datetime.datetime(9999, 12, 31, 22, tzinfo=_zone(-1)),
]
SCALARS = [None, True, False, *INTEGERS, *FLOATS, *TEXTS, *BYTES, *DECIMALS, *TIMESTAMPS]
MAPS: list[dict[Any, Any]] = [
    {},
    {"": ""},
    {1: "a", "1": "b", b"1": "c"},
    {True: 1, 0: 2, None: 3, -1.5: 4},
    {"$bytes": "text"},
    {"$map": [[1, 2]]},
    {"$bytes": "a", "b": 1},
    {"__proto__": 1, "constructor": 2},
    {TIMESTAMPS[0]: 1, TIMESTAMPS[5]: 2, DECIMALS[2]: 3, 2**64: 4, -math.inf: 5},
    {n: n for n in range(1000)},
    {f"k{n}": [n] for n in range(1000)},
    {n / 7: None for n in range(1, 300)},
]
LISTS: list[list[Any]] = [[], [[]], [{}], [None] * 3000, [True, 1, 1.0], [b"", "", [], {}]]
#: Values, one of each kind of edge.
VALUES = [*SCALARS, *MAPS, *LISTS]
#: What stands just beyond, by name.
NO_VALUES: dict[str, Any] = {
    "integer": BEYOND,
    "negative integer": -BEYOND,
    "not a number": math.nan,
    "decimal": decimal.Decimal("9" * (MAX_DIGITS + 1)),
    "infinite decimal": decimal.Decimal("Infinity"),
    "decimal that is no number": decimal.Decimal("NaN"),
    "half a surrogate pair": "\ud800",
    "half a pair in a key": {"\udfff": 1},
    "no time zone": datetime.datetime(2024, 1, 1),  # noqa: DTZ001 - that is the point
    "year 0": datetime.datetime(1, 1, 1, tzinfo=_zone(2)),
    "year 10000": datetime.datetime(9999, 12, 31, 23, tzinfo=_zone(-2)),
    "deep": nested(MAX_DEPTH + 1),
    "a list as a key": {(1, 2): 3},
    "a set": {1},
}

_scalars = st.one_of(
    st.sampled_from([one for one in SCALARS if not isinstance(one, str | bytes) or len(one) < 99]),
    st.integers(),
    st.integers(-(1 << 200), 1 << 200),
    st.floats(allow_nan=False),
    st.text(max_size=8),
    st.binary(max_size=8),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.datetimes(timezones=st.sampled_from([UTC])),
)
some_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_scalars, inner, max_size=3),
    max_leaves=8,
)
#: Keys of pairs: as values, and lists of them.
some_keys = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=4
)


def same(left: Any, right: Any) -> bool:
    """Tell whether values are equal with their types and order, all the way down."""
    if isinstance(left, float) and isinstance(right, float):
        return repr(left) == repr(right)
    if type(left) is not type(right):
        return False
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        pairs = zip(left.items(), right.items(), strict=False)
        return len(left) == len(right) and all(
            (same(mine, yours) or mine == yours == 0) and same(value, other)
            for (mine, value), (yours, other) in pairs  # a Map of JavaScript has one zero
        )
    if isinstance(left, decimal.Decimal):
        return str(left) == str(right)
    return bool(left == right)
