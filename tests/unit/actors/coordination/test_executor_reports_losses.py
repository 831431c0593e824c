"""Work and blobs that are lost."""

from __future__ import annotations

from typing import Any

from jobx.actors.messages import Lost
from jobx.actors.request.branches import ROOT
from jobx.actors.request.decisions import RunMappers, RunReducer
from jobx.actors.request.events import Retried
from jobx.model import Failure
from jobx.payload import Payload
from tests.unit.actors.coordination.report_desk import ACTOR, CHUNK, LIMITS, Desk, chunk_wire
from tests.unit.actors.request.driver import inline


def _lost(blob: str) -> dict[str, Any]:
    return {"kind": "blob", "type": "BlobDamaged", "message": "gone", "input": blob}


IN_BLOB = Payload.from_wire(chunk_wire(3, "b1"))
CRASHED = Failure(kind="crash", type="ExecutorCrashed", message="gone")


def test_an_input_that_is_gone_runs_again_what_left_it(desk: Desk) -> None:
    work = desk.children(CHUNK)
    in_blob = Payload(2, 9, None, "b1").to_wire()
    desk.hear(work, "returned", 1, 2, [in_blob], True, b"", {})
    desk.hear(work, "returned", 3, 1, [inline(b"x").to_wire()], True, b"", {})
    desk.state.ready.take_reduce()
    reducer = RunReducer(0, 0, 1, 1, ())
    (event,) = desk.hear(reducer, "failed", 0, _lost("b1"), 1, {})
    assert isinstance(event, Retried)
    assert (event.kind, event.chunk, event.first, event.count) == ("map", 1, 1, 2)
    assert desk.take_all() == [1, 2]
    assert desk.state.ready.take_reduce() is None


def test_children_whose_arguments_are_gone_run_when_these_are_there_again(desk: Desk) -> None:
    work = desk.children(IN_BLOB)
    for vertex in (1, 2, 3):
        desk.hear(work, "failed", vertex, _lost("b1"), 1, {})
    assert [type(event) for event, _ in desk.journal.appended] == [Retried]
    assert desk.take_all() == [ROOT]
    desk.hear(desk.root, "mapped", 0, "s", chunk_wire(3, "b2"), "d", False, 9, {})
    assert sorted(desk.take_all()) == [1, 2, 3]


def test_a_suspended_mapper_that_must_yield_again_is_closed(desk: Desk) -> None:
    desk.hear(desk.root, "mapped", 0, "s", chunk_wire(2, "b1"), "d", True, 9, {})
    desk.take_all()
    children = RunMappers(desk.state.tree.chunks[1], 1, 2)
    desk.hear(children, "failed", 1, _lost("b1"), 1, {})
    assert desk.state.ready.discarded == [(ACTOR, 0)]
    assert desk.state.ready.suspended == {}


def test_a_blob_that_is_gone_again_and_again_ends_the_request(desk: Desk) -> None:
    work = desk.children(IN_BLOB)
    for number in range(2, 10):
        desk.hear(work, "failed", 1, _lost(f"b{number - 1}"), 1, {})
        if desk.state.failure is not None:
            break
        wire = chunk_wire(3, f"b{number}")
        desk.hear(desk.root, "mapped", 0, "s", wire, "d", False, 9, {})
    assert desk.state.failure is not None
    assert desk.state.failure.kind == "blob"


def test_a_blob_that_nobody_left_counts_against_who_needs_it(desk: Desk) -> None:
    for _ in range(LIMITS.lost_attempts):
        assert desk.state.is_running
        desk.hear(desk.root, "failed", 0, _lost("unknown"), 1, {})
    assert desk.state.failure is not None


def test_batch_that_was_lost_before_it_began_is_ready_again(desk: Desk) -> None:
    work = desk.children(CHUNK)
    desk.outcomes.lose(work, Lost(1, None, CRASHED))
    assert sorted(desk.take_all()) == [1, 2, 3]
    assert desk.journal.appended == []


def test_only_the_culprit_of_a_batch_that_was_lost_has_failed(desk: Desk) -> None:
    work = desk.children(CHUNK)
    desk.outcomes.lose(work, Lost(1, 2, CRASHED))
    (event,) = [event for event, _ in desk.journal.appended]
    assert isinstance(event, Retried)
    assert (event.first, event.count, event.failure.kind) == (2, 1, "crash")
    assert sorted(desk.take_all()) == [1, 2, 3]


def test_suspended_mapper_that_was_lost_begins_anew(desk: Desk) -> None:
    desk.hear(desk.root, "mapped", 0, "s", chunk_wire(2), "d", True, 9, {})
    desk.outcomes.lose(desk.pull(), Lost(1, None, CRASHED))
    event, _ = desk.journal.appended[-1]
    assert isinstance(event, Retried)
    assert event.failure.kind == "lost"
