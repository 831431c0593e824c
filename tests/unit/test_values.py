from __future__ import annotations

import datetime
import decimal
import enum
import json
import math
import random
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx import values
from jobx.errors import InvalidInput

UTC = datetime.UTC
AWARE = datetime.datetime(2024, 2, 29, 12, 30, 15, 250, tzinfo=UTC)
NAIVE = AWARE.replace(tzinfo=None)

decimals = st.decimals(allow_nan=False, allow_infinity=False)
timestamps = st.datetimes(timezones=st.just(UTC))
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(1 << 200), 1 << 200),
    st.floats(allow_nan=False),
    st.text(max_size=8),
    st.binary(max_size=8),
    decimals,
    timestamps,
)
keys = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=5)
some_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(scalars, inner, max_size=3),
    max_leaves=10,
)
#: Equal numbers of different types, and what is only nearly the same.
lookalikes = st.sampled_from(
    [
        *(0, 0.0, -0.0, False, 1, 1.0, True, decimal.Decimal(1), decimal.Decimal("1.0")),
        *("1", b"1", (1,), (1.0,), (True,), ("1",), None, "", b"", ()),
        *(1 << 70, float(1 << 70), 0.1, decimal.Decimal("0.1"), math.inf, -math.inf),
        *(AWARE, AWARE.astimezone(datetime.timezone(datetime.timedelta(hours=5)))),
    ]
)
some_keys = keys | lookalikes


def _nested(depth: int, wrap: Callable[[Any], Any]) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = wrap(value)
    return value


def _same(left: Any, right: Any) -> bool:
    """Whether values are equal with their types all the way down."""
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(_same, left, right))
    if isinstance(left, dict):
        return _same(list(map(list, left.items())), list(map(list, right.items())))
    return bool(left == right)


@given(some_values)
def test_a_value_comes_back_from_its_bytes_with_its_types(value: Any) -> None:
    values.check_value(value)
    assert _same(values.unpack(values.pack(value)), value)


@given(some_keys)
def test_a_key_comes_back_from_its_bytes_as_the_same_key(key: Any) -> None:
    assert values.check_key(key) == key
    back = values.freeze(values.unpack(values.pack(key)))
    assert values.key_identity(back) == values.key_identity(key)


@given(st.dictionaries(st.text(max_size=4), some_values | st.lists(st.none(), max_size=20)))
def test_an_outline_is_the_pairs_without_what_is_in_their_lists_and_maps(
    pairs: dict[str, Any],
) -> None:
    emptied = {
        name: type(value)() if isinstance(value, list | dict) else value
        for name, value in pairs.items()
    }
    assert _same(values.outline(values.pack([list(pair) for pair in pairs.items()])), emptied)


@pytest.mark.parametrize("body", [b"", b"\x91", b"\x91\x92\x01", b"\x91\x93\x01\x02\x03", b"\x05"])
def test_bytes_that_are_no_pairs_have_no_outline(body: bytes) -> None:
    with pytest.raises(InvalidInput, match=f"{len(body)} bytes"):
        values.outline(body)


@given(st.lists(some_values, max_size=4))
def test_values_that_follow_each_other_are_read_one_by_one(several: list[Any]) -> None:
    pack, reader = values.packer(), values.unpacker()
    reader.feed(b"".join(map(pack, several)))
    assert _same(list(reader), several)


@pytest.mark.interpreted  # compiled, it has no frames that can be traced
def test_many_unpackers_that_read_little_hold_little() -> None:
    tracemalloc.start()
    try:
        kept = [values.unpacker() for _ in range(100)]
        own = tracemalloc.Filter(inclusive=True, filename_pattern=values.__file__)
        traces = tracemalloc.take_snapshot().filter_traces([own]).traces
    finally:
        tracemalloc.stop()
    assert 0 < sum(trace.size for trace in traces) < len(kept) * (64 << 10)


@pytest.mark.parametrize(
    "value",
    [
        {1, 2},
        object(),
        NAIVE,
        "\ud800",
        1j,
        range(3),
        _nested(3000, lambda inner: [inner]),
        {"number": 1 << 70_000, "no value": object()},
    ],
    ids=["set", "object", "naive", "surrogate", "complex", "range", "deep", "huge"],
)
def test_what_has_no_bytes_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput):
        values.pack(value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\x01\x02",
        b"\xa5abc",
        b"\xa1\xff",
        b"\xd4\x07\x00",
        b"\xd4\x01z",
        b"\xd4\x02z",
        b"\xc7\x0c\xff" + b"\xff" * 12,
        b"\x91" * 3000 + b"\x01",
    ],
    ids=[
        "nothing",
        "no code",
        "two",
        "cut",
        "no text",
        "extension",
        "integer",
        "decimal",
        "timestamp",
        "deep",
    ],
)
def test_bytes_of_no_value_are_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        values.unpack(body)


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        decimal.Decimal("NaN"),
        decimal.Decimal("Infinity"),
        NAIVE,
        "\ud800",
        {1, 2},
        frozenset(),
        object(),
        bytearray(b"x"),
        1j,
        datetime.date(2024, 1, 1),
        _nested(values.MAX_DEPTH + 1, lambda inner: [inner]),
        _nested(values.MAX_DEPTH + 1, lambda inner: {"k": inner}),
        _nested(5000, lambda inner: [inner]),
        {(1, 2): 3},
        {math.nan: 1},
        {NAIVE: 1},
        [[math.nan]],
        {"k": [{"k": {1}}]},
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_a_value_is_refused(value: object) -> None:
    with pytest.raises(ValueError):
        values.check_value(value)


@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: {"k": inner}])
def test_a_value_may_nest_as_deep_as_the_limit(wrap: Callable[[Any], Any]) -> None:
    values.check_value(_nested(values.MAX_DEPTH, wrap))


@pytest.mark.parametrize(
    "key",
    [
        {},
        {"a": 1},
        [{}],
        [[1, {2}]],
        math.nan,
        [math.nan],
        NAIVE,
        "\ud800",
        object(),
        _nested(values.MAX_DEPTH + 1, lambda inner: [inner]),
        _nested(5000, lambda inner: [inner]),
    ],
    ids=lambda key: type(key).__name__,
)
def test_what_is_not_a_key_is_refused(key: object) -> None:
    with pytest.raises(ValueError):
        values.check_key(key)


def test_lists_in_a_key_become_tuples_all_the_way_down() -> None:
    assert values.check_key([1, ["a", []]]) == (1, ("a", ()))
    assert values.freeze([1, ["a", []]]) == (1, ("a", ()))


@given(some_keys, some_keys)
def test_two_keys_are_the_same_when_neither_stands_before_the_other(left: Any, right: Any) -> None:
    one, other = values.sort_key(left), values.sort_key(right)
    assert (one < other) + (one > other) + (one == other) == 1
    is_same = values.key_identity(left) == values.key_identity(right)
    assert (one == other) == is_same


@given(some_keys, some_keys, some_keys)
def test_the_order_of_keys_is_transitive(a: Any, b: Any, c: Any) -> None:
    first, second, third = sorted(map(values.sort_key, (a, b, c)))
    assert first <= second <= third
    assert first <= third


@given(st.lists(some_keys, max_size=6) | st.lists(st.integers()) | st.lists(st.text()))
def test_sorting_does_not_depend_on_the_order_before(listed: list[Any]) -> None:
    shuffled = random.Random(1).sample(listed, len(listed))
    left, right = values.sort_keys(listed), values.sort_keys(shuffled)
    assert [values.key_identity(k) for k in left] == [values.key_identity(k) for k in right]


def test_keys_stand_in_the_order_of_their_types() -> None:
    ordered = [None, False, True, -1, 0.5, decimal.Decimal("0.7"), 1, "", "Z", "a", "ä", b"", b"a"]
    ordered += [(), (None,), (1, "a"), (1, b"a"), ("a",), AWARE]
    shuffled = random.Random(2).sample(ordered, len(ordered))
    assert values.sort_keys(shuffled) == ordered


def test_equal_numbers_are_one_key_and_true_is_another() -> None:
    same = [1, 1.0, decimal.Decimal(1), decimal.Decimal("1.00")]
    assert len({values.key_identity(key) for key in same}) == 1
    assert len({values.key_identity((key, "x")) for key in same}) == 1
    assert values.key_identity(True) != values.key_identity(1)
    assert values.key_identity((True,)) != values.key_identity((1,))


class _Text(str):
    __slots__ = ()


class _Color(enum.IntEnum):
    RED = 1


@pytest.mark.parametrize(("value", "plain"), [(_Text("a"), "a"), (_Color.RED, 1)])
def test_a_kind_of_text_or_number_stands_where_the_plain_one_does(value: Any, plain: Any) -> None:
    values.check_value(value)
    assert values.sort_key(value) == values.sort_key(plain)
    assert values.key_identity(value) == values.key_identity(plain)
    assert values.unpack(values.pack(value)) == plain


@given(some_keys, some_keys, st.integers(1, 64))
def test_the_same_key_is_in_the_same_partition(left: Any, right: Any, partitions: int) -> None:
    place = values.partition_of(left, partitions)
    assert 0 <= place < partitions
    if values.key_identity(left) == values.key_identity(right):
        assert place == values.partition_of(right, partitions)


@pytest.mark.parametrize(
    ("key", "partition"),
    [("a", 907), (b"a", 673), (1, 435), (None, 21), (True, 303), (("a", 1), 356)],
)
def test_the_partition_of_a_key_never_changes(key: Any, partition: int) -> None:
    assert values.partition_of(key, 1000) == partition


def test_keys_spread_over_all_partitions() -> None:
    places = [values.partition_of(f"key {n}", 8) for n in range(800)]
    assert all(50 < places.count(place) < 150 for place in range(8))


@given(some_values)
def test_a_value_comes_back_from_json_with_its_types(value: Any) -> None:
    text = json.dumps(values.to_jsonable(value), allow_nan=False)
    assert _same(values.from_jsonable(json.loads(text)), value)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"\xff", {"$bytes": "/w=="}),
        (math.inf, {"$float": "inf"}),
        (decimal.Decimal("1.50"), {"$decimal": "1.50"}),
        (AWARE, {"$timestamp": "2024-02-29T12:30:15.000250+00:00"}),
        ({1: "a"}, {"$map": [[1, "a"]]}),
        ({"$bytes": "text"}, {"$map": [["$bytes", "text"]]}),
        ({"$bytes": "a", "b": 1}, {"$bytes": "a", "b": 1}),
        ((1, (2,)), [1, [2]]),
        ({"plain": [1, 2.5, None, True]}, {"plain": [1, 2.5, None, True]}),
    ],
)
def test_what_json_has_not_gets_a_tag(value: Any, shown: Any) -> None:
    assert values.to_jsonable(value) == shown


@pytest.mark.parametrize(
    "tagged",
    [
        {"$bytes": "no base 64"},
        {"$bytes": 7},
        {"$float": "much"},
        {"$float": "nan"},
        {"$float": 10**400},
        {"$decimal": "much"},
        {"$decimal": "NaN"},
        {"$decimal": {}},
        {"$timestamp": "today"},
        {"$timestamp": "2024-01-01T00:00:00"},
        {"$timestamp": 7},
        {"$map": 7},
        {"$map": [[1]]},
        {"$map": [[{}, 1]]},
        {"$map": [[{"$bytes": "?"}, 1]]},
    ],
    ids=str,
)
def test_a_tag_that_holds_what_it_should_not_is_refused(tagged: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=r"tagged \$"):
        values.from_jsonable([{"inside": tagged}])


def test_what_is_no_value_is_left_for_the_encoder_to_refuse() -> None:
    thing = object()
    assert values.to_jsonable(thing) is thing


@given(st.lists(st.text(max_size=2), min_size=1), st.data())
def test_first_repeated_name_is_found(names: list[str], data: st.DataObject) -> None:
    names = list(dict.fromkeys(names))
    repeated = data.draw(st.sampled_from(names))
    assert values.first_repeated([*names, repeated, *names]) == repeated
    assert values.first_repeated(names) == ""


@pytest.mark.parametrize("levels", [257, 900, 5000, 50_000])
def test_json_that_nests_far_is_refused_alike_on_each_python(levels: int) -> None:
    with pytest.raises(ValueError, match="nest deeper than 64"):
        values.read_json("[" * levels + "]" * levels)


def test_a_value_of_the_deepest_tagged_maps_is_read() -> None:
    value: Any = 1
    for _ in range(values.MAX_DEPTH):
        value = {1: value}
    text = json.dumps(values.to_jsonable(value))
    assert values.from_jsonable(values.read_json(text)) == value


def test_packed_bytes_that_nest_too_deep_are_refused_with_a_reason() -> None:
    with pytest.raises(InvalidInput, match="lists and maps nest deeper than 64"):
        values.unpack(b"\x91" * 3000 + b"\x01")
