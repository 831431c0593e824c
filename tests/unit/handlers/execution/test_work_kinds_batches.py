"""Chunks of mappers, batches that end early or are recalled, and mappers that are dropped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from jobx.errors import StoreFull
from jobx.handlers.execution import work_kinds
from jobx.handlers.execution.state import ExecutorState
from jobx.handlers.execution.suspended import MAX_SUSPENDED
from jobx.handlers.pairs.run_writer import RunWriter
from jobx.payload import Payload, unpack_offsets
from tests.support import frames
from tests.support.trips import ECHO, SUM, failure_of, mapper, reducer, run


def _all_chunks(state: ExecutorState, folder: Path, **fields: Any) -> list[Any]:
    (segment,) = run(state, folder, [1, 1], **fields)
    chunks = [segment]
    while segment[5]:
        (segment,) = frames.run(state, frames.work("pull", folder, vertex=1, **fields))
        chunks.append(segment)
    return chunks


@pytest.mark.parametrize("pairs", [0, 1, 9, 10, 11, 25])
def test_a_mapper_is_asked_chunk_by_chunk(tmp_path: Path, pairs: int) -> None:
    source = f"yield Map('t')\nfor n in range({pairs}): yield n, [n]"
    chunks = _all_chunks(frames.state(tmp_path, mapper(source)), tmp_path, chunk_pairs=10)
    items = [frames.children(chunk[3], tmp_path) for chunk in chunks]
    assert [item for listed in items for item in listed] == [[n, [n]] for n in range(pairs)]
    assert len(chunks) == max(1, -(-pairs // 10))


def test_chunks_end_by_bytes_and_a_large_pair_stands_alone_in_a_blob(tmp_path: Path) -> None:
    source = "yield Map('t')\nfor n in (10, 10, 500, 10): yield n, 'x' * n"
    state = frames.state(tmp_path, mapper(source))
    chunks = _all_chunks(state, tmp_path, inline_bytes=100)
    found = [Payload.from_wire(chunk[3]) for chunk in chunks]
    assert [(chunk.count, chunk.blob is None) for chunk in found] == [
        (2, True),
        (1, False),
        (1, True),
    ]
    assert list(unpack_offsets(found[0].offsets)) == [13, 26]


def test_the_same_chunks_have_the_same_digests(tmp_path: Path) -> None:
    source = "yield Map('t')\nfor n in range(25): yield n, n"
    digests = [
        [c[4] for c in _all_chunks(frames.state(tmp_path, mapper(source)), tmp_path, chunk_pairs=9)]
        for _ in range(2)
    ]
    assert digests[0] == digests[1]
    assert len(set(digests[0])) == 3


def test_kept_mappers_take_turns_each_with_its_own_session(tmp_path: Path) -> None:
    source = (
        "yield Map('t')\nfor me, _ in arguments:\n for n in range(3):\n"
        "  S_SET(str(n), me)\n  PRINT(me, n)\n  yield n, n"
    )
    state = frames.state(tmp_path, mapper(source))
    run(state, tmp_path, ["a", 0], ["b", 0], chunk_pairs=1)
    last = {}
    for vertex in (1, 2, 2, 1):
        (segment,) = frames.run(state, frames.work("pull", tmp_path, vertex=vertex))
        last[vertex] = segment[7]
    assert last[2][2] == {"output": "b 0\nb 1\nb 2\n", "session": dict.fromkeys("012", "b")}
    assert last[1][1] == {"output": "a 0\na 1\na 2\n", "session": dict.fromkeys("012", "a")}


def pulled(tmp_path: Path, source: str, chunks: int) -> tuple[ExecutorState, list[Any]]:
    """Return what a pull brings that asks a mapper for so many chunks of two pairs more."""
    state = frames.state(tmp_path, mapper(source))
    run(state, tmp_path, [1, 1], chunk_pairs=2)
    return state, frames.run(state, frames.work("pull", tmp_path, vertex=1, chunks=chunks))


@pytest.mark.interpreted
@pytest.mark.parametrize(("chunks", "brought"), [(1, 1), (2, 2), (3, 3), (9, 3)])
def test_a_pull_brings_the_next_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunks: int, brought: int
) -> None:
    monkeypatch.setattr(work_kinds, "_PULL_NS", 1 << 62)
    state, segments = pulled(tmp_path, "yield Map('t')\nfor n in range(7): yield n, n", chunks)
    items = [frames.children(segment[3], tmp_path) for segment in segments]
    assert [item for listed in items for item in listed] == [[n, n] for n in range(2, 7)][
        : 2 * chunks
    ]
    assert len(segments) == brought
    assert bool(state.suspended) is (chunks < 3)


@pytest.mark.interpreted
def test_a_pull_that_takes_long_brings_one_chunk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_kinds, "_PULL_NS", -1)
    _, segments = pulled(tmp_path, "yield Map('t')\nfor n in range(7): yield n, n", 3)
    assert len(segments) == 1


@pytest.mark.interpreted
def test_a_pull_ends_with_the_chunk_that_fills_its_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_kinds, "_PULL_NS", 1 << 62)
    source = "yield Map('t')\nfor n in range(9): yield n, 'x' * 1000"
    state = frames.state(tmp_path, mapper(source), segments_bytes=1500)
    run(state, tmp_path, [1, 1], chunk_pairs=1)
    segments = frames.run(state, frames.work("pull", tmp_path, vertex=1, chunks=8))
    assert len(segments) == 2


@pytest.mark.interpreted
def test_a_mapper_that_fails_in_a_pull_leaves_what_it_yielded_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_kinds, "_PULL_NS", 1 << 62)
    source = "yield Map('t')\nfor n in range(5): yield n, n\nraise ValueError"
    state, segments = pulled(tmp_path, source, 3)
    assert kinds(segments) == [["mapped", 1], ["failed", 1]]
    assert not state.suspended


def test_a_mapper_that_is_not_kept_is_lost(tmp_path: Path) -> None:
    segments = frames.run(frames.state(tmp_path), frames.work("pull", tmp_path, vertex=9))
    assert failure_of(segments).kind == "lost"


def test_no_more_mappers_are_kept_than_there_is_room_for(tmp_path: Path) -> None:
    state = frames.state(tmp_path, mapper("yield Map('t')\nyield 1, 1\nyield 2, 2"))
    items = [[n, n] for n in range(MAX_SUSPENDED + 5)]
    segments = run(state, tmp_path, *items, chunk_pairs=1)
    assert segments[-1] == ["unstarted", MAX_SUSPENDED + 1, 5]
    assert len(segments) == MAX_SUSPENDED + 1


def recall(state: ExecutorState, number: int) -> None:
    state.page.recalled = number


def kinds(segments: Sequence[Any]) -> list[Any]:
    return [
        segment[:3] if segment[0] in ("returned", "unstarted") else segment[:2]
        for segment in segments
    ]


@pytest.mark.parametrize("recalled", [1, 2])
def test_a_recalled_batch_gives_the_rest_back(tmp_path: Path, recalled: int) -> None:
    state = frames.state(tmp_path, mapper(ECHO), SUM)
    state.is_self_contained = False  # else nothing is drained
    state.drain = lambda: recall(state, recalled)  # as soon as an invocation has ended
    segments = run(state, tmp_path, *[[n, n] for n in range(5)])
    assert kinds(segments) == [["returned", 1, 1], ["unstarted", 2, 4]]


@pytest.mark.parametrize(("recalled", "expected"), [(0, "returned"), (1, "unstarted")])
def test_a_batch_begins_when_only_what_came_before_it_was_recalled(
    tmp_path: Path, recalled: int, expected: str
) -> None:
    state = frames.state(tmp_path, mapper(ECHO), SUM)
    recall(state, recalled)
    assert kinds(run(state, tmp_path, [1, 1], [2, 2])) == [[expected, 1, 2]]


def test_a_recalled_reducer_is_not_begun(tmp_path: Path) -> None:
    state = frames.state(tmp_path, SUM)
    recall(state, 1)
    assert frames.run(state, frames.reduce(tmp_path, [])) == []


def test_a_kept_mapper_is_asked_whatever_was_recalled(tmp_path: Path) -> None:
    state = frames.state(tmp_path, mapper("yield Map('t')\nyield 1, 1\nyield 2, 2"))
    run(state, tmp_path, [1, 1], chunk_pairs=1)
    recall(state, 1)
    (segment,) = frames.run(state, frames.work("pull", tmp_path, vertex=1))
    assert segment[:2] == ["mapped", 1]


def test_a_batch_gives_back_what_it_has_not_begun_in_its_time(tmp_path: Path) -> None:
    state = frames.state(tmp_path, mapper(ECHO), SUM)
    segments = run(state, tmp_path, [1, 1], [2, 2], [3, 3], batch_s=0.0)
    assert kinds(segments) == [["returned", 1, 1], ["unstarted", 2, 2]]


@pytest.mark.parametrize(
    "source_code",
    [
        "yield Return()\nPRINT('x' * 600)",
        "yield Return()\nPRINT('x' * 600)\n1 / 0",
        "yield Return()\nS_SET('k', 'x' * 600)",
        "yield Return()\nfor n in range(4): NOTIFY('x' * 600)",
        "yield Return()\nyield 1, 'x' * 600",
        "yield Map('t')\nyield 1, 'x' * 600",
        "yield Map('t')\nPRINT('x' * 600)",
    ],
)
def test_a_batch_ends_when_its_answer_is_large(tmp_path: Path, source_code: str) -> None:
    state = frames.state(tmp_path, mapper(source_code), segments_bytes=1000)
    segments = run(state, tmp_path, *[[n, n] for n in range(9)], reducer=None)
    assert segments[-1][0] == "unstarted"
    assert 1 < segments[-1][1] < 9


def _full(folder: Path) -> ExecutorState:
    """Return what keeps as many mappers as it should; its mapper returns what is odd."""
    source = "key, _ = next(iter(arguments))\nyield Return() if key % 2 else Map('t')\n"
    state = frames.state(folder, mapper(source + "yield 1, 1\nyield 2, 2"), SUM)
    run(state, folder, *[[2 * n, 0] for n in range(MAX_SUSPENDED)], chunk_pairs=1)
    return state


def test_a_batch_ends_with_the_mapper_that_is_kept_beyond_the_bound(tmp_path: Path) -> None:
    segments = run(_full(tmp_path), tmp_path, [2, 0], [4, 0], first=500, chunk_pairs=1)
    assert [segment[:2] for segment in segments] == [["mapped", 500], ["unstarted", 501]]


def test_what_kept_mappers_may_wait_for_is_run_however_many_they_are(tmp_path: Path) -> None:
    segments = run(_full(tmp_path), tmp_path, [1, 0], [3, 0], first=500)
    assert kinds(segments) == [["returned", 500, 2]]


def test_output_that_was_cut_is_told_with_the_stage_that_wrote_it(tmp_path: Path) -> None:
    talkative = mapper("PRINT('x' * 1500)\nyield Return()\nyield 1, 1")
    adding = "def handler(key, values):\n  {}yield key, sum(values)"
    marker = "\n[501 bytes of output were cut]\n"

    (quiet,) = run(frames.state(tmp_path, talkative, reducer(adding.format(""))), tmp_path, [1, 1])
    assert quiet[-1] == {1: {"output": "x" * 1000 + marker}}

    loud = reducer(adding.format("PRINT('y' * 9); "))
    (segment,) = run(frames.state(tmp_path, talkative, loud), tmp_path, [1, 1])
    assert segment[-1][1]["output"].endswith(marker)
    assert segment[-1][1]["reducer_output"] == "\n[10 bytes of output were cut]\n"


@pytest.mark.interpreted
def test_nothing_is_left_of_a_batch_whose_output_finds_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = RunWriter.run

    def run_until_full(writer: RunWriter, *given: Any) -> Payload:
        if writer.written > 1:
            raise StoreFull("the folder", "no space left")
        return written(writer, *given)

    monkeypatch.setattr(RunWriter, "run", run_until_full)
    source = "key, _ = next(iter(arguments))\nyield Return() if key else Map('t')\n"
    state = frames.state(tmp_path / "scratch", mapper(source + "yield 1, 'x' * 90000\nyield 2, 2"))
    segments = run(state, tmp_path / "blobs", *[[n, 0] for n in range(4)], reducer=None)
    assert {segment[0] for segment in segments} == {"failed"}
    assert (state.suspended, list((tmp_path / "blobs").iterdir())) == ({}, [])


DROPPED = (
    "from pathlib import Path\nfolder = arguments['folder']\nyield Map('t')\n"
    "try:\n for n in range(9): yield n, n\n"
    "finally:\n Path(folder, str(INVOCATION.vertex)).touch()\n 1 / 0"
)


@pytest.mark.parametrize(("vertices", "closed"), [(None, ["1", "2"]), ([1], ["1"]), ([7], [])])
def test_dropped_mappers_are_closed_whatever_they_raise(
    tmp_path: Path, vertices: list[int] | None, closed: list[str]
) -> None:
    state = frames.state(tmp_path, mapper(DROPPED))
    run(state, tmp_path, *[["folder", str(tmp_path)]] * 2, chunk_pairs=1)
    state.drop("other", None)
    state.drop("r1", vertices)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == closed
    state.drop("r1", None)
