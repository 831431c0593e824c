"""An event that is damaged anywhere is a damaged entry for readers, rather than a fault."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest

from jobx.actors.inspection import log_causes
from jobx.actors.inspection.folding import glance
from jobx.actors.request.events import Accepted, Done, Event, Mapped, to_record
from jobx.errors import EntryDamaged
from jobx.kv.requests import event_log
from tests.unit.actors.inspection.dumps.samples import items

EVENTS: list[Event] = [
    Accepted(1.0, "j", "fan", "plan", items(["all", 0]), 60.0),
    Mapped(2.0, 0, 0, "fan", 1, 2, items(["one", 1], ["one", 2]), "digest"),
    Done(3.0, "map", 1, 2, 1, "reduced", durations=bytes(12)),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("read", [glance.at, glance.done, log_causes._returned])
def test_damaged_event_is_told_from_a_fault(read: Callable[[bytes], object], event: Event) -> None:
    body = event_log.encode_record(to_record(event))
    for place in range(len(body)):
        for wrong in (0x00, 0x91, 0xC3, 0xFF):
            with suppress(EntryDamaged):
                read(body[:place] + bytes([wrong]) + body[place + 1 :])


def test_text_that_is_none_is_damage() -> None:
    body = event_log.encode_record(to_record(EVENTS[2])).replace(b"reduced", b"reduce\xff")
    with pytest.raises(EntryDamaged, match="it is no event"):
        glance.at(body)
