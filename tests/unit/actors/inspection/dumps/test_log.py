from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from msgspec.structs import asdict

from jobx.actors.inspection.dumps.log import Ended, event_of
from jobx.actors.request import events
from jobx.actors.request.events import Done, Event, known_part, to_record
from jobx.actors.request.spans import Span
from jobx.errors import EntryDamaged
from jobx.kv.requests.event_log import decode_record, encode_record
from jobx.payload import Payload
from tests.unit.actors.request.test_events import events as every_event


def fields(event: Event | None) -> dict[str, Any] | None:
    if event is None:
        return None
    found = asdict(event)
    if "payloads" in found:  # they are of another class where they are decoded in one step
        found["payloads"] = [one.to_wire() for one in found["payloads"]]
    return found


@given(event=every_event)
def test_an_event_is_what_its_map_of_plain_values_says(event: Event) -> None:
    body = encode_record(to_record(event))
    assert fields(event_of("k", body)) == fields(known_part(decode_record(body)))


DONE = Done(2.0, "map", 1, 5, 1, "reduced", durations=b"1234", span=Span(7, 2, 1))


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({}, Ended),
        ({"later": [1]}, Ended),
        ({"payloads": [Payload(1, 1, b"x").to_wire()]}, Ended),
        ({"notes": {5: {"output": "x"}}}, Done),
    ],
    ids=["plain", "of a newer version", "with what it yielded", "with notes"],
)
def test_only_an_event_without_what_its_invocations_left_is_read_in_one_step(
    more: dict[str, Any], kind: type
) -> None:
    found = event_of("k", encode_record({**to_record(DONE), **more}))
    assert type(found) is kind


@pytest.mark.parametrize("body", [b"", b"\x80", b"\xc1", encode_record({"event": "done"})])
def test_what_is_no_event_is_damaged(body: bytes) -> None:
    with pytest.raises(EntryDamaged):
        event_of("k", body)


def test_an_event_of_a_newer_version_is_none() -> None:
    assert event_of("k", encode_record({**to_record(DONE), "event": "later"})) is None
    assert events.known_part({"event": "later"}) is None
