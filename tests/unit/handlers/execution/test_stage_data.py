from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import pytest

from jobx import values
from jobx.handlers.execution.state import ExecutorState
from jobx.payload import STAGE_DATA, StageData
from tests.support import frames

SLOW = (
    "import time\nyield Return()\ntime.sleep(0.001)\n"
    "for k, v in arguments:\n yield 'a', v\n yield 'a', 1"
)
QUICK = SLOW.replace("time.sleep(0.001)", "pass")
LOADS = {
    "c": frames.load("c", "combiner", "def handler(key, values): yield key, sum(values) * 10"),
    "r": frames.load("r", "reducer", "def handler(key, values): yield key, sum(values) + 1"),
}
#: More than all records of these tests take.
ROOM = 1 << 16


def state_of(folder: Path, mapper: str, **loads: Any) -> ExecutorState:
    return frames.state(folder, frames.load("m", "mapper", mapper), *(LOADS | loads).values())


def run(state: ExecutorState, folder: Path, *items: Any, **fields: Any) -> list[Any]:
    wanted = {"combiner": "c", "data_bytes": ROOM, **fields}
    return frames.run(state, frames.map_(folder, items, **wanted))


def records(data: StageData | None, folder: Path) -> list[Any]:
    assert data is not None
    body = (folder / data.blob).read_bytes()
    assert (len(body), zlib.crc32(body)) == (data.size_bytes, data.checksum)
    reader = values.unpacker()
    reader.feed(zlib.decompress(body))
    return [(vertex, stage, values.unpack(pairs)) for vertex, stage, _, pairs in reader]


def blobs(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.endswith(STAGE_DATA)]


def test_what_each_stage_of_each_mapper_yields_is_kept(tmp_path: Path) -> None:
    state = state_of(tmp_path, SLOW)
    run(state, tmp_path, [0, 5], [1, 7])
    assert records(state.data, tmp_path) == [
        (1, "mapper", [["a", [5, 1]]]),
        (1, "combiner", [["a", [60]]]),
        (1, "reducer", [["a", [61]]]),
        (2, "mapper", [["a", [7, 1]]]),
        (2, "combiner", [["a", [80]]]),
        (2, "reducer", [["a", [81]]]),
    ]


@pytest.mark.parametrize(
    ("mapper", "fields"),
    [(SLOW, {"data_bytes": 0}), (QUICK, {"is_quick": True}), (QUICK, {})],
    ids=["unasked", "known to be quick", "quick"],
)
def test_nothing_is_kept_unasked_or_of_quick_batches(
    tmp_path: Path, mapper: str, fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobx.handlers.execution.stage_data.QUICK_NS", 60_000_000_000)
    state = state_of(tmp_path, mapper)
    run(state, tmp_path, [0, 5], [1, 7], **fields)
    assert state.data is None
    assert blobs(tmp_path) == []


def test_of_a_step_that_is_known_to_be_quick_slow_mappers_are_kept(tmp_path: Path) -> None:
    state = state_of(tmp_path, SLOW)
    run(state, tmp_path, [0, 5], is_quick=True)
    assert len(records(state.data, tmp_path)) == 3


def test_what_was_there_before_a_reducer_failed_is_kept_whatever_its_batch_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobx.handlers.execution.stage_data.QUICK_NS", 60_000_000_000)
    body = "def handler(key, values):\n if sum(values) > 70: raise ValueError\n yield key, 1"
    state = state_of(tmp_path, SLOW, r=frames.load("r", "reducer", body))
    segments = run(state, tmp_path, [0, 5], [1, 7])
    assert [segment[0] for segment in segments] == ["returned", "failed"]
    assert [record[:2] for record in records(state.data, tmp_path)] == [
        (2, "mapper"),
        (2, "combiner"),
    ]


def test_what_there_is_no_room_for_is_left_out_and_said(tmp_path: Path) -> None:
    state = state_of(tmp_path, SLOW)
    run(state, tmp_path, [0, 5], data_bytes=1)
    assert state.data == StageData()
    assert blobs(tmp_path) == []


def test_a_disk_that_takes_no_blob_fails_no_invocation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = state_of(tmp_path, SLOW)
    monkeypatch.setattr("jobx.handlers.blobs.blob_file._make_folder", _refuse)
    (segment,) = run(state, tmp_path, [0, 5])
    assert segment[0] == "returned"
    assert state.data == StageData()


def _refuse(_: str) -> None:
    raise OSError(28, "No space left on device")


def test_the_next_frame_does_not_show_the_data_of_the_last(tmp_path: Path) -> None:
    state = state_of(tmp_path, SLOW)
    run(state, tmp_path, [0, 5])
    run(state, tmp_path, [0, 5], data_bytes=0)
    assert state.data is None


def test_keys_that_are_not_their_own_identity_are_kept_as_they_are(tmp_path: Path) -> None:
    state = state_of(tmp_path, SLOW.replace("'a'", "(1, True)"))
    run(state, tmp_path, [0, 5])
    assert records(state.data, tmp_path)[0] == (1, "mapper", [[[1, True], [5, 1]]])
