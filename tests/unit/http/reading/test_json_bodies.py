from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobx import values
from jobx.errors import InvalidInput, TooLarge
from jobx.http.reading.json_bodies import count_items, decode

MANY = 1 << 20


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


JSONABLE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('ab"\\[]{}', max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('[]{}"\\'), inner),
    max_leaves=20,
)


@given(JSONABLE, st.integers(0, 5))
def test_depth_is_counted_exactly(value: Any, max_depth: int) -> None:
    body = json.dumps(value).encode()
    if depth_of(value) <= max_depth:
        assert decode(body, max_depth) == value
    else:
        with pytest.raises(InvalidInput, match="nests deeper"):
            decode(body, max_depth)


@given(st.binary(max_size=50) | st.text('{}[]":,1ab\\', max_size=50).map(str.encode))
def test_any_bytes_give_a_value_or_a_named_error(body: bytes) -> None:
    try:
        values.pack(decode(body, 16))
    except InvalidInput as error:
        assert error.args[0] == "body"


#: Pieces of which texts are made that are JSON, nearly so, or not at all.
PIECES = st.sampled_from(
    [
        *'[]{}:,"-01e',
        *(" ", "\n", "\t", "\x0b", "\ufeff", "\x00", "\x7f", "\x85", "\u2028"),
        *('"a"', '"a":', '"b":1', '{"a":1,"a":2}', '{"a":1,"\\u0061":2}', '{"":1,"":2}'),
        *("null", "true", "nul", "NaN", "Infinity", "-Infinity", "-", "+1", "01", ".5", "1.", "-0"),
        *("1e999", "-1e999", "1E+400", "1e-999", "5e-324", "1.7976931348623159e308", "0.1", "-0.0"),
        *("9" * 20, "-" + "9" * 40, "9" * 4300, "9" * 4301, "1" + "0" * 400 + ".5", "2e0", "1.0e5"),
        *(
            "\\",
            "\\\\",
            '\\"',
            "\\n",
            "\\/",
            "\\x",
            "\\u00e9",
            "\\ud800",
            "\\udc00",
            "\\ud83d\\ude00",
        ),
        *("\u00e9", "\u20ac", "\U0001f600", "[" * 9, "]" * 9, '{"a":' * 9, "}" * 9),
    ]
)


def read(text: str) -> Any:
    """What the strict reader makes of a text, or the words that it refuses it with."""
    try:
        return values.read_json(text)
    except json.JSONDecodeError as error:
        return f"{error.msg} at line {error.lineno}, column {error.colno}"
    except ValueError as error:
        return str(error)


def same(one: Any, other: Any) -> bool:
    return repr(one) == repr(other)


@given(st.lists(PIECES, max_size=12).map("".join))
@example('"' + "x" * 100_000 + '"')
@example("[" + "1e999," * 3 + "1]")
@example('{"$float":"inf"}')
def test_a_body_is_read_as_any_other_json(text: str) -> None:
    expected = read(text)
    try:
        assert same(decode(text.encode(), 64), expected)
    except InvalidInput as error:
        assert isinstance(expected, str)
        assert str(error).endswith(expected) or expected in str(error)


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=20,
)


@given(JSON_VALUES, st.booleans())
def test_a_value_comes_back_as_it_was(value: Any, ascii_only: bool) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert same(decode(body, 64), value)


@pytest.mark.parametrize(
    "body", [b"\xff", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80", b"\xe2\x82"]
)
def test_what_is_no_utf_8_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput, match="is not UTF-8"):
        decode(b'{"a":"' + body + b'"}', 64)


def test_a_text_with_the_bytes_of_an_infinite_number_is_read() -> None:
    text = "".join(map(chr, range(0xC0, 0x300)))
    assert decode(json.dumps([text, 0.5]).encode(), 64) == [text, 0.5]
    assert math.isfinite(decode(b"[1.7976931348623157e308]", 64)[0])


def separators_of(value: Any) -> int:
    """How many commas, colons and opening brackets a value has outside its texts."""
    members = (
        list(value.values() if isinstance(value, dict) else value) if is_container(value) else []
    )
    own = 1 + max(len(members) - 1, 0) + (len(members) if isinstance(value, dict) else 0)
    return (own if is_container(value) else 0) + sum(map(separators_of, members))


def is_container(value: Any) -> bool:
    return isinstance(value, dict | list)


@given(JSONABLE)
def test_no_fewer_items_are_counted_than_there_are(value: Any) -> None:
    assert count_items(json.dumps(value).encode(), MANY) >= separators_of(value)


@given(JSONABLE)
def test_what_only_looks_like_an_item_in_a_text_is_not_held_against_a_body(value: Any) -> None:
    body = json.dumps(value).encode()
    most = max(separators_of(value), body.count(b'"') // 2, 1)
    assert count_items(body, most) <= max(most, 1)
    if separators_of(value) > 1:
        with pytest.raises(TooLarge):
            count_items(body, separators_of(value) - 1)
