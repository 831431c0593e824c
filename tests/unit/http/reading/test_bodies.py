from __future__ import annotations

import asyncio
import datetime
import gzip
import time
from collections.abc import AsyncIterator
from itertools import chain
from typing import Any

import msgpack
import pytest
from falcon.testing import TestClient
from hypothesis import given
from hypothesis import strategies as st

from jobx import values
from jobx.config_sections import HttpSettings
from jobx.errors import InvalidInput
from jobx.http.app import create_app
from jobx.http.byte_budget import ByteBudget
from jobx.http.reading.bodies import ENTITY_ITEMS, _decode_msgpack, document
from jobx.http.reading.intake import INTAKE, Intake
from tests.support.fake_node import FakeNode

PATH = "/job/texts/count"
GOOD = b'{"arguments": {"text": "a"}}'
MSGPACK = {"Content-Type": "application/msgpack"}
GZIP = {"Content-Encoding": "gzip"}
#: An integer of 10,000 hexadecimal digits, which no packer of ours makes.
HUGE = b"\xc8\x27\x10\x01" + b"f" * 10_000


def nested(depth: int) -> bytes:
    return b'{"arguments": {"text": "", "n": ' + b"[" * (depth - 2) + b"]" * (depth - 2) + b"}}"


def packed_nested(depth: int, innermost: object) -> bytes:
    """Return what nests as deep as ``nested``, packed, with something in it."""
    for _ in range(depth - 2):
        innermost = [innermost]
    return values.packer()({"arguments": {"text": "", "n": innermost}})


HOSTILE = {
    "nothing": (b"", {}, 400, "is empty"),
    "not json": (b'{"arguments":\n {,}}', {}, 400, "line 2, column 3"),
    "cut off": (GOOD[:-1], {}, 400, "is not JSON"),
    "two documents": (GOOD + GOOD, {}, 400, "Extra data at line 1"),
    "not a map": (b"[1]", {}, 400, "must be a map"),
    "not utf-8": (b'{"arguments": {"text": "\xff"}}', {}, 400, "not UTF-8"),
    "byte order mark": (b"\xef\xbb\xbf" + GOOD, {}, 400, "is not JSON"),
    "half a surrogate pair": (b'{"arguments": {"text": "\\ud800"}}', {}, 400, "surrogate pair"),
    "unknown member": (b'{"colour": 1}', {}, 400, "colour"),
    "arguments not a map": (b'{"arguments": [1]}', {}, 400, "$.arguments"),
    "negative limit": (b'{"time_limit_s": -1}', {}, 400, "$.time_limit_s"),
    "name twice": (b'{"arguments": {"a": 1, "a": 2}}', {}, 400, "'a' twice"),
    "member twice": (b'{"arguments": {}, "arguments": {}}', {}, 400, "'arguments' twice"),
    "not a number": (b'{"arguments": {"n": NaN}}', {}, 400, "NaN"),
    "infinity": (b'{"arguments": {"n": -Infinity}}', {}, 400, "-Infinity"),
    "out of range": (b'{"arguments": {"n": 1e999}}', {}, 400, "1e999"),
    "out of range in a list": (b'{"arguments": {"n": ["", [1e999]]}}', {}, 400, "1e999"),
    "out of range beside a text": (b'{"arguments": {"t": "a", "n": 1e999}}', {}, 400, "1e999"),
    "out of range at the top": (b'{"arguments": {}, "time_limit_s": 1e999}', {}, 400, "1e999"),
    "long integer in a map": (
        b'{"context": {"n": {"n": ' + b"9" * 5000 + b"}}}",
        {},
        400,
        "digits",
    ),
    "long integer": (b'{"arguments": {"n": ' + b"9" * 5000 + b"}}", {}, 400, "digits"),
    "tagged not a number": (b'{"arguments": {"n": {"$float": "nan"}}}', {}, 400, "NaN"),
    "wrong tag": (b'{"arguments": {"n": {"$bytes": "!"}}}', {}, 400, "$bytes"),
    "one too deep": (nested(17), {}, 400, "deeper than 16"),
    "far too deep": (b"[" * 90_000, {}, 400, "deeper than 16"),
    "far too deep maps": (b'{"a":' * 15_000, {}, 400, "deeper than 16"),
    "too large": (b" " * 100_001, {}, 413, "100001 bytes"),
    "no type": (GOOD, {"Content-Type": ""}, 415, "Content-Type"),
    "form": (b"a=b", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "urlencoded"),
    "other charset": (GOOD, {"Content-Type": "application/json; charset=utf-16"}, 415, "utf-16"),
    "other encoding": (GOOD, {"Content-Encoding": "br"}, 415, "br"),
    "not gzip": (GOOD, GZIP, 400, "not gzip"),
    "half of gzip": (gzip.compress(GOOD)[:-4], GZIP, 400, "one whole gzip member"),
    "gzip and more": (gzip.compress(GOOD) + b"x", GZIP, 400, "one whole gzip member"),
    "gzip bomb": (gzip.compress(b" " * 50_000_000), GZIP, 413, "100000 bytes"),
    "not msgpack": (b"\xc1", MSGPACK, 400, "packed value"),
    "huge integer in json": (b'{"arguments": {"n": ' + b"1" * 4301 + b"}}", {}, 400, "4300 digits"),
    "timestamp out of range": (
        b'{"arguments": {"t": {"$timestamp": "9999-12-31T23:59:59-01:00"}}}',
        {},
        400,
        "years 1 to 9999",
    ),
    "key twice": (b"\x81\xa9arguments\x81\xa1n\x82\x01\x00\xc3\x00", MSGPACK, 400, "twice"),
    "msgpack and more": (values.pack({}) + b"\0", MSGPACK, 400, "packed value"),
    "msgpack one too deep": (packed_nested(17, 0), MSGPACK, 400, "deeper than 16"),
    "msgpack too deep": (b"\x91" * 1000 + b"\xc0", MSGPACK, 400, "deeper than 16"),
    "msgpack far too deep": (b"\x91" * 90_000, MSGPACK, 400, "packed value"),
    "msgpack lists without end": (b"\xdd\0\xff\0\0" * 9000, MSGPACK, 400, "more than it has"),
    "msgpack announces much": (b"\xdf\xff\xff\xff\xff", MSGPACK, 400, "packed value"),
    "msgpack not a number, far down": (packed_nested(16, float("nan")), MSGPACK, 400, "NaN"),
    "msgpack list as key": (b"\x81\x91\x01\x02", MSGPACK, 400, "a list cannot be a key"),
    "msgpack number as name": (values.pack({1: 2}), MSGPACK, 400, "text keys"),
    "msgpack bad decimal": (b"\xc7\x03\x02abc", MSGPACK, 400, "packed value"),
    "msgpack bad integer": (b"\xc7\x03\x01xyz", MSGPACK, 400, "packed value"),
    "msgpack unknown type": (b"\xc7\x01\x63a", MSGPACK, 400, "extension type 99"),
    "msgpack bad text": (b"\x81\xa1\xff\x01", MSGPACK, 400, "utf-8"),
    "msgpack not a number": (
        values.pack({"arguments": {"a": float("nan")}}),
        MSGPACK,
        400,
        "NaN",
    ),
    "huge integer": (
        values.pack({"arguments": {"n": 0}})[:-1] + HUGE,
        MSGPACK,
        400,
        "4300 digits",
    ),
    "huge integer in context": (
        values.pack({"context": {"n": 0}})[:-1] + HUGE,
        MSGPACK,
        400,
        "4300 digits",
    ),
    "large context": (b'{"context": {"a": "' + b"a" * 20_000 + b'"}}', {}, 413, "body.context"),
    "long key": (GOOD, {"Idempotency-Key": "k" * 256}, 400, "Idempotency-Key"),
    "empty key": (GOOD, {"Idempotency-Key": ""}, 400, "Idempotency-Key"),
    "unprintable key": (GOOD, {"Idempotency-Key": "a\tb"}, 400, "Idempotency-Key"),
    "wait not a number": (GOOD, {"Prefer": "wait=soon"}, 400, "wait=soon"),
    "malformed prefer": (GOOD, {"Prefer": "wait==1"}, 400, "Prefer"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_post_is_refused_by_name_and_starts_nothing(
    client: TestClient, node: FakeNode, name: str
) -> None:
    body, headers, status, named = HOSTILE[name]
    headers = {"Content-Type": "application/json", **headers}
    answer = client.simulate_post(PATH, body=body, headers=headers)
    assert (answer.status_code, node.calls) == (status, [])
    assert named in answer.json["detail"]
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "query", ["blocking=perhaps", "block=true", "blocking=true&blocking=false"]
)
def test_wrong_query_is_refused_by_name(client: TestClient, node: FakeNode, query: str) -> None:
    answer = client.simulate_post(PATH, body=GOOD, query_string=query)
    assert (answer.status_code, node.calls) == (400, [])
    assert "query parameter block" in answer.json["detail"]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (GOOD, {}),
        (GOOD, {"Content-Type": 'Application/JSON; charset="UTF-8"'}),
        (GOOD, {"Content-Encoding": "identity"}),
        (gzip.compress(GOOD, mtime=0), GZIP),
        (values.pack({"arguments": {"text": ""}}), MSGPACK),
        (nested(16), {}),
        (packed_nested(16, 0), MSGPACK),
        (b'{"arguments": {"text": "[[[[[[[[[[[[[[[[[[[[[[\\"]]{{{"}}', {}),
        (b'{"arguments": {"text": "", "n": [[],[],[],[],[],[],[],[],[],[],[],[],[],[],[]]}}', {}),
        (b'{"arguments": {"text": "\\ud83d\\ude00", "n": 99999999999999999999999}}', {}),
    ],
)
def test_good_body_is_accepted(client: TestClient, body: bytes, headers: dict[str, str]) -> None:
    headers = {"Content-Type": "application/json", **headers}
    assert client.simulate_post(PATH, body=body, headers=headers).status_code == 200


def test_body_without_a_type_is_refused(client: TestClient, node: FakeNode) -> None:
    answer = client.simulate_post(PATH, body=GOOD)
    assert (answer.status_code, answer.json["code"]) == (415, "unsupported-media")
    assert node.calls == []


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'{"arguments": {"text": [' + b"0," * 6000 + b"0]}}", {}),
        (b'{"arguments": {"text": [' + b"[]," * 6000 + b"0]}}", {}),
        (b'{"arguments": {"text": [' + b'"",' * 6000 + b"0]}}", {}),
        (gzip.compress(b'{"arguments": {"text": [' + b"[]," * 6000 + b"0]}}", mtime=0), GZIP),
        (values.pack({"arguments": {"text": [0] * 6000}}), MSGPACK),
    ],
)
def test_many_small_items_are_too_much(
    node: FakeNode, body: bytes, headers: dict[str, str]
) -> None:
    client = TestClient(create_app(node, HttpSettings(max_items=5000)))
    headers = {"Content-Type": "application/json", **headers}
    answer = client.simulate_post(PATH, body=body, headers=headers)
    assert (answer.status_code, node.calls) == (413, [])
    assert "at most 5000 items" in answer.json["detail"]


def test_separators_in_text_are_no_items(node: FakeNode) -> None:
    client = TestClient(create_app(node, HttpSettings(max_items=5000)))
    body = b'{"arguments": {"text": "' + b",:[{" * 20_000 + b'"}}'
    headers = {"Content-Type": "application/json"}
    assert client.simulate_post(PATH, body=body, headers=headers).status_code == 200


@pytest.mark.parametrize("text", [rb"\"", rb"\\", rb"\\\",,"])
def test_quotes_in_text_are_no_items(node: FakeNode, text: bytes) -> None:
    client = TestClient(create_app(node, HttpSettings(max_items=5000)))
    body = b'{"arguments": {"text": "' + text * 20_000 + b'"}}'
    headers = {"Content-Type": "application/json"}
    assert client.simulate_post(PATH, body=body, headers=headers).status_code == 200


def test_entity_has_few_items(client: TestClient, node: FakeNode) -> None:
    body = b'{"description": [' + b"0," * ENTITY_ITEMS + b"0]}"
    headers = {"Content-Type": "application/json"}
    answer = client.simulate_put("/workflow/texts", body=body, headers=headers)
    assert (answer.status_code, node.calls) == (413, [])


def packed(value: Any) -> bytes:
    """Pack a value, also a number that is none."""
    return values.packer()(value)


PACKED_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 70), 1 << 70)
    | st.floats()
    | st.text(max_size=3)
    | st.binary(max_size=3)
    | st.decimals(allow_nan=False, allow_infinity=False, places=2)
    | st.datetimes(timezones=st.just(datetime.UTC))
).map(lambda value: [packed(value)])


def packed_list(items: list[list[bytes]]) -> list[bytes]:
    return [msgpack.Packer().pack_array_header(len(items)), *chain.from_iterable(items)]


def packed_map(pairs: list[tuple[list[bytes], list[bytes]]]) -> list[bytes]:
    head = msgpack.Packer().pack_map_header(len(pairs))
    return [head, *chain.from_iterable(key + value for key, value in pairs)]


#: Values of which a map may have a key twice, lists as keys, and numbers that are none.
PACKED = st.recursive(
    PACKED_SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4).map(packed_list)
        | st.lists(st.tuples(inner, inner), max_size=3).map(packed_map)
    ),
    max_leaves=20,
).map(b"".join)


@given(PACKED)
def test_packed_bodies_are_judged_as_all_values_are(body: bytes) -> None:
    try:
        values.check_value(expected := values.unpack_foreign(body))
    except (InvalidInput, ValueError):
        with pytest.raises(InvalidInput):
            _decode_msgpack(body, 64)
    else:
        assert _decode_msgpack(body, 64) == expected


class LargePost:
    """What a large body is read from."""

    content_type = "application/json"
    body = b'{"text": "' + b"a" * 100_000 + b'"}'
    content_length = len(body)

    def __init__(self, budget: ByteBudget) -> None:
        self.stream = self
        nothing: Any = None  # is received through it
        self.scope = {INTAKE: Intake(nothing, budget, 10.0)}

    def get_header(self, _name: str) -> None:
        return None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self.body), 30_000):
            yield self.body[start : start + 30_000]


def test_large_bodies_are_decoded_one_after_the_other() -> None:
    budget, at_work, most = ByteBudget("bodies", 1 << 30), [0], [0]

    def take(document: dict[str, Any]) -> int:
        at_work[0] += 1
        most[0] = max(most[0], at_work[0])
        time.sleep(0.005)  # as long as others could begin
        at_work[0] -= 1
        return len(document)

    async def come() -> list[int]:
        posts: list[Any] = [LargePost(budget) for _ in range(8)]
        asked = (document(post, HttpSettings(), take) for post in posts)
        return await asyncio.gather(*asked)

    assert (asyncio.run(come()), most) == ([1] * 8, [1])
