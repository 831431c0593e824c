from __future__ import annotations

import datetime
from typing import Any

import pytest

from jobx import model, values
from jobx.actors.inspection import sessions
from jobx.actors.request.events import Accepted, Done, Event, Failed, to_record
from jobx.errors import NotFound
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import event_log, request_entity
from jobx.model import Failure
from jobx.payload import Payload, pack_offsets

NEW_YEAR = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
ITEM = values.pack([["text", "a"]])
ACCEPTED = Accepted(
    1.0, "j", "s", "digest", Payload(1, len(ITEM), ITEM, offsets=pack_offsets([len(ITEM)])), 60.0
)


def _read(*events: Event) -> list[tuple[str, dict[str, Any]]]:
    store = MemoryStore()
    request = model.Request(
        workflow_name="flow", request_id="r1", job_name="j", invocation_id="m0", accepted_at=1.0
    )
    store.commit(
        [
            *request_entity.accept_writes(request, "node"),
            *(
                event_log.event_write("flow", "r1", n, to_record(event))
                for n, event in enumerate(events)
            ),
        ]
    )
    return list(sessions.read(store, "flow", "r1"))


def _done(**notes: dict[str, Any]) -> Done:
    by_vertex = {int(name[1:]): left for name, left in notes.items()}
    return Done(2.0, "map", 0, 0, 3, "reduced", notes=by_vertex)


def test_sessions_are_those_of_mappers_that_have_one() -> None:
    done = _done(v2={"session": {"at": NEW_YEAR, "raw": b"\xff"}}, v1={"output": "printed"})
    assert _read(ACCEPTED, done) == [("m2", {"at": NEW_YEAR, "raw": b"\xff"})]


def test_session_of_a_failed_mapper_is_there_too() -> None:
    failure = Failure(kind="author", type="ValueError", message="wrong")
    notes = {0: {"session": {"seen": 1}}}
    failed = Failed(2.0, "map", 0, 0, 1, failure, notes=notes)
    assert _read(ACCEPTED, failed) == [("m0", {"seen": 1})]


def test_session_of_an_invocation_that_ran_again_comes_last() -> None:
    first, second = _done(v0={"session": {"n": 1}}), _done(v0={"session": {"n": 2}})
    assert dict(_read(ACCEPTED, first, second)) == {"m0": {"n": 2}}


def test_sessions_of_an_unknown_request_are_not_found() -> None:
    with pytest.raises(NotFound):
        next(sessions.read(MemoryStore(), "flow", "gone"))
