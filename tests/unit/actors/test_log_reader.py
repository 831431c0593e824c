from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from jobx import model
from jobx.actors.log_reader import has_progressed, read_log
from jobx.actors.messages import RequestKey
from jobx.actors.request.events import Accepted, Adopted, Cancelled, to_record
from jobx.errors import EntryDamaged, InternalError, InvalidInput, NotFound
from jobx.kv import keys
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import event_log, lives, request_entity
from jobx.kv.store import Entry, Put, Write
from tests.support.payloads import EMPTY

A = RequestKey("flow", "a")
ACCEPTED = Accepted(1.0, "j", "s", "digest", EMPTY, 60.0)
REQUEST = model.Request(
    workflow_name="flow", request_id="a", job_name="j", invocation_id="m0", accepted_at=1.0
)


def accepted(store: MemoryStore, *events: Accepted | Cancelled) -> None:
    """Write a request as if it had been accepted, with these events."""
    writes: list[Write] = list(request_entity.accept_writes(REQUEST, "node"))
    for number, event in enumerate(events):
        writes.append(event_log.event_write("flow", "a", number, to_record(event)))
    store.commit(writes)


@pytest.mark.parametrize(
    "events",
    [
        (),
        (Cancelled(1.0, "why"),),
        (ACCEPTED,),
    ],
    ids=["no events", "not accepted", "no plan"],
)
def test_a_damaged_log_is_told_with_its_request_and_where_it_ends(
    events: Sequence[Accepted | Cancelled],
) -> None:
    store = MemoryStore()
    accepted(store, *events)
    answer = read_log(store, A)
    assert isinstance(answer.error, EntryDamaged)
    assert (answer.request, answer.next_number) == (REQUEST, len(events))


def test_a_store_that_fails_for_an_unknown_reason_is_no_damage_of_the_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise InternalError("a reason that nobody knows")

    store = MemoryStore()
    accepted(store, ACCEPTED)
    monkeypatch.setattr(store, "range", fail)
    answer = read_log(store, A)
    assert isinstance(answer.error, InternalError)
    assert answer.request is None  # so that the log is read again


class Adopting(MemoryStore):
    """A store in which another node adopts the request once its entity was read."""

    def get(self, key: str) -> Entry | None:
        found = super().get(key)
        if key == keys.entity("request", *A) and self.range(keys.event(*A, 1)) == []:
            adopted = replace(REQUEST, coordinator="b")
            event = event_log.event_write(*A, 1, to_record(Adopted(2.0, "b", 1)))
            self.commit([*request_entity.adopt_writes(adopted, "node", lives.Mark()), event])
        return found


@pytest.mark.parametrize("has_events", [False, True])
def test_an_entity_is_no_older_than_the_log_that_was_read_before_it(has_events: bool) -> None:
    store = Adopting()
    accepted(store, ACCEPTED)
    store.commit([Put(keys.plan("flow", "digest"), b'{"steps":{}}')])
    answer = read_log(store, A, has_events=has_events)
    assert answer.request == REQUEST
    assert answer.next_number == 1  # so that whoever goes by this entity is fenced off


def test_a_request_that_was_never_accepted_has_no_log() -> None:
    answer = read_log(MemoryStore(), A)
    assert isinstance(answer.error, NotFound)
    assert answer.request is None


def test_a_key_that_is_no_name_is_told_with_its_error() -> None:
    answer = read_log(MemoryStore(), RequestKey("flow", "../a"))
    assert isinstance(answer.error, InvalidInput)


def test_fault_while_a_log_is_read_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryStore, "get", lambda *_: 1 / 0)
    error = read_log(MemoryStore(), A).error
    assert isinstance(error, InternalError) and "ZeroDivisionError" in str(error)


@pytest.mark.parametrize(
    ("names", "events", "expected"),
    [
        (["accepted"], 1, False),
        (["accepted", "adopted", *["retried"] * 9], 1, False),
        (["accepted", "adopted", *["retried"] * 9, "mapped"], 1, True),
        (["accepted", "mapped", "done"], 3, False),
        (["accepted", "mapped", "adopted", "done"], 2, True),
    ],
)
def test_progress_is_looked_for_behind_the_mark(
    names: list[str], events: int, expected: bool
) -> None:
    store = MemoryStore()
    for number, name in enumerate(names):
        store.commit([event_log.event_write("w", "r", number, {"event": name})])
    marked = lives.OpenRequest("n", "w", "r", lives.Mark(events=events))
    assert has_progressed(store, marked) is expected
