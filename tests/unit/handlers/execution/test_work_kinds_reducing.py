"""Combiners and reducers, in the trip of their mapper or in one of their own."""

from __future__ import annotations

import array
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobx import values
from jobx.model import Failure
from jobx.payload import Payload
from tests.support import frames
from tests.support.trips import ECHO, SUM, WORDS, failure_of, mapper, output, reducer, run


def test_in_one_trip_the_reducer_reads_what_the_mapper_left(tmp_path: Path) -> None:
    source = mapper("S_SET('k', [arguments['a']])\nyield Return()")
    state = frames.state(tmp_path, source, reducer("yield S_LIST()[0], S_GET('k')"))
    (segment,) = run(state, tmp_path, ["a", 5], ["a", 6])
    assert output(segment, tmp_path) == [("k", [5]), ("k", [6])]
    assert segment[6] == {1: {"session": {"k": [5]}}, 2: {"session": {"k": [6]}}}


def test_a_reducer_of_its_own_trip_reads_the_session_but_does_not_write_it(tmp_path: Path) -> None:
    state = frames.state(tmp_path, reducer("yield 1, S_GET('k')\nS_SET('k', 1)"))
    failure = failure_of(frames.run(state, frames.reduce(tmp_path, [], session={"k": 5})))
    assert failure.type == "PermissionError"


def _leaves(folder: Path, spill_bytes: int, partitions: int, inline_bytes: int) -> list[Payload]:
    state = frames.state(folder, WORDS, SUM, spill_bytes=spill_bytes)
    texts = ["abcab", "bcdbc", "cdecd" * 3, ""]
    fields = {"sections": partitions, "inline_bytes": inline_bytes}
    segments = run(state, folder, *enumerate(texts), reducer=None, **fields)
    return [Payload.from_wire(wire) for segment in segments for wire in segment[3]]


@settings(deadline=None)
@given(
    spill_bytes=st.sampled_from([1, 600, 1 << 30]),
    partitions=st.sampled_from([1, 2, 5]),
    inline_bytes=st.sampled_from([0, 1 << 16]),
)
def test_reducing_is_the_same_however_it_is_spilled_and_partitioned(
    tmp_path_factory: pytest.TempPathFactory, spill_bytes: int, partitions: int, inline_bytes: int
) -> None:
    folder = tmp_path_factory.mktemp("blobs")
    inputs = _leaves(folder, spill_bytes, partitions, inline_bytes)
    state = frames.state(folder, SUM, spill_bytes=spill_bytes)
    reduced = []
    for part in range(partitions):
        fields = {"partition": part, "partitions": partitions, "blob_stem": f"p{part}"}
        (segment,) = frames.run(state, frames.reduce(folder, inputs, **fields))
        assert segment[:3] == ["reduced", 0, part]
        reduced += segment[3]
    assert frames.pairs(reduced, folder) == [("a", 2), ("b", 4), ("c", 9), ("d", 7), ("e", 3)]


def test_a_leaf_whose_output_spilled_is_left_to_be_reduced_in_parts(tmp_path: Path) -> None:
    state = frames.state(tmp_path, WORDS, SUM, spill_bytes=100)
    small, large, last = run(
        state, tmp_path, [0, ""], [1, "abc" * 9], [2, ""], sections=4, inline_bytes=0
    )
    assert [s[4] for s in (small, large, last)] == [True, False, True]
    assert all(len(Payload.from_wire(wire).sections) == 4 for wire in large[3])


def test_a_leaf_whose_output_spilled_is_reduced_when_that_cannot_be_done_in_parts(
    tmp_path: Path,
) -> None:
    whole = reducer("for key, values in results: yield key, sum(values)")
    state = frames.state(tmp_path / "scratch", WORDS, whole, spill_bytes=100)
    (segment,) = run(state, tmp_path / "blobs", [1, "abc" * 9], sections=4)
    assert segment[4] is True
    assert output(segment, tmp_path / "blobs") == [("a", 9), ("b", 9), ("c", 9)]
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_combine_frame_combines_what_mappers_left(tmp_path: Path) -> None:
    combiner = frames.load("c", "combiner", "def handler(key, values): yield key, sum(values)")
    wires = [payload.to_wire() for payload in _leaves(tmp_path, 1 << 30, 1, 0)]
    frame = frames.work(
        "combine", tmp_path, vertex=3, attempt=1, combiner="c", inputs=wires, blob_stem="c"
    )
    (segment,) = frames.run(frames.state(tmp_path, combiner), frame)
    assert segment[:2] == ["combined", 3]
    assert frames.pairs(segment[2], tmp_path)[0] == ("a", 2)


def test_a_damaged_input_of_a_reducer_is_named(tmp_path: Path) -> None:
    inputs = _leaves(tmp_path, 1 << 30, 1, 0)
    (tmp_path / "b-0").write_bytes(b"")
    failure = failure_of(frames.run(frames.state(tmp_path, SUM), frames.reduce(tmp_path, inputs)))
    assert (failure.kind, failure.input) == ("blob", "b-0")


@pytest.mark.parametrize(
    "damaged", [{"count": 1}, {"count": 3}, {"pairs": values.pack(1) * 2}], ids=str
)
def test_a_damaged_chunk_fails_each_of_its_invocations(tmp_path: Path, damaged: Any) -> None:
    state = frames.state(tmp_path, mapper(ECHO), SUM)
    failures = run(state, tmp_path, [1, 1], [2, 2], **damaged)
    assert [segment[1] for segment in failures] == [1, 2, 3][: damaged.get("count", 2)]
    assert {segment[2]["kind"] for segment in failures} == {"blob"}


def test_durations_have_three_for_each_vertex(tmp_path: Path) -> None:
    (segment,) = run(frames.state(tmp_path, WORDS, SUM), tmp_path, *[[n, ""] for n in range(7)])
    assert len(array.array("I", segment[5])) == 21


def test_output_that_is_on_its_way_is_of_the_stage_that_wrote_it(tmp_path: Path) -> None:
    state = frames.state(tmp_path, mapper(ECHO), SUM)
    stages: list[str] = []

    def drain() -> None:
        if (invocation := state.scope.current) is not None:
            stages.append(invocation.stage)

    state.is_self_contained = False  # else nothing is drained
    state.drain = drain
    run(state, tmp_path, [1, 1])
    assert stages == ["mapper", "reducer"]


TOLD = "PRINT('mapped')\nyield Return()\nyield 'a', 1\nyield 'b', 2"
RAISES = "def handler(results):\n PRINT('reduced')\n raise ConnectionResetError('no')\n yield"


def test_a_reducer_that_fails_after_its_mapper_is_named_and_the_mapper_is_not(
    tmp_path: Path,
) -> None:
    state = frames.state(tmp_path, mapper(TOLD), reducer(RAISES))
    (segment,) = run(state, tmp_path, [1, 1], later_attempts={"combiner": {}, "reducer": {1: 4}})
    failure = msgspec.convert(segment[2], Failure)
    assert (segment[0], segment[5:]) == ("failed", ["reducer"])
    assert (failure.handler_name, failure.attempt, failure.input) == ("r", 4, None)
    assert failure.bases[:2] == ("ConnectionError", "OSError")
    assert segment[4] == {1: {"output": "mapped\n", "reducer_output": "reduced\n"}}


@pytest.mark.parametrize("inline_bytes", [0, 1 << 16])
@pytest.mark.parametrize("combiner", [None, "c"])
def test_a_reducer_that_may_be_tried_again_leaves_what_its_mapper_yielded_as_it_was(
    tmp_path: Path, inline_bytes: int, combiner: str | None
) -> None:
    spoils = "for _, values in results: values.clear()\nraise ValueError\nyield"
    same = frames.load(
        "c", "combiner", "def handler(results): return ((k, v[0]) for k, v in results)"
    )
    state = frames.state(tmp_path, mapper(TOLD), reducer(spoils), same)
    options = {"keeps": True, "inline_bytes": inline_bytes, "combiner": combiner}
    mapped, failed = run(state, tmp_path, [1, 1], **options)
    assert (mapped[:3], mapped[4], mapped[6]) == (
        ["returned", 1, 1], False, {1: {"output": "mapped\n"}}
    )  # fmt: skip
    assert output(mapped, tmp_path) == [("a", 1), ("b", 2)]
    assert (failed[0], failed[4], failed[5]) == ("failed", {}, "reducer")


@pytest.mark.parametrize("inline_bytes", [0, 1 << 16])
def test_what_was_kept_for_a_reducer_that_succeeds_is_removed(
    tmp_path: Path, inline_bytes: int
) -> None:
    state = frames.state(tmp_path, mapper(TOLD), SUM)
    (segment,) = run(state, tmp_path, [1, 1], [2, 2], keeps=True, inline_bytes=inline_bytes)
    assert segment[4] is True
    assert [path.name for path in tmp_path.iterdir() if "-k" in path.name] == []


@pytest.mark.parametrize("late", ["combiner", "reducer"])
def test_each_stage_of_a_trip_has_its_own_time_limit(tmp_path: Path, late: str) -> None:
    tells = "for k, v in results: yield k, INVOCATION.remaining_s()"
    quick = "for k, v in results: yield k, v[0]"
    sources = {"combiner": quick, "reducer": quick, late: tells}
    loads = [frames.load(kind[0], kind, source) for kind, source in sources.items()]
    state = frames.state(tmp_path, mapper("yield Return()\nyield 1, 1"), *loads)
    (segment,) = run(state, tmp_path, [1, 1], combiner="c", limits_s={late: 500.0})
    ((_, remaining_s),) = output(segment, tmp_path)
    assert 10.0 < remaining_s <= 500.0


def test_a_reducer_that_cannot_be_loaded_is_the_one_that_failed(tmp_path: Path) -> None:
    state = frames.state(tmp_path, mapper(TOLD), reducer("1 / 0\ndef handler(key, values): yield"))
    (segment,) = run(state, tmp_path, [1, 1], sections=8)
    assert (segment[2]["handler_name"], segment[5]) == ("r", "reducer")


def test_a_reducer_finds_no_decimal_context_of_its_mapper(tmp_path: Path) -> None:
    sets = "import decimal\ndecimal.getcontext().prec = 3\nyield Return()\nyield 1, 1"
    told = "import decimal\nfor k, v in results: yield k, decimal.getcontext().prec"
    (segment,) = run(frames.state(tmp_path, mapper(sets), reducer(told)), tmp_path, [1, 1])
    assert output(segment, tmp_path) == [(1, 28)]
