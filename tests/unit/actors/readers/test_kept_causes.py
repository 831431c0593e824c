"""Why a request ended is read in parts, and kept."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from jobx import entity_json, model
from jobx.actors.readers import kept_causes
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


@pytest.fixture(autouse=True)
def _parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_causes, "_STEP", 1000)


def failed() -> MemoryStore:
    """Return a store with a request that failed after 1,500 events."""
    store = MemoryStore()
    add_failed(store, "r")
    return store


def add_failed(store: MemoryStore, request_id: str) -> None:
    request = model.Request(
        workflow_name="w", request_id=request_id, job_name="j", invocation_id="m0", accepted_at=1.0,
        state="failed", is_done=True, failure=LAST,
    )  # fmt: skip
    log: list[Event] = [Accepted(1.0, "j", "fan", "plan", NOTHING, 60.0)]
    log.append(Mapped(2.0, 0, 0, "leaf", 1, 1500, NOTHING, ""))
    log += [Done(3.0, "map", 1, vertex, 1, "reduced") for vertex in range(1001, 1501)]
    log += [Done(3.0, "map", 1, vertex, 1, "reduced") for vertex in range(8, 1000)]
    log.append(Retried(3.0, "map", 1, 7, 1, 2, 0.0, FIRST))
    writes: Any = [
        event_log.event_write("w", request_id, number, to_record(event))
        for number, event in enumerate(log)
    ]
    store.commit(
        [Put(keys.entity("request", "w", request_id), entity_json.encode(request)), *writes]
    )


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


def test_long_logs_are_read_to_their_ends_though_their_readers_take_turns() -> None:
    store, causes, names = MemoryStore(), KeptCauses(part_s=-1.0), ("r", "s", "t")
    for name in names:
        add_failed(store, name)
    asked = [ExplainRequest(workflow="w", request_id=name) for name in names]
    found = [[causes.explain(store, one) for one in asked] for _ in range(5)]
    assert [one.reading for one in found[-1]] == [None] * 3


def test_a_log_that_nobody_asks_for_any_more_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    store, causes, now = MemoryStore(), KeptCauses(part_s=-1.0), [0.0]
    monkeypatch.setattr(kept_causes, "time", SimpleNamespace(monotonic=lambda: now[0]))
    for name in ("left", "left2", "r"):
        add_failed(store, name)
    for name in ("left", "left2"):
        causes.explain(store, ExplainRequest(workflow="w", request_id=name))
    now[0] = kept_causes.WANTED_S
    found = [causes.explain(store, ASKED).reading for _ in range(3)]
    assert found[-1] is None
