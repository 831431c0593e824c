"""One definition of a value: what pack takes unpack gives, and JSON says the same."""

from __future__ import annotations

import datetime
import decimal
import json
from typing import Any

import msgpack
import pytest

from jobx import values
from jobx.errors import InvalidInput

UTC = datetime.UTC
EAST = datetime.timezone(datetime.timedelta(hours=14))
WEST = datetime.timezone(datetime.timedelta(hours=-12))
MOST = 10**values.MAX_DIGITS - 1


class _Nowhere(datetime.tzinfo):
    """A time zone that does not say where it is."""

    def utcoffset(self, _: datetime.datetime | None) -> None:
        return None


AT_THE_EDGE = {
    "first": datetime.datetime(1, 1, 1, tzinfo=UTC),
    "last": datetime.datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    "first by another clock": datetime.datetime(1, 1, 1, 14, tzinfo=EAST),
    "most": MOST,
    "least": -MOST,
    "18446744073709551615": (1 << 64) - 1,
    "one more": 1 << 64,
    "negative beyond 64 bits": -(1 << 63) - 1,
    "longest decimal": decimal.Decimal("9" * values.MAX_DIGITS),
    "large decimal": decimal.Decimal("1E+1000000"),
    "tiny decimal": decimal.Decimal("-1.5E-1000000"),
    "minus zero": decimal.Decimal("-0.000"),
}
BEYOND: dict[str, Any] = {
    "before year 1": datetime.datetime(1, 1, 1, tzinfo=EAST),
    "after year 9999": datetime.datetime(9999, 12, 31, 23, tzinfo=WEST),
    "time zone that says nothing": datetime.datetime(2024, 1, 1, tzinfo=_Nowhere()),
    "integer": MOST + 1,
    "negative integer": -MOST - 1,
    "huge integer": 1 << 5_000_000,
    "decimal": decimal.Decimal("9" * (values.MAX_DIGITS + 1)),
    "decimal infinity": decimal.Decimal("-Infinity"),
    "extension type": msgpack.ExtType(5, b"x"),
    "half of a surrogate pair": "\udfff",
}


@pytest.mark.parametrize("value", AT_THE_EDGE.values(), ids=AT_THE_EDGE)
@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: [v], lambda v: {v: v}])
def test_what_is_just_a_value_comes_back_from_bytes_and_from_json(value: Any, wrap: Any) -> None:
    value = wrap(value)
    values.check_value(value)
    assert values.unpack(values.pack(value)) == value
    assert values.unpack_foreign(values.pack(value)) == value
    assert values.from_jsonable(json.loads(json.dumps(values.to_jsonable(value)))) == value


@pytest.mark.parametrize("value", BEYOND.values(), ids=BEYOND)
@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: [v], lambda v: {"k": v}])
def test_what_is_just_no_value_is_refused_by_its_rule(value: Any, wrap: Any) -> None:
    with pytest.raises(ValueError):
        values.check_value(wrap(value))


@pytest.mark.parametrize("name", sorted(set(BEYOND) - {"decimal infinity", "extension type"}))
def test_what_is_just_no_value_is_not_packed(name: str) -> None:
    with pytest.raises(InvalidInput):
        values.pack([BEYOND[name]])


@pytest.mark.parametrize(
    "body",
    [
        msgpack.packb(msgpack.ExtType(1, b"%x" % (MOST + 1))),
        msgpack.packb(msgpack.ExtType(1, b"1" * 8_000_000)),
        msgpack.packb(msgpack.ExtType(2, b"9" * (values.MAX_DIGITS + 1))),
        msgpack.packb(msgpack.ExtType(2, b"NaN")),
        msgpack.packb(msgpack.ExtType(5, b"x")),
        msgpack.packb(msgpack.Timestamp(253402300800)),
        msgpack.packb(msgpack.Timestamp(-62135596801)),
    ],
    ids=["integer", "huge integer", "decimal", "no number", "extension", "late", "early"],
)
def test_bytes_of_what_is_just_no_value_are_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        values.unpack(body)


@pytest.mark.parametrize(
    "tagged",
    [
        {"$timestamp": "0001-01-01T00:00:00+14:00"},
        {"$decimal": "9" * (values.MAX_DIGITS + 1)},
        {"$decimal": [0, [1], 2]},
        {"$decimal": 5},
        {"$float": True},
        {"$float": "1" * 100_000},
        {"$map": {"ab": 1}},
        {"$map": ["ab"]},
        {"$map": [[[1], 2]]},
        {"$map": [[1, "a"], [True, "b"]]},
        {"$map": [[1, "a"], [1.0, "b"]]},
    ],
    ids=lambda tagged: str(tagged)[:40],
)
def test_a_tag_is_never_taken_for_something_else(tagged: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=r"tagged \$"):
        values.from_jsonable(tagged)


def test_a_map_that_has_a_key_twice_is_refused_where_it_comes_from_outside() -> None:
    with pytest.raises(InvalidInput, match="twice"):
        values.unpack_foreign(b"\x82\x01\x01\xc3\x02")


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x91\xc1", b"\x91", b"\xd9\x01\xff", b"\x01\x02"])
def test_bytes_that_are_not_msgpack_are_refused_with_a_reason(body: bytes) -> None:
    with pytest.raises(InvalidInput) as refused:
        values.unpack_foreign(body)
    assert not str(refused.value).startswith("packed value:  (got")


def test_deeper_than_can_be_unpacked_is_not_packed() -> None:
    packed = 0
    nested: Any = 1
    for _ in range(1500):
        nested = [nested]
        try:
            body = values.pack(nested)
        except InvalidInput:
            break
        values.unpack(body)
        packed += 1
    assert packed >= 2 * values.MAX_DEPTH
