from __future__ import annotations

from typing import Any

import msgspec
import pytest
from falcon.testing import create_asgi_req
from hypothesis import given
from hypothesis import strategies as st

from jobx import values
from jobx.http.writing import media
from jobx.http.writing.media import JSON, MSGPACK, NDJSON, Format

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
)
PAIRS = st.lists(st.tuples(LEAVES, LEAVES | st.lists(LEAVES) | st.dictionaries(LEAVES, LEAVES)))


def written(form: Format, pairs: list[tuple[Any, Any]]) -> bytes:
    items = form.between.join(form.item(key, value) for key, value in pairs)
    return form.head(len(pairs)) + items + form.foot


def jsonable(pairs: list[tuple[Any, Any]]) -> Any:
    return [[values.to_jsonable(key), values.to_jsonable(value)] for key, value in pairs]


@given(PAIRS)
def test_json_holds_every_pair(pairs: list[tuple[Any, Any]]) -> None:
    assert msgspec.json.decode(written(JSON, pairs)) == {"result": {"pairs": jsonable(pairs)}}


@given(PAIRS)
def test_lines_hold_a_pair_each(pairs: list[tuple[Any, Any]]) -> None:
    lines = written(NDJSON, pairs).split(b"\n")[:-1]
    assert list(map(msgspec.json.decode, lines)) == jsonable(pairs)


@given(PAIRS)
def test_msgpack_holds_every_pair(pairs: list[tuple[Any, Any]]) -> None:
    expected = [[key, value] for key, value in pairs]
    assert values.unpack(written(MSGPACK, pairs)) == {"result": {"pairs": expected}}


@pytest.mark.parametrize("form", [JSON, NDJSON, MSGPACK], ids=lambda form: form.media_type)
@given(pairs=PAIRS)
def test_body_at_once_holds_what_a_stream_holds(form: Format, pairs: list[tuple[Any, Any]]) -> None:
    assert form.body(pairs) == written(form, pairs)


@pytest.mark.parametrize(
    ("accept", "small", "large"),
    [
        (None, JSON, JSON),
        ("*/*", JSON, JSON),
        ("application/json", JSON, JSON),
        ("application/json;q=0.9, application/x-ndjson;q=0.5", JSON, NDJSON),
        ("application/x-ndjson", NDJSON, NDJSON),
        ("application/msgpack", MSGPACK, MSGPACK),
        ("text/html, application/json;q=0.9, */*;q=0.1", JSON, JSON),
        ("application/msgpack;q=0.9, application/json;q=0.1", MSGPACK, MSGPACK),
    ],
)
def test_accept_header_chooses_the_format(accept: str | None, small: Format, large: Format) -> None:
    headers = {} if accept is None else {"Accept": accept}
    assert media.accepted(create_asgi_req(headers=headers)) == media.AcceptedFormats(small, large)
