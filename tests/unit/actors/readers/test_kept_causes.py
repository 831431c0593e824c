"""Why a request ended is read in parts, and kept."""

from __future__ import annotations

from typing import Any

from jobx import model
from jobx.actors.readers.kept_causes import KeptCauses
from jobx.actors.request.events import Accepted, Done, Event, Mapped, Retried, to_record
from jobx.kv import keys
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import event_log
from jobx.kv.store import Put
from jobx.payload import Payload
from jobx.questions import ExplainRequest
from jobx.views import ExplainView, Reading

FIRST = model.Failure(kind="memory", type="TooMuch", message="first", invocation_id="m7")
LAST = model.Failure(kind="author", type="ValueError", message="no", invocation_id="m7")
NOTHING = Payload(0, 0, inline=b"")
ASKED: Any = ExplainRequest(workflow="w", request_id="r")


def failed() -> MemoryStore:
    """Return a store with a request that failed after 1,500 events."""
    store = MemoryStore()
    request = model.Request(
        workflow_name="w", request_id="r", job_name="j", invocation_id="m0", accepted_at=1.0,
        state="failed", is_done=True, failure=LAST,
    )  # fmt: skip
    log: list[Event] = [Accepted(1.0, "j", "fan", "plan", NOTHING, 60.0)]
    log.append(Mapped(2.0, 0, 0, "leaf", 1, 1500, NOTHING, ""))
    log += [Done(3.0, "map", 1, vertex, 1, "reduced") for vertex in range(1001, 1501)]
    log += [Done(3.0, "map", 1, vertex, 1, "reduced") for vertex in range(8, 1000)]
    log.append(Retried(3.0, "map", 1, 7, 1, 2, 0.0, FIRST))
    writes: Any = [
        event_log.event_write("w", "r", number, to_record(event))
        for number, event in enumerate(log)
    ]
    store.commit([Put(keys.entity("request", "w", "r"), model.encode(request)), *writes])
    return store


def test_a_long_log_is_read_in_parts_until_the_first_cause_is_found() -> None:
    store, causes = failed(), KeptCauses(part_s=-1.0)
    found: list[ExplainView] = []
    while not found or found[-1].reading is not None:
        found.append(causes.explain(store, ASKED))
    assert [one.reading for one in found] == [
        Reading(events=1, of=1495), Reading(events=1001, of=1495), None,
    ]  # fmt: skip
    assert ["first" in one.says for one in found] == [False, False, True]


def test_the_log_of_a_request_that_has_ended_is_read_once() -> None:
    store: Any = failed()
    causes = KeptCauses(part_s=60.0)
    first = causes.explain(store, ASKED)
    store.range = None  # its log cannot be read again
    assert causes.explain(store, ASKED) == first
