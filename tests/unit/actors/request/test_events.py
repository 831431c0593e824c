from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx import values
from jobx.actors.request.events import (
    Accepted,
    Adopted,
    Cancelled,
    Done,
    Event,
    Failed,
    Finished,
    Mapped,
    Retried,
    from_record,
    known_part,
    to_record,
)
from jobx.actors.request.spans import Span
from jobx.errors import EntryDamaged, FormUnknown
from jobx.model import Failure
from jobx.payload import Payload, StageData

numbers = st.integers(0, 1 << 32)
texts = st.text(max_size=8)
payloads = st.builds(
    Payload,
    count=numbers,
    size_bytes=numbers,
    inline=st.none() | st.binary(max_size=8),
    blob=st.none() | texts,
    checksum=numbers,
    offsets=st.binary(max_size=8),
    sections=st.lists(numbers, max_size=3).map(tuple),
)
failures = st.builds(
    Failure,
    kind=texts,
    type=texts,
    message=texts,
    traceback=texts,
    invocation_id=st.none() | texts,
    input=st.none() | texts,
    attempt=numbers,
    pair=st.none() | numbers,
)
several = st.lists(payloads, max_size=3).map(tuple)
notes = st.dictionaries(numbers, st.dictionaries(texts, texts, max_size=2), max_size=2)
seconds = st.floats(allow_nan=False)
spans = st.builds(Span, numbers, numbers, numbers)
made_of = {
    "data": st.none() | st.builds(StageData, texts, st.integers(0, 1 << 40), st.integers(0, 9)),
    "span": st.none() | spans,
    "at": seconds,
    "delay_s": seconds,
    "time_limit_s": seconds,
    "failure": failures,
    "payload": payloads,
    "arguments": payloads,
    "payloads": several,
    "result": several,
    "notes": notes,
    "outcome": st.sampled_from(["reduced", "combined", "mapped"]),
    "state": st.sampled_from(["succeeded", "failed", "cancelled"]),
}
kinds = (Accepted, Mapped, Done, Retried, Failed, Cancelled, Adopted, Finished)
events = st.one_of(
    st.builds(kind, **{name: made_of[name] for name in kind.__struct_fields__ if name in made_of})
    for kind in kinds
)
FAILURE = {"kind": "author", "type": "E", "message": "m"}
FINISHED: dict[str, Any] = {"event": "finished", "at": 1.0, "state": "failed"}
DONE = to_record(Done(1.0, "map", 0, 0, 1, "reduced"))
CANCELLED: dict[str, Any] = {"event": "cancelled", "at": 1.0, "reason": "why"}


@given(events)
def test_every_event_comes_back_from_the_log_as_it_was(event: Event) -> None:
    assert from_record(values.unpack(values.pack(to_record(event)))) == event


@pytest.mark.parametrize("end", [None, Failure(kind="author", type="E", message="m")])
def test_an_end_comes_back_with_and_without_failure(end: Failure | None) -> None:
    event = Finished(1.0, "failed", end)
    assert from_record(to_record(event)) == event


def test_an_older_log_may_lack_fields_that_have_a_default() -> None:
    record = to_record(Finished(1.0, "succeeded"))
    del record["failure"], record["result"]
    assert from_record(record) == Finished(1.0, "succeeded")


def test_a_node_costs_nothing_where_it_is_that_of_the_request() -> None:
    assert "node" not in to_record(Done(1.0, "map", 0, 0, 1, "reduced"))
    assert to_record(Done(1.0, "map", 0, 0, 1, "reduced", node="b"))["node"] == "b"


def test_when_they_ran_costs_an_event_few_bytes() -> None:
    done = Done(1.0, "map", 0, 0, 1, "reduced")
    spanned = Done(1.0, "map", 0, 0, 1, "reduced", span=Span(123_456, 20_000, 20_000))
    assert len(values.pack(to_record(spanned))) <= len(values.pack(to_record(done))) + 20


def test_a_log_of_1_0_0_names_no_node() -> None:
    record = to_record(Accepted(1.0, "j", "s", "p", Payload(0, 0, b""), 60.0))
    del record["node"]
    assert from_record(record) == Accepted(1.0, "j", "s", "p", Payload(0, 0, b""), 60.0)


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"at": 1.0},
        CANCELLED | {"event": ["cancelled"]},
        CANCELLED | {"event": None},
        {"event": "cancelled", "at": 1.0},
        {"event": "finished", "at": 1.0, "state": "failed", "failure": {"kind": "author"}},
        {"event": "finished", "at": 1.0, "state": "failed", "failure": 7},
        {"event": "finished", "at": 1.0, "state": "succeeded", "result": [[1, 2]]},
        {"event": "finished", "at": 1.0, "state": "succeeded", "result": 5},
        DONE | {"span": [7]},
        DONE | {"span": ["x", 1, 1]},
    ],
)
def test_what_is_no_event_is_damage_of_the_log(record: dict[Any, Any]) -> None:
    with pytest.raises(EntryDamaged) as raised:
        from_record(record)
    assert type(raised.value) is EntryDamaged


@pytest.mark.parametrize(
    ("record", "part"),
    [
        (CANCELLED | {"event": "parked"}, "'parked'"),
        (CANCELLED | {"more": 1}, "more"),
        (FINISHED | {"state": "parked"}, "'parked'"),
        (FINISHED | {"failure": {**FAILURE, "host": "b"}}, "failure.host"),
        (FINISHED | {"result": [[1, 1, b"", None, 0, b"", [], b"", 1, "lz4"]]}, "result"),
        (to_record(Done(1.0, "map", 0, 0, 1, "reduced")) | {"outcome": "folded"}, "'folded'"),
        (to_record(Done(1.0, "map", 0, 0, 1, "reduced")) | {"kind": "filter"}, "'filter'"),
    ],
)
def test_what_a_newer_version_wrote_is_no_damage(record: dict[str, Any], part: str) -> None:
    with pytest.raises(FormUnknown, match=re.escape(part)):
        from_record(record)


@given(events, st.dictionaries(st.text(max_size=4).map("new {}".format), st.none(), min_size=1))
def test_what_is_known_of_an_event_is_read(event: Event, more: dict[str, Any]) -> None:
    assert known_part(to_record(event) | more) == event


def test_what_is_known_of_a_failure_is_read() -> None:
    record = FINISHED | {"failure": {**FAILURE, "host": "b"}}
    assert known_part(record) == Finished(1.0, "failed", Failure(**FAILURE))


def test_nothing_is_known_of_an_event_of_a_newer_version() -> None:
    assert known_part(CANCELLED | {"event": "parked"}) is None


def test_reading_a_record_leaves_it_as_it_was() -> None:
    record = dict(CANCELLED)
    from_record(record)
    assert record == CANCELLED
