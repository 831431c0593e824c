from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx import values
from jobx.errors import Conflict, EntryDamaged, InvalidInput
from jobx.kv import keys
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import event_log
from jobx.kv.store import Delete


@pytest.fixture
def store() -> MemoryStore:
    opened = MemoryStore()
    opened.commit(
        [event_log.event_write("flow", "r1", number, {"n": number}) for number in range(600)]
    )
    opened.commit([event_log.event_write("flow", "r10", 0, {"n": "other"})])
    return opened


def test_read_yields_all_events_in_order_over_many_pages(store: MemoryStore) -> None:
    assert list(event_log.read(store, "flow", "r1")) == [(n, {"n": n}) for n in range(600)]


def test_read_goes_on_after_a_number(store: MemoryStore) -> None:
    assert [number for number, _ in event_log.read(store, "flow", "r1", after=597)] == [598, 599]


def test_read_of_a_request_without_events_yields_nothing(store: MemoryStore) -> None:
    assert list(event_log.read(store, "flow", "r2")) == []


@pytest.mark.parametrize("missing", [0, 300])
def test_read_names_the_request_and_the_event_that_is_missing(
    store: MemoryStore, missing: int
) -> None:
    store.commit([Delete(keys.event("flow", "r1", missing))])
    with pytest.raises(EntryDamaged, match=rf"{keys.event('flow', 'r1', missing)}.*missing"):
        list(event_log.read(store, "flow", "r1"))


def test_a_second_writer_of_an_event_gets_a_conflict(store: MemoryStore) -> None:
    with pytest.raises(Conflict):
        store.commit([event_log.event_write("flow", "r1", 599, {})])


def test_a_record_keeps_values_that_json_has_not() -> None:
    record = {"bytes": b"\xff", "big": 1 << 100, "none": None}
    assert event_log.decode_record(event_log.encode_record(record)) == record


@given(
    st.dictionaries(
        st.text(),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False)
        | st.text()
        | st.binary()
        | st.lists(st.integers()),
        max_size=5,
    )
)
def test_the_bytes_of_a_record_are_those_of_its_values(record: dict[str, Any]) -> None:
    assert event_log.encode_record(record) == values.pack(record)


def test_what_authors_wrote_is_kept_as_it_is() -> None:
    record = {"notes": {1: {"session": {"price": Decimal("1.50")}}}}
    assert event_log.decode_record(event_log.encode_record(record)) == record


def test_a_record_that_is_no_values_is_refused() -> None:
    with pytest.raises(InvalidInput):
        event_log.encode_record({"text": "\ud800"})
