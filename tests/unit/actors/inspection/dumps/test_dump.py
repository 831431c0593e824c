from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from jobx.actors.request.events import Adopted, Done, Event, Failed, Mapped, Retried
from jobx.actors.request.spans import Span
from jobx.errors import InvalidInput, NotFound
from jobx.payload import StageData
from tests.unit.actors.inspection.dumps.samples import (
    ACCEPTED,
    GONE,
    LEAVES,
    MAPPED,
    SPLIT,
    TOTAL,
    WHOLE,
    WRONG,
    Sample,
    items,
    run_of,
    stage_data,
    us,
)


def retried(kind: Any = "map", vertex: int = 1, **fields: Any) -> Retried:
    return replace(Retried(2.6, kind, 1, vertex, 1, 2, 0.5, WRONG), **fields)


def test_each_invocation_has_one_line_in_the_order_in_which_they_ended(tmp_path: Path) -> None:
    lines = Sample(tmp_path, *WHOLE).lines()
    assert [line.invocation_id for line in lines] == [
        "m0",
        "m1",
        "c1",
        "r1",
        "m2",
        "c2",
        "r2",
        "r0",
    ]
    assert {line.state for line in lines} == {"succeeded"}


def test_a_line_says_what_ran_where_and_how_long(tmp_path: Path) -> None:
    line = Sample(tmp_path, *WHOLE).by_id()["c2"]
    assert (line.step_name, line.handler_name, line.version) == ("leaf", "pack", "pack-1")
    assert (line.node_id, line.executor, line.parent) == ("n2", 8, "m2")
    assert line.run_s == 20e-6


def test_a_mapper_waited_since_it_was_mapped(tmp_path: Path) -> None:
    line = Sample(tmp_path, *WHOLE).by_id()["m1"]
    assert (line.queued_at, line.started_at, line.queue_s) == (2.0, 3.0, 1.0)


def test_arguments_children_session_output_and_data_are_there(tmp_path: Path) -> None:
    found = Sample(tmp_path, *WHOLE).by_id()
    assert (found["m0"].arguments, found["m0"].children) == ([["text", "ab"]], 2)
    assert (found["m2"].arguments, found["m2"].session) == (["b", 2], {"s": 1})
    assert [found[name].output for name in ("m2", "c2", "r2")] == ["hi\n", None, "ho\n"]
    assert found["r0"].data == [["a", [1]]]


def test_what_stages_yielded_is_read_from_their_blob(tmp_path: Path) -> None:
    blobs = Sample(tmp_path).blobs
    data = stage_data(
        blobs, (1, "mapper", {"a": [1]}), (1, "combiner", [[[1, 2], [3]]]), (2, "reducer", {})
    )
    events = [*WHOLE[:3], replace(LEAVES, data=data), TOTAL]
    found = Sample(tmp_path, *events).by_id()
    assert [found[n].data for n in ("m1", "c1", "r2")] == [[["a", [1]]], [[[1, 2], [3]]], []]
    assert "data" in found["m2"].absent


def of_leaves(folder: Path, state: str, **fields: Any) -> str:
    events = [*WHOLE[:3], replace(LEAVES, **fields), TOTAL]
    return Sample(folder, *events, state=state).by_id()["m1"].absent["data"]


@pytest.mark.parametrize(
    ("state", "fields", "reason"),
    [
        ("failed", {"durations": us(9, 9, 0, 0, 0, 0)}, "under 0.25 ms"),
        ("failed", {}, "retention.data was none"),
        ("failed", {"data": StageData()}, "no room"),
        ("succeeded", {"data": StageData("gone-stages", 5, 5)}, "removed when the request"),
        ("failed", {"data": StageData("gone-stages", 5, 5)}, "gone, or damaged"),
        ("failed", {"data": StageData("../x-stages", 5, 5)}, "no name of one"),
    ],
)
def test_what_is_absent_has_its_reason(
    tmp_path: Path, state: str, fields: dict[str, Any], reason: str
) -> None:
    assert reason in of_leaves(tmp_path, state, **fields)


def test_every_failed_attempt_is_there_with_what_it_wrote(tmp_path: Path) -> None:
    first = retried(notes={1: {"output": "x"}}, span=Span(5, 100, 100), node="n3")
    line = Sample(tmp_path, *WHOLE[:3], first, LEAVES, TOTAL).by_id()["m1"]
    (attempt,) = line.attempts
    assert (attempt.attempt, attempt.failure, attempt.output) == (1, WRONG, "x")
    assert (attempt.node_id, attempt.executor, attempt.run_s) == ("n3", 5, 1e-4)
    assert (line.attempt, line.queued_at) == (2, 3.1)


def test_a_reducer_that_failed_in_the_trip_of_its_mapper_was_tried_with_it(tmp_path: Path) -> None:
    found = Sample(tmp_path, *WHOLE[:3], retried("reduce"), LEAVES, TOTAL).by_id()
    assert [found[name].attempt for name in ("m1", "c1", "r1")] == [2, 1, 2]


@pytest.mark.parametrize(
    ("events", "state", "states"),
    [
        ((), "running", {"m1": "pending", "m2": "pending", "r0": "pending"}),
        ((), "cancelled", {"m1": "cancelled", "m2": "cancelled", "r0": "cancelled"}),
        (
            (Failed(3.0, "map", 1, 2, 1, WRONG),),
            "failed",
            {"m1": "cancelled", "m2": "failed", "r0": "cancelled"},
        ),
        (
            (Failed(3.0, "reduce", 1, 2, 1, WRONG),),
            "failed",
            {"m1": "cancelled", "m2": "succeeded", "c2": "succeeded", "r2": "failed"},
        ),
        (
            (Failed(3.0, "combine", 1, 2, 1, WRONG),),
            "failed",
            {"m1": "cancelled", "m2": "succeeded", "c2": "failed", "r0": "cancelled"},
        ),
        ((Mapped(3.0, 1, 1, "leaf", 3, 1, items([1, 1]), "x"),), "running", {"m1": "running"}),
    ],
)
def test_what_has_not_ended_comes_last_with_its_state(
    tmp_path: Path, events: tuple[Event, ...], state: str, states: dict[str, str]
) -> None:
    found = Sample(tmp_path, *WHOLE[:3], *events, state=state).by_id()
    shown = {name: line.state for name, line in found.items()}
    assert shown.items() >= states.items()
    assert ("r2" in shown) == ("r2" in states)


def test_what_a_failed_invocation_left_is_in_its_line(tmp_path: Path) -> None:
    blobs = Sample(tmp_path).blobs
    data = stage_data(blobs, (2, "mapper", {"a": [1]}), (2, "combiner", {"a": [5]}))
    failed = Failed(3.0, "reduce", 1, 2, 3, WRONG, {2: {"reducer_output": "oh"}}, "n2", None, data)
    found = Sample(tmp_path, *WHOLE[:3], failed, state="failed").by_id()
    assert (found["m2"].data, found["c2"].data) == ([["a", [1]]], [["a", [5]]])
    last = found["r2"]
    assert (last.failure, last.output, last.attempt, last.node_id) == (WRONG, "oh", 3, "n2")


def test_an_invocation_that_ran_again_after_its_end_comes_once(tmp_path: Path) -> None:
    events = [*WHOLE[:4], retried(failure=GONE), replace(LEAVES, count=1, durations=us(1, 2, 3))]
    found = Sample(tmp_path, *events, TOTAL).by_id()
    assert found["m1"].attempt == 2


def test_a_mapper_that_maps_again_has_the_children_of_its_last_attempt(tmp_path: Path) -> None:
    again = [ACCEPTED, MAPPED, retried(vertex=0, chunk=0), MAPPED, SPLIT, LEAVES, TOTAL]
    assert Sample(tmp_path, *again).by_id()["m0"].children == 2


def test_partitions_of_a_reducer_have_a_line_each(tmp_path: Path) -> None:
    parts = [replace(TOTAL, partition=n, payloads=(run_of([n, [n]]),)) for n in range(3)]
    lines = [x for x in Sample(tmp_path, *WHOLE[:4], *parts).lines() if x.invocation_id == "r0"]
    assert [(line.partition, line.data) for line in lines] == [(n, [[n, [n]]]) for n in range(3)]


def test_after_an_adoption_it_is_the_node_of_the_new_owner(tmp_path: Path) -> None:
    found = Sample(tmp_path, *WHOLE[:4], Adopted(4.5, "n9", 1), TOTAL).by_id()
    assert (found["m0"].node_id, found["r0"].node_id) == ("n1", "n9")


@pytest.mark.parametrize(
    ("asked", "ids"),
    [
        ({"states": ("failed", "cancelled")}, []),
        ({"steps": ("split",)}, ["m0", "r0"]),
        ({"below": "m2"}, ["m2", "c2", "r2"]),
        ({"below": "m0", "steps": ("leaf",)}, ["m1", "c1", "r1", "m2", "c2", "r2"]),
        ({"attempts": 2}, ["m1"]),
    ],
)
def test_only_what_is_asked_for_is_written(
    tmp_path: Path, asked: dict[str, Any], ids: list[str]
) -> None:
    sample = Sample(tmp_path, *WHOLE[:3], retried(), LEAVES, TOTAL)
    assert [line.invocation_id for line in sample.lines(**asked)] == ids


def test_below_is_a_whole_subtree(tmp_path: Path) -> None:
    deeper = [
        Mapped(2.6, 1, 1, "leaf", 3, 1, items([1, 1]), "x"),
        Mapped(2.7, 1, 2, "leaf", 4, 1, items([1, 1]), "x"),
        Done(2.8, "map", 3, 3, 1, "reduced", durations=us(1, 1, 1)),
        Done(2.8, "map", 4, 4, 1, "reduced", durations=us(1, 1, 1)),
    ]
    found = Sample(tmp_path, *WHOLE[:3], *deeper, state="running").by_id(below="m1")
    assert set(found) == {"m1", "m3", "c3", "r3"}


def test_values_that_are_too_large_are_left_out_with_a_word(tmp_path: Path) -> None:
    found = Sample(tmp_path, *WHOLE).by_id(max_value_bytes=2)
    assert found["m0"].arguments is None
    assert "more than 2" in found["m0"].absent["arguments"]
    assert "more than 2" in found["r0"].absent["data"]


def test_redacted_values_show_their_types_and_sizes_alone(tmp_path: Path) -> None:
    sample = Sample(tmp_path, *WHOLE[:3], retried(), LEAVES, TOTAL)
    found = sample.by_id(is_redacted=True)
    assert found["m2"].arguments == ["<1 characters>", "<int>"]
    assert found["m2"].output == "<3 characters>"
    assert found["m1"].attempts[0].failure.message == "<5 characters>"
    text = sample.text(is_redacted=True, form="json")
    assert b"wrong" not in text
    assert b"line 7" not in text
    assert b'"me"' not in text


@pytest.mark.parametrize("form", ["ndjson", "json", "text"])
def test_a_step_and_a_mapper_that_are_not_there_are_refused_with_the_first_chunk(
    tmp_path: Path, form: Any
) -> None:
    sample = Sample(tmp_path, *WHOLE)
    with pytest.raises(InvalidInput, match=r"which has leaf, split \(got 'lead'\)"):
        sample.first_chunk(steps=("leaf", "lead"), form=form)
    with pytest.raises(NotFound, match="w/r1/m77"):
        sample.first_chunk(below="m77", form=form)


@pytest.mark.parametrize("below", ["r1", "m", "m-1", "m1 ", "x", "m" + "1" * 30])
def test_below_what_is_no_mapper_is_refused(tmp_path: Path, below: str) -> None:
    with pytest.raises(InvalidInput, match="name a mapper"):
        Sample(tmp_path, *WHOLE).lines(below=below)


def test_a_request_that_is_not_there_is_not_found_before_anything_is_written(
    tmp_path: Path,
) -> None:
    sample = Sample(tmp_path, *WHOLE)
    sample.store = type(sample.store)()
    with pytest.raises(NotFound):
        sample.text()


def test_a_large_request_needs_no_more_than_what_is_open(tmp_path: Path) -> None:
    """Payloads of chunks, and attempts, are read again once they are no longer held."""
    sample = Sample(tmp_path, *WHOLE[:3], retried(), LEAVES, TOTAL)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("jobx.actors.inspection.dumps.log._CHUNK_BYTES", 1)
        patched.setattr("jobx.actors.inspection.dumps.log._ATTEMPTS", 0)
        few = sample.lines()
    assert few == sample.lines()
