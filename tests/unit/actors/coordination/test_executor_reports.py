"""Segments of reports become events."""

from __future__ import annotations

import array
from typing import Any

import pytest

from jobx.actors.coordination.executor_reports import first_vertex
from jobx.actors.request.branches import ROOT
from jobx.actors.request.decisions import PullMapper, RunMappers, RunReducer
from jobx.actors.request.events import Done, Mapped
from jobx.payload import Payload
from tests.support.payloads import EMPTY
from tests.unit.actors.coordination.report_desk import (
    ACTOR,
    CHUNK,
    Desk,
    again,
    chunk_wire,
    failed_fields,
)
from tests.unit.actors.request.driver import done, inline


@pytest.mark.parametrize(("is_reduced", "outcome"), [(True, "reduced"), (False, "combined")])
def test_returned_data_becomes_one_event(desk: Desk, is_reduced: bool, outcome: str) -> None:
    durations = array.array("I", [1, 2, 3]).tobytes()
    wire = inline(b"x").to_wire()
    notes = {0: {"output": "o"}}
    (event,) = desk.hear(desk.root, "returned", 0, 1, [wire], is_reduced, durations, notes)
    payloads = (inline(b"x"),)
    assert event == Done(5.0, "map", 0, 0, 1, outcome, payloads, durations=durations, notes=notes)


def test_the_pace_of_a_step_is_what_its_batches_took(desk: Desk) -> None:
    durations = array.array("I", [20_000, 0, 0]).tobytes()
    desk.hear(desk.root, "returned", 0, 1, [], True, durations, {})
    assert desk.pace.batch("s") == 50


def test_a_mapper_with_more_to_yield_is_kept_and_will_be_asked(desk: Desk) -> None:
    (event,) = desk.hear(desk.root, "mapped", 0, "s", chunk_wire(2), "d", True, 9, {})
    payload = Payload.from_wire(chunk_wire(2))
    assert event == Mapped(5.0, 0, 0, "s", 1, 2, payload, "d")
    assert desk.state.ready.suspended == {0: ACTOR}


def test_the_last_chunk_of_a_mapper_ends_it(desk: Desk) -> None:
    desk.hear(desk.root, "mapped", 0, "s", chunk_wire(2), "d", True, 9, {})
    events = desk.hear(desk.pull(), "mapped", 0, "s", chunk_wire(1), "e", False, 9, {0: {}})
    assert [type(event) for event in events] == [Mapped, Done]
    assert desk.state.ready.suspended == {}


def test_a_mapper_without_children_is_just_done(desk: Desk) -> None:
    (event,) = desk.hear(desk.root, "mapped", 0, "s", EMPTY.to_wire(), "", False, 1 << 40, {})
    assert isinstance(event, Done)
    assert event.durations == b"\xff" * 4


def test_a_reduction_becomes_one_event(desk: Desk) -> None:
    desk.hear(desk.root, "mapped", 0, "s", EMPTY.to_wire(), "", False, 1, {})
    work = RunReducer(0, 0, 1, 1, ())
    (event,) = desk.hear(work, "reduced", 0, 0, [inline(b"r").to_wire()], 7, {})
    assert event == Done(
        5.0, "reduce", 0, 0, 1, "reduced", (inline(b"r"),), 0, array.array("I", [7]).tobytes()
    )


@pytest.mark.parametrize(
    "segment",
    [
        ("returned", 1, 3, [], True, b"", {}),
        ("mapped", 1, "s", chunk_wire(2), "d", False, 1, {}),
        ("failed", 1, failed_fields("author"), 1, {}),
        ("unstarted", 1, 3),
    ],
    ids=lambda segment: segment[0],
)
def test_answers_of_siblings_that_were_dropped_change_nothing(
    desk: Desk, segment: tuple[Any, ...]
) -> None:
    work = desk.children(CHUNK)
    desk.state.apply(again(ROOT))
    desk.state.apply(done(ROOT, ROOT, body=b"x"))
    assert desk.hear(work, *segment) == []
    assert desk.take_all() == [ROOT]


def test_a_mapper_of_an_older_attempt_is_closed_and_its_chunk_is_not_taken(desk: Desk) -> None:
    desk.hear(desk.root, "mapped", 0, "s", chunk_wire(2), "d", True, 9, {})
    stale = desk.pull()
    desk.state.apply(again(ROOT))
    assert desk.hear(stale, "mapped", 0, "s", chunk_wire(2), "e", True, 9, {}) == []
    assert desk.state.ready.discarded == [(ACTOR, 0)]
    assert desk.hear(stale, "mapped", 0, "s", chunk_wire(2), "e", False, 9, {}) == []


def test_a_reduction_of_an_older_input_changes_nothing(desk: Desk) -> None:
    desk.hear(desk.root, "mapped", 0, "s", EMPTY.to_wire(), "", False, 1, {})
    assert desk.hear(RunReducer(0, 0, 1, 7, ()), "reduced", 0, 0, [], 7, {}) == []


@pytest.mark.parametrize(
    "last",
    [
        ("mapped", 0, "s", chunk_wire(1), "e", False, 9, {}),
        ("failed", 0, failed_fields("author"), 1, {}),
    ],
    ids=["yielded all", "failed"],
)
def test_a_mapper_that_ends_with_the_last_of_several_chunks_is_asked_no_more(
    desk: Desk, last: tuple[Any, ...]
) -> None:
    desk.hear(desk.root, "mapped", 0, "s", chunk_wire(2), "d", True, 9, {})
    pull = desk.pull()
    desk.hear(pull, "mapped", 0, "s", chunk_wire(2), "f", True, 9, {})
    desk.hear(pull, *last)
    assert desk.state.ready.suspended == {}


def test_what_was_not_started_is_ready_again(desk: Desk) -> None:
    work = desk.children(CHUNK)
    assert desk.hear(work, "unstarted", 2, 2) == []
    assert desk.take_all() == [2, 3]


def test_an_empty_part_of_a_batch_is_not_given_back(desk: Desk) -> None:
    work = desk.children(CHUNK)
    desk.outcomes.give_back(work, 2, 2)
    desk.outcomes.give_back(PullMapper(0, 1), 0, 1)
    assert desk.take_all() == []


def test_the_first_vertex_of_work_is_blamed(desk: Desk) -> None:
    assert first_vertex(RunMappers(desk.state.tree.chunks[ROOT], 7, 2)) == 7
    assert first_vertex(PullMapper(8, 1)) == 8
    assert first_vertex(RunReducer(9, 0, 1, 1, ())) == 9


def test_what_overlaps_what_is_done_counts_for_nothing_and_its_rest_runs_again(desk: Desk) -> None:
    work = desk.children(CHUNK)
    durations = bytes(4 * 3 * 2)
    assert len(desk.hear(work, "returned", 2, 2, [], True, durations, {})) == 1
    assert desk.hear(work, "returned", 1, 2, [], True, durations, {}) == []
    assert desk.take_all() == [1]
